package schedule

import (
	"slices"
	"strings"
	"time"
)

// Stats is what a Scheduler has done since it was made, in images.
type Stats struct {
	Pictures   uint64 // that were taken in
	Answered   uint64 // that were computed
	Batches    uint64 // that were run
	Failed     uint64 // that could not be read or computed
	Canceled   uint64 // whose callers went away before they were computed
	Overloaded uint64 // that were refused because the queue was full
	TooLarge   uint64 // that were refused because they alone exceed the memory limit
	Late       uint64 // whose deadline could not be kept
	Retried    uint64 // runs of images that a device had failed before
	Waiting    int    // in the queue
	Bytes      int64  // that the calls under way take
	Devices    []DeviceStats
	// Events are the last changes of devices, oldest first.
	Events []Event
}

// DeviceStats is one device as it is now.
type DeviceStats struct {
	Device string
	// Lost and Suspended say why it takes no batches: it has to be opened anew, or
	// has failed several batches in a row and is left alone for a time.
	Lost, Suspended bool
	Streams         int
	Running         int // batches
	// Answered is how many images it has computed.
	Answered uint64
	// BatchTime is how long a full batch takes, 0 where that is not known.
	BatchTime time.Duration
}

// Event is a change of a device.
type Event struct {
	Time   time.Time
	Device string
	What   What
	Err    error // why
}

// What happened to a device.
type What string

// The events.
const (
	Lost         What = "lost"
	StillLost    What = "still lost"
	Suspended    What = "suspended"
	StillFailing What = "still failing"
	Back         What = "back"
)

// keptEvents is how many events are kept.
const keptEvents = 64

func (s *Scheduler[T]) event(device string, what What, err error) {
	if n := len(s.stats.Events); n == keptEvents {
		copy(s.stats.Events, s.stats.Events[1:])
		s.stats.Events = s.stats.Events[:n-1]
	}
	s.stats.Events = append(s.stats.Events, Event{time.Now(), device, what, err})
}

// CountFailed counts images that came to nothing before their call entered.
func (s *Scheduler[T]) CountFailed(images int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Failed += uint64(images)
}

// Stats returns what has been done so far.
func (s *Scheduler[T]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Events = slices.Clone(s.stats.Events)
	stats.Bytes = s.bytes
	for _, d := range s.devices {
		stats.Devices = append(stats.Devices, DeviceStats{
			Device: d.name, Lost: d.state == lostDevice, Suspended: d.state == suspended || d.state == trial,
			Streams: len(d.streams), Running: d.running, Answered: d.answered, BatchTime: d.measure.of(s.config.Batch),
		})
	}
	slices.SortFunc(stats.Devices, func(a, b DeviceStats) int { return strings.Compare(a.Device, b.Device) })
	return stats
}
