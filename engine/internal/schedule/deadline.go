package schedule

import (
	"context"
	"fmt"
	"time"
)

// tooLate is the error of a call whose deadline cannot be kept behind as many
// other pictures, nil where it can be or where nobody knows.
func (s *Scheduler[T]) tooLate(c *Call[T], ahead int) error {
	if c.deadline.IsZero() {
		return nil
	}
	// the lane that is expected to answer first, its share of what is ahead before
	var soonest *lane[T]
	least := time.Duration(-1)
	share := ahead / max(s.open, 1)
	n := len(c.Items)
	for _, d := range s.devices {
		if d.out {
			continue
		}
		for _, l := range d.lanes {
			wait := l.measure.of(n) + time.Duration(share/s.config.Batch)*l.measure.of(s.config.Batch)
			if least < 0 || wait < least {
				soonest, least = l, wait
			}
		}
	}
	if soonest == nil || time.Until(c.deadline) >= least {
		return nil
	}
	if !s.running() {
		soonest.measure.doubt(n)
	}
	s.stats.Late += uint64(n)
	return fmt.Errorf("%w: an answer takes about %s", context.DeadlineExceeded, least.Round(time.Microsecond))
}

// running reports whether any lane runs.
func (s *Scheduler[T]) running() bool {
	for _, d := range s.devices {
		if d.running > 0 {
			return true
		}
	}
	return false
}

// latest is when what is ready has to go for every deadline to be kept by a batch
// that takes as long; zero where there is none.
func (s *Scheduler[T]) latest(takes time.Duration) time.Time {
	var latest time.Time
	for _, e := range s.ready {
		if at := e.call.deadline; !at.IsZero() && (latest.IsZero() || at.Add(-takes).Before(latest)) {
			latest = at.Add(-takes)
		}
	}
	return latest
}

// unwanted is the error of a call that nobody waits for any more, or whose
// deadline cannot be kept by a batch that begins now; nil where it can be.
func (s *Scheduler[T]) unwanted(c *Call[T], now time.Time, takes time.Duration) error {
	if err := c.ctx.Err(); err != nil {
		s.stats.Canceled++
		return err
	}
	if c.deadline.IsZero() || c.deadline.Sub(now) >= takes {
		return nil
	}
	s.stats.Late++
	return fmt.Errorf("%w: a batch takes about %s", context.DeadlineExceeded, takes.Round(time.Microsecond))
}
