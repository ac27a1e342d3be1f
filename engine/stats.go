package engine

import (
	"slices"
	"time"

	"github.com/trtdet/trtdet/engine/internal/backend"
)

// Stats is what a Detector has done with the model that it has, in pictures.
type Stats struct {
	Pictures   uint64 `json:"pictures"`   // taken in
	Answered   uint64 `json:"answered"`   // computed
	Batches    uint64 `json:"batches"`    // that computed them
	Failed     uint64 `json:"failed"`     // that could not be read or computed
	Canceled   uint64 `json:"canceled"`   // whose callers went away before they were computed
	Overloaded uint64 `json:"overloaded"` // refused with ErrOverloaded
	Late       uint64 `json:"late"`       // whose deadline could not be kept
	Retried    uint64 `json:"retried"`    // runs of images that a GPU had failed before, or was lost with
	Waiting    int    `json:"waiting"`    // in the queue now
	// Memory is what images take now.
	Memory Memory `json:"memory"`
	// Devices as they are now, and their last changes, oldest first.
	Devices []DeviceStats `json:"devices"`
	Events  []DeviceEvent `json:"events"`
}

// DeviceStats is one device as it is now.
type DeviceStats struct {
	Device string `json:"device"` // such as "cuda:0"
	Lost   bool   `json:"lost"`
	// Suspended: it has failed several batches in a row and gets none for a time,
	// then one to try.
	Suspended bool `json:"suspended"`
	// Answered is how many pictures it has computed.
	Answered uint64 `json:"answered"`
	// Running is how many batches the device is given at this moment.
	Running int `json:"running"`
	// BatchTime is how long a batch of MaxBatch has taken lately, 0 before that is
	// known.
	BatchTime time.Duration `json:"batch_time_ns"`
	// MemoryLimit is how many bytes of its memory are taken at most, and Memory how
	// many are taken now, beside TensorRT's own; 0 on the CPU.
	MemoryLimit int64 `json:"memory_limit"`
	Memory      int64 `json:"memory"`
}

// DeviceEvent is a change of a device: "lost", "still lost" (a try to have it
// back that failed), "suspended", "still failing" (as a try has shown), or "back".
type DeviceEvent struct {
	Time   time.Time `json:"time"`
	Device string    `json:"device"`
	What   string    `json:"what"`
	Reason string    `json:"reason,omitempty"`
}

// Stats returns what has been done so far. A Swap begins anew.
func (d *Detector) Stats() Stats {
	c, err := d.current()
	if err != nil {
		return Stats{}
	}
	s := c.scheduler.Stats()
	stats := Stats{
		Pictures: s.Pictures, Answered: s.Answered, Batches: s.Batches, Failed: s.Failed, Canceled: s.Canceled,
		Overloaded: s.Overloaded, Late: s.Late, Retried: s.Retried, Waiting: s.Waiting, Memory: c.memory(s.Bytes),
	}
	taken := c.backend.Memory().Devices
	for _, device := range s.Devices {
		one := DeviceStats{
			Device: device.Device, Lost: device.Lost, Suspended: device.Suspended, Answered: device.Answered, Running: device.Running,
			BatchTime: device.BatchTime,
		}
		if at := slices.IndexFunc(taken, func(m backend.DeviceMemory) bool { return m.Device == device.Device }); at >= 0 {
			one.MemoryLimit, one.Memory = taken[at].Limit, taken[at].Taken
		}
		stats.Devices = append(stats.Devices, one)
	}
	for _, e := range s.Events {
		event := DeviceEvent{Time: e.Time, Device: e.Device, What: string(e.What)}
		if e.Err != nil {
			event.Reason = e.Err.Error()
		}
		stats.Events = append(stats.Events, event)
	}
	return stats
}
