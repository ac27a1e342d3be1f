package schedule

import (
	"context"
	"fmt"
	"time"
)

// tooLate is the error of a call whose deadline cannot be kept, nil where it can
// be or where nobody knows. What counts is the batch that runs, what comes before
// the call, and the batch that it will be in.
func (s *Scheduler[T]) tooLate(c *Call[T]) error {
	if c.deadline.IsZero() {
		return nil
	}
	now := time.Now()
	n, share := len(c.Items), s.ahead(c)/max(s.available, 1)
	var fastest *device[T]
	shortest := time.Duration(-1)
	for _, d := range s.devices {
		if !d.takes() {
			continue
		}
		run := d.measure.least(min(share%s.config.Batch+n, s.config.Batch)) +
			time.Duration(share/s.config.Batch)*d.measure.of(s.config.Batch)
		for _, l := range d.streams {
			wait := run
			if l.busy && l.until.After(now) {
				wait += l.until.Sub(now)
			}
			if shortest < 0 || wait < shortest {
				fastest, shortest = d, wait
			}
		}
	}
	if fastest == nil || c.deadline.Sub(now) >= shortest {
		return nil
	}
	if s.idle() {
		fastest.measure.doubt()
	}
	return fmt.Errorf("%w: an answer takes about %s", context.DeadlineExceeded, shortest.Round(time.Microsecond))
}

// ahead is how many images come before a call's.
func (s *Scheduler[T]) ahead(c *Call[T]) int {
	n := 0
	for _, e := range s.ready {
		if e.call != c && e.key <= c.key {
			n++
		}
	}
	for _, r := range s.reading {
		if r != c && r.key <= c.key {
			n += len(r.Items)
		}
	}
	if c.state != waiting && len(s.queue.calls) > 0 { // it has its turn otherwise
		s.queue.place(c)
		for _, w := range s.queue.calls {
			if w != c && w.before(c) {
				n += len(w.Items)
			}
		}
	}
	return n
}

// idle reports whether no stream runs.
func (s *Scheduler[T]) idle() bool {
	for _, d := range s.devices {
		if d.running > 0 {
			return false
		}
	}
	return true
}

// latest is when the first images that are ready have to go for their deadlines to
// be kept by a batch that takes as long; zero where they have none.
func latest[T any](entries []entry[T], takes time.Duration) time.Time {
	var latest time.Time
	for _, e := range entries {
		if at := e.call.deadline; !at.IsZero() && (latest.IsZero() || at.Add(-takes).Before(latest)) {
			latest = at.Add(-takes)
		}
	}
	return latest
}

// inTime returns how many of the entries, the first ones, a device runs as one
// batch: as many as their deadlines leave time for.
func (d *device[T]) inTime(entries []entry[T], now time.Time) int {
	for n := len(entries); n > 1; n-- {
		if start := latest(entries[:n], d.measure.of(n)); start.IsZero() || !start.Before(now) {
			return n
		}
	}
	return 1
}
