package schedule

import (
	"slices"
	"strings"
	"time"
)

// Stats is what a Scheduler has done since it was made, in pictures.
type Stats struct {
	Pictures   uint64 // that were taken in
	Answered   uint64 // that were computed
	Batches    uint64 // that computed them
	Failed     uint64 // that could not be
	Canceled   uint64 // whose callers went away before they were computed
	Overloaded uint64 // that were refused because too many waited
	Late       uint64 // whose deadline could not be kept
	Retried    uint64 // that another device had to compute
	Waiting    int    // for their turn
	Devices    []DeviceStats
	// Events are the last changes of devices, oldest first.
	Events []Event
}

// DeviceStats is one device as it is now.
type DeviceStats struct {
	Device  string
	Lost    bool
	Lanes   int
	Running int // batches
	// Answered is how many pictures it has computed.
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
	Lost      What = "lost"
	StillLost What = "still lost"
	Back      What = "back"
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

// Stats returns what has been done so far.
func (s *Scheduler[T]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Events = slices.Clone(s.stats.Events)
	for _, d := range s.devices {
		state := DeviceStats{Device: d.name, Lost: d.out, Lanes: len(d.lanes), Running: d.running, Answered: d.answered}
		if len(d.lanes) > 0 {
			state.BatchTime = d.lanes[0].measure.of(s.config.Batch)
		}
		stats.Devices = append(stats.Devices, state)
	}
	slices.SortFunc(stats.Devices, func(a, b DeviceStats) int { return strings.Compare(a.Device, b.Device) })
	return stats
}
