package schedule

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// device is what streams run on.
type device[T any] struct {
	name     string
	state    deviceState
	streams  []*stream[T]
	measure  measure
	running  int // batches
	answered uint64
	failures int         // batches that it has failed in a row
	tries    int         // that have not brought it back
	resume   *time.Timer // of a suspended device
	reason   error       // why it is not working
	forGood  bool        // it is lost for good
}

// deviceState is whether a device takes batches.
type deviceState int

const (
	working deviceState = iota
	// suspended: it has failed again and again, and is left alone for a time (a
	// circuit breaker that is open).
	suspended
	// trial: it was suspended and takes one batch, which decides (half open).
	trial
	lostDevice
)

// maxFailures is how many batches in a row a device may fail before it is
// suspended.
const maxFailures = 3

// inUse reports whether a device counts among those that work.
func (d *device[T]) inUse() bool { return d.state == working || d.state == trial }

// takes reports whether a device takes another batch now.
func (d *device[T]) takes() bool {
	return d.state == working || (d.state == trial && d.running == 0)
}

// backoff is how long a device is left alone before the next try.
func (s *Scheduler[T]) backoff(d *device[T]) time.Duration {
	return s.config.Backoff << min(d.tries, 6)
}

// deviceOf returns the device of a name.
func (s *Scheduler[T]) deviceOf(name string) *device[T] {
	at := slices.IndexFunc(s.devices, func(d *device[T]) bool { return d.name == name })
	if at < 0 {
		at = len(s.devices)
		s.devices = append(s.devices, &device[T]{name: name})
	}
	return s.devices[at]
}

// recovered takes in that a device has run a batch.
func (s *Scheduler[T]) recovered(d *device[T]) {
	if !d.inUse() {
		return
	}
	suspended := d.state == trial
	d.state, d.failures, d.tries, d.reason = working, 0, 0, nil
	if suspended {
		s.back(d)
	}
}

// back tells that a device that was suspended takes batches like the others.
func (s *Scheduler[T]) back(d *device[T]) {
	s.config.Log.Warn("a device works again, or is the only one left", "device", d.name)
	s.event(d.name, Back, nil)
}

// failed takes in that a device has failed a batch. One that fails again and again
// is suspended, unless it is the last: then there is nothing to spare calls for.
func (s *Scheduler[T]) failed(d *device[T], err error) {
	if d.failures++; d.failures == 1 {
		s.config.Log.Warn("a device has failed a batch, which is run again", "device", d.name, "reason", err)
	}
	others := slices.ContainsFunc(s.devices, func(o *device[T]) bool { return o != d && o.inUse() })
	switch {
	case !d.inUse() || (d.state == working && d.failures < maxFailures):
		return
	case !others:
		if d.state == trial {
			d.state = working
			s.back(d)
		}
		return
	case d.state == trial:
		d.tries++
		s.event(d.name, StillFailing, err)
	default:
		s.config.Log.Error("a device fails again and again and is left alone for a time",
			"device", d.name, "for", s.backoff(d), "reason", err)
		s.event(d.name, Suspended, err)
	}
	s.available -= s.counted(d)
	d.state, d.reason = suspended, err
	d.resume = time.AfterFunc(s.backoff(d), func() { s.try(d) })
	s.freeOrphans()
}

// counted is how many of the available streams are a device's.
func (s *Scheduler[T]) counted(d *device[T]) int {
	if d.inUse() {
		return len(d.streams)
	}
	return 0
}

// try lets a suspended device have a batch.
func (s *Scheduler[T]) try(d *device[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.state != suspended || s.closed {
		return
	}
	d.state = trial
	s.available += len(d.streams)
	s.dispatch(time.Now())
}

// lose takes a device out. Its streams end; a batch that one still runs will tell
// of the loss as well.
func (s *Scheduler[T]) lose(d *device[T], err error, forGood bool) {
	d.forGood = d.forGood || forGood
	if d.state == lostDevice {
		return
	}
	s.available -= s.counted(d)
	d.state, d.reason = lostDevice, err
	if d.resume != nil {
		d.resume.Stop()
	}
	s.takeBack()
	s.config.Log.Error("a device is lost", "device", d.name, "streams left", s.available, "reason", err)
	s.event(d.name, Lost, err)
	if s.available > 0 {
		s.freeOrphans()
		return
	}
	var reasons []error
	for _, d := range s.devices {
		reasons = append(reasons, fmt.Errorf("%s: %w", d.name, d.reason))
	}
	s.lost = errors.Join(reasons...)
	for c := s.queue.first(); c != nil; c = s.queue.first() {
		s.queue.pop()
		s.stats.Waiting -= len(c.Items)
		s.refuse(c, s.lost, &s.stats.Failed)
	}
	s.failReady()
}

// takeBack has a suspended device work again where no other does: to fail is no
// worse than to refuse.
func (s *Scheduler[T]) takeBack() {
	for _, d := range s.devices {
		if s.available == 0 && d.state == suspended {
			d.resume.Stop()
			d.state = working
			s.available += len(d.streams)
			s.back(d)
		}
	}
}

// failReady answers what is ready where there is nothing to run it.
func (s *Scheduler[T]) failReady() {
	for _, e := range s.ready {
		s.batchEnds([]entry[T]{e}, s.lost)
	}
	clear(s.ready)
	s.ready = s.ready[:0]
	s.hold.left(0)
}

// freeOrphans lets images that every device left has failed be tried once more, each
// by itself: maxAttempts bounds how often.
func (s *Scheduler[T]) freeOrphans() {
	for i := range s.ready {
		if e := &s.ready[i]; len(e.failedOn) > 0 && !s.runnable(e) {
			e.alone, e.failedOn = true, nil
		}
	}
}

// reopen ends the streams of a lost device, none of which runs, and tries to have
// it back until that is so or the Scheduler closes.
func (s *Scheduler[T]) reopen(d *device[T]) {
	for _, l := range d.streams {
		close(l.work)
	}
	d.streams, d.tries = nil, 0
	if s.config.Reopen == nil || s.closed || d.forGood {
		return
	}
	s.goroutines.Go(func() {
		for wait := s.config.Backoff; ; {
			select {
			case <-time.After(wait):
			case <-s.closing:
				return
			}
			streams, err := s.config.Reopen(d.name)
			again := s.reopened(d, streams, err)
			if again == 0 {
				return
			}
			wait = again
		}
	})
}

// reopened takes in what a try to have a lost device back has come to, and returns
// when to try again, 0 where that is over.
func (s *Scheduler[T]) reopened(d *device[T], streams []Stream[T], err error) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed: // the other streams have ended, or will without these
		return 0
	case err != nil:
		d.tries++
		d.reason = err
		s.event(d.name, StillLost, err)
		if s.classify(err) == DeviceLostForGood {
			return 0
		}
		return s.backoff(d)
	}
	d.failures, d.tries, d.reason = 0, 0, nil
	s.config.Log.Warn("a lost device is back", "device", d.name)
	s.event(d.name, Back, nil)
	s.add(streams)
	s.dispatch(time.Now())
	s.grant()
	return 0
}
