package cuda

// #include <cuda.h>
import "C"

import (
	"errors"
	"time"
)

// clock tells when a stream has reached each of a few marks. A nil clock has
// none.
type clock struct {
	device *Device
	marks  []C.CUevent
}

func (d *Device) newClock(marks int) (*clock, error) {
	c := &clock{device: d}
	err := d.Do(func() error {
		for range marks {
			var event C.CUevent
			if err := failed("cuEventCreate", C.cuEventCreate(&event, C.CU_EVENT_BLOCKING_SYNC)); err != nil {
				return err
			}
			c.marks = append(c.marks, event)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// mark has the stream set a mark when all that was added before is done; in a
// graph, at each replay. It belongs inside the device's Do.
func (c *clock) mark(n int, s *Stream) error {
	if c == nil {
		return nil
	}
	if !s.capturing {
		return failed("cuEventRecord", C.cuEventRecord(c.marks[n], s.c()))
	}
	// without the flag, it would order the graph's work and not be in it
	return failed("cuEventRecordWithFlags", C.cuEventRecordWithFlags(c.marks[n], s.c(), C.CU_EVENT_RECORD_EXTERNAL))
}

// since returns the time from the mark before to the nth, 0 of a nil clock.
// Both have to be reached.
func (c *clock) since(n int) (time.Duration, error) {
	if c == nil {
		return 0, nil
	}
	return c.between(n-1, n)
}

// between returns the time from one mark to another. Both have to be reached.
func (c *clock) between(from, to int) (time.Duration, error) {
	var milliseconds C.float
	err := c.device.Do(func() error {
		return failed("cuEventElapsedTime", C.cuEventElapsedTime(&milliseconds, c.marks[from], c.marks[to]))
	})
	return time.Duration(float64(milliseconds) * float64(time.Millisecond)), err
}

// wait blocks until a mark is reached that a stream was told to set. It is called
// outside of the device's Do.
func (c *clock) wait(n int) error { return c.device.waitFor(c.marks[n], nil) }

// Close frees the marks. It is safe to call twice.
func (c *clock) Close() error {
	if c == nil || c.marks == nil {
		return nil
	}
	marks := c.marks
	c.marks = nil
	return c.device.Do(func() error {
		var errs []error
		for _, event := range marks {
			errs = append(errs, failed("cuEventDestroy", C.cuEventDestroy(event)))
		}
		return errors.Join(errs...)
	})
}
