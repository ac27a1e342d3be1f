package schedule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// lose takes a device out. Its lanes end; a batch that one still runs will tell
// of the loss as well.
func (s *Scheduler[T]) lose(d *device[T], err error) {
	if d.out {
		return
	}
	d.out, d.reason = true, err
	s.open -= len(d.lanes)
	s.config.Log.Error("a device is lost", "device", d.name, "lanes left", s.open, "reason", err)
	s.event(d.name, Lost, err)
	if s.open > 0 {
		return
	}
	var reasons []error
	for _, name := range slices.Sorted(maps.Keys(s.devices)) {
		reasons = append(reasons, fmt.Errorf("%s: %w", name, s.devices[name].reason))
	}
	s.lost = errors.Join(reasons...)
	for c := s.ring.first(); c != nil; c = s.ring.first() {
		s.ring.pop()
		s.stats.Waiting -= len(c.Items)
		s.stats.Failed += uint64(len(c.Items))
		s.end(c)
		c.err = s.lost
		c.turn <- struct{}{}
	}
	s.failReady()
}

// failReady answers what is ready where there is nothing to compute it.
func (s *Scheduler[T]) failReady() {
	for _, e := range s.ready {
		s.stats.Failed++
		s.free++
		s.itemDone(e, s.lost)
	}
	clear(s.ready)
	s.ready = s.ready[:0]
	s.hold.left(0)
}

// probe ends the lanes of a lost device, none of which runs, and tries to have it
// back until that is so or the Scheduler closes.
func (s *Scheduler[T]) probe(d *device[T]) {
	for _, l := range d.lanes {
		close(l.work)
	}
	d.lanes = nil
	if s.config.Reopen == nil || s.closed {
		return
	}
	s.lanes.Go(func() {
		for tries := range 1 << 30 {
			select {
			case <-time.After(s.config.Probe << min(tries, 6)):
			case <-s.closing:
				return
			}
			lanes, err := s.config.Reopen(d.name)
			if s.tried(d, lanes, err) {
				return
			}
		}
	})
}

// tried takes in what a try to have a device back has come to, and reports
// whether it was the last.
func (s *Scheduler[T]) tried(d *device[T], lanes []Lane[T], err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed: // the other lanes have ended, or will without these
		return true
	case err != nil:
		s.event(d.name, StillLost, err)
		return false
	}
	s.config.Log.Warn("a lost device is back", "device", d.name)
	s.event(d.name, Back, nil)
	s.add(lanes)
	s.dispatch(time.Now())
	return true
}
