package schedule

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// dispatch hands batches to streams while there are both.
func (s *Scheduler[T]) dispatch(now time.Time) {
	s.dropUnwanted(now)
	for at := 0; at < len(s.ready); {
		l := s.pick(now, at)
		if l == nil { // another image may have failed elsewhere
			at = s.nextChoice(at)
			continue
		}
		if s.holds(now, at, l.device) {
			return
		}
		s.give(l, at, now)
		at = 0
	}
}

// dropUnwanted answers what nobody waits for, and what cannot be in time.
func (s *Scheduler[T]) dropUnwanted(now time.Time) {
	left := s.ready[:0]
	for _, e := range s.ready {
		switch err := s.hopeless(e.call, now); {
		case e.call.hasGone():
			s.stats.Canceled++
			s.itemDone(e, errGone)
		case err != nil:
			s.stats.Late++
			s.itemDone(e, err)
		case e.call.err != nil: // one of the call's other images has failed
			s.stats.Failed++
			s.itemDone(e, e.call.err)
		default:
			left = append(left, e)
		}
	}
	if len(left) == len(s.ready) {
		return
	}
	clear(s.ready[len(left):])
	s.ready = left
	s.hold.left(len(left))
	s.grant()
}

// hopeless is the error of a call whose deadline no device keeps, not even by the
// shortest batch, begun now; nil where one may.
func (s *Scheduler[T]) hopeless(c *Call[T], now time.Time) error {
	if c.deadline.IsZero() {
		return nil
	}
	left := c.deadline.Sub(now)
	var fastest *device[T]
	var shortest time.Duration
	for _, d := range s.devices {
		if takes := d.measure.shortest(); d.takes() && (fastest == nil || takes < shortest) {
			fastest, shortest = d, takes
		}
	}
	if left > 0 && (fastest == nil || left >= shortest) {
		return nil
	}
	if fastest == nil || shortest == 0 {
		return context.DeadlineExceeded
	}
	if s.idle() {
		fastest.measure.doubt()
	}
	return fmt.Errorf("%w: a batch takes about %s", context.DeadlineExceeded, shortest.Round(time.Microsecond))
}

// nextChoice is the next image for which another stream may be chosen: one that
// has not failed on the same devices.
func (s *Scheduler[T]) nextChoice(at int) int {
	for next := at + 1; next < len(s.ready); next++ {
		if !slices.Equal(s.ready[next].failedOn, s.ready[at].failedOn) {
			return next
		}
	}
	return len(s.ready)
}

// candidates are the images from one on that can be a batch of a device, in order:
// those that are in its way are moved behind them.
func (s *Scheduler[T]) candidates(d *device[T], at int) []entry[T] {
	if s.ready[at].alone {
		return s.ready[at : at+1]
	}
	n, bytes := 0, int64(0)
	for i := at; i < len(s.ready) && n < s.config.Batch; i++ {
		e := s.ready[i]
		if e.alone || slices.Contains(e.failedOn, d) {
			continue
		}
		if bytes += e.size; n > 0 && s.config.BatchBytes > 0 && bytes > s.config.BatchBytes {
			break
		}
		copy(s.ready[at+n+1:i+1], s.ready[at+n:i])
		s.ready[at+n] = e
		n++
	}
	return s.ready[at : at+n]
}

// holds reports whether what could go from one image on waits for more to come. A
// batch that leaves something behind would gain nothing.
func (s *Scheduler[T]) holds(now time.Time, at int, d *device[T]) bool {
	entries := s.candidates(d, at)
	n := len(entries)
	return n < s.config.Batch && at+n == len(s.ready) && !entries[0].alone && !s.closed &&
		s.hold.holds(now, n, latest(entries, d.measure.of(n)))
}

// give hands a stream a batch of images from one on.
func (s *Scheduler[T]) give(l *stream[T], at int, now time.Time) {
	entries := s.candidates(l.device, at)
	entries = entries[:l.device.inTime(entries, now)]
	b := &l.batch
	for _, e := range entries {
		e.call.Waited = e.call.queued + now.Sub(e.call.since)
		b.entries = append(b.entries, e)
		b.items = append(b.items, e.item)
	}
	n := len(entries)
	s.ready = slices.Delete(s.ready, at, at+n)
	s.hold.sent(s.inside, n == s.config.Batch)
	b.live = n
	l.busy = true
	l.device.running++
	l.until = now.Add(l.device.measure.of(n))
	l.work <- struct{}{}
}

// pick returns the free stream that is expected to be done first with a batch from
// one image on; nil where there is none, or where waiting for one that is busy is
// expected to be sooner and all that is ready fits its next batch.
func (s *Scheduler[T]) pick(now time.Time, at int) *stream[T] {
	n := min(len(s.ready)-at, s.config.Batch)
	var best, soon *stream[T]
	var bestEnd, soonEnd time.Time
	for _, d := range s.devices {
		if !d.takes() || slices.Contains(s.ready[at].failedOn, d) {
			continue
		}
		takes := d.measure.of(n)
		for _, l := range d.streams {
			if l.busy {
				end := l.until.Add(takes)
				if takes > 0 && l.until.After(now) && (soon == nil || end.Before(soonEnd)) {
					soon, soonEnd = l, end
				}
				continue
			}
			end := now.Add(time.Duration(d.running+1) * takes) // the others have the device too
			if best == nil || end.Before(bestEnd) {
				best, bestEnd = l, end
			}
		}
	}
	if best == nil || soon == nil || soon.device == best.device || best.device.measure.of(n) == 0 || !soonEnd.Before(bestEnd) ||
		len(s.ready) > s.config.Batch {
		return best
	}
	s.wake.Reset(soon.until.Sub(now) + time.Microsecond) // it may be late, and then the other one is sooner
	return nil
}

// serve runs what dispatch hands to a stream.
func (s *Scheduler[T]) serve(l *stream[T]) {
	for range l.work {
		start := time.Now()
		err := l.run()
		end := time.Now()
		s.mu.Lock()
		s.batchDone(l, err, end, end.Sub(start))
		exited := s.exited
		s.exited = nil
		s.mu.Unlock()
		for _, c := range exited {
			release := c.release
			c.state, c.release = idle, nil
			s.giveBack(c, release)
		}
	}
}

// run runs the batch. A panic is an error like another: what a caller's image lies
// in may have changed under it.
func (l *stream[T]) run() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", l.Device(), v, debug.Stack())
		}
	}()
	return l.Run(l.batch.items, l.interrupted)
}

// interrupted returns a context that ends when nobody waits for a stream's batch.
func (s *Scheduler[T]) interrupted(l *stream[T]) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &l.batch
	if b.ctx == nil {
		b.ctx, b.cancel = context.WithCancel(context.Background())
		if b.live <= 0 {
			b.cancel()
		}
	}
	return b.ctx
}

// batchDone takes in the end of a stream's batch.
func (s *Scheduler[T]) batchDone(l *stream[T], err error, now time.Time, took time.Duration) {
	b, d := &l.batch, l.device
	if b.cancel != nil {
		b.cancel()
		b.ctx, b.cancel = nil, nil
	}
	l.busy = false
	d.running--
	switch kind := s.classify(err); {
	case err == nil:
		d.measure.add(len(b.entries), took)
		d.answered += uint64(len(b.entries))
		s.recovered(d)
		s.stats.Batches++
		s.batchEnds(b.entries, nil)
	case kind == DeviceLost || kind == DeviceLostForGood:
		s.lose(d, err, kind == DeviceLostForGood)
		s.retry(d, b, err, kind)
	case b.live <= 0: // it was interrupted
		s.batchEnds(b.entries, err)
	default:
		s.stats.Batches++
		if kind == Failed {
			s.failed(d, err)
		}
		s.retry(d, b, err, kind)
	}
	clear(b.entries)
	clear(b.items)
	b.entries, b.items = b.entries[:0], b.items[:0]
	if d.state == lostDevice && d.running == 0 {
		s.reopen(d)
	}
	s.grant()
	s.dispatch(now)
}

func (s *Scheduler[T]) classify(err error) Failure {
	if err == nil || s.config.Classify == nil {
		return Failed
	}
	return s.config.Classify(err)
}

// batchEnds answers the images of a batch.
func (s *Scheduler[T]) batchEnds(entries []entry[T], err error) {
	for _, e := range entries {
		switch {
		case err == nil:
			s.stats.Answered++
		case e.call.abandoned:
			s.stats.Canceled++
		default:
			s.stats.Failed++
		}
		s.itemDone(e, err)
	}
}

// retry has another device run the images of a batch that one has failed, or the
// same, each by itself: one image may be what the others failed by.
func (s *Scheduler[T]) retry(d *device[T], b *batch[T], err error, kind Failure) {
	if s.available == 0 {
		err = s.lost // of all
	}
	for i := range b.entries {
		e := b.entries[i]
		e.attempts++
		e.key = first
		last := e.attempts >= maxAttempts || s.available == 0 || e.call.abandoned || e.call.err != nil
		switch {
		case last:
		case kind == Refused:
			last = len(b.entries) == 1
			e.alone = true
		default:
			e.failedOn = append(e.failedOn, d)
			if !s.runnable(&e) {
				last = len(b.entries) == 1 && kind == Failed
				e.alone, e.failedOn = true, nil
			}
			e.alone = e.alone || e.attempts == maxAttempts-1
		}
		if last {
			s.batchEnds([]entry[T]{e}, err)
			continue
		}
		s.stats.Retried++
		s.insert(e)
	}
}

// runnable reports whether there is a device that an image may be tried on.
func (s *Scheduler[T]) runnable(e *entry[T]) bool {
	return slices.ContainsFunc(s.devices, func(d *device[T]) bool { return d.inUse() && !slices.Contains(e.failedOn, d) })
}
