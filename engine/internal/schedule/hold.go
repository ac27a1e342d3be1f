package schedule

import (
	"sync"
	"sync/atomic"
	"time"
)

// hold decides how long a batch that is not full is held for company. Callers
// that were there lately and are not now are on their way back, having been
// answered: for them it is worth to wait, and for more than came before is not,
// but for a try now and then.
type hold struct {
	most    time.Duration // 0 is not at all
	timer   *time.Timer
	naps    chan time.Duration // nil where the timer does it all
	napping atomic.Bool
	since   time.Time // when what is ready now was held first; zero where it is not
	// around is how many pictures have been under way at once lately, 0 before
	// the first batch.
	around float64
	unheld int // batches that went before they were full since one was held
}

// tryEvery is how many batches go unheld before one is held to see whether
// others come.
const tryEvery = 256

// start has over called when a hold has been long enough.
func (h *hold) start(most time.Duration, nap func(time.Duration), goroutines *sync.WaitGroup, over func()) {
	h.most = most
	h.timer = time.AfterFunc(time.Hour, over)
	h.timer.Stop()
	if nap == nil || most == 0 {
		return
	}
	naps := make(chan time.Duration, 1)
	h.naps = naps
	goroutines.Go(func() {
		for wait := range naps {
			nap(wait)
			h.napping.Store(false)
			over()
		}
	})
}

// stop ends the goroutine that start has begun.
func (h *hold) stop() {
	h.timer.Stop()
	if h.naps != nil {
		close(h.naps)
		h.naps = nil
	}
}

// holds reports whether what is ready, and could go, is held, and if so has over
// called when that ends. What has to go before that is not held.
func (h *hold) holds(now time.Time, ready int, latest time.Time) bool {
	if h.most == 0 || (h.around > 0 && float64(ready) > h.around-0.5 && h.unheld < tryEvery) {
		return false
	}
	if h.since.IsZero() {
		h.since = now
	}
	wait := h.most - now.Sub(h.since)
	switch {
	case wait <= 0 || (!latest.IsZero() && !latest.After(now.Add(wait))):
		return false
	case h.naps == nil || wait >= time.Millisecond:
		h.timer.Reset(wait)
	case h.napping.CompareAndSwap(false, true):
		h.naps <- wait
	}
	return true
}

// left takes in that callers have gone away, so that as many are ready.
func (h *hold) left(ready int) {
	if ready == 0 {
		h.since = time.Time{}
	}
}

// sent takes in that a batch goes, full or not, when so many pictures are under
// way.
func (h *hold) sent(inside int, full bool) {
	h.around = max(float64(inside), h.around+(float64(inside)-h.around)/8)
	if !h.since.IsZero() {
		h.unheld = 0
	} else if !full {
		h.unheld++
	}
	h.since = time.Time{}
}
