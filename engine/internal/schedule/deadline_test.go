package schedule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadlinesUnderLoad keeps a device busy with batches of 80 ms. A call whose
// deadline leaves time for the batch that runs and one of its own is answered in
// time; one that does not is refused before its images are read.
func TestDeadlinesUnderLoad(t *testing.T) {
	for _, within := range []time.Duration{60, 100, 150} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, Config[*image]{Batch: 8}, &testStream{device: "a", takes: func(n int) time.Duration {
				return time.Duration(10*n) * time.Millisecond
			}})
			ctx, stop := context.WithCancel(t.Context())
			var others sync.WaitGroup
			for range 16 {
				others.Go(func() {
					for ctx.Err() == nil {
						if _, err := do(ctx, s, "", 1); err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					}
				})
			}
			time.Sleep(time.Second)
			var answered, refused int
			for i := range 50 {
				time.Sleep(time.Duration(37*i%80) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), within*time.Millisecond)
				c := NewCall[*image]()
				c.Items = []*image{{}}
				err := s.Enter(ctx, c)
				switch {
				case err == nil:
					s.Ready(c)
					if err := s.Wait(ctx, c); err == nil {
						answered++
					}
					s.Exit(c, nil, nil)
				case errors.Is(err, context.DeadlineExceeded):
					refused++
				default:
					t.Error(err)
				}
				cancel()
			}
			stop()
			others.Wait()
			t.Logf("within %d ms: %d answered, %d refused before they were read", within, answered, refused)
			if min := map[time.Duration]int{60: 25, 100: 50, 150: 50}[within]; answered < min || answered+refused < 49 {
				t.Errorf("within %d ms: %d answered, want %d; %d refused", within, answered, min, refused)
			}
		})
	}
}

// TestNobodyStarves has callers with deadlines keep a device busy: one without is
// answered all the same.
func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{Batch: 1}, &testStream{device: "a", takes: fixed(100 * time.Millisecond)})
		ctx, stop := context.WithCancel(t.Context())
		var others sync.WaitGroup
		for range 8 {
			others.Go(func() {
				for ctx.Err() == nil {
					within, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
					if _, err := do(within, s, "", 1); err != nil {
						time.Sleep(time.Millisecond)
					}
					cancel()
				}
			})
		}
		time.Sleep(time.Second)
		begin := time.Now()
		if _, err := do(t.Context(), s, "", 1); err != nil || time.Since(begin) > 2*patience+2*time.Second { // in the queue, then among what is ready
			t.Errorf("without a deadline: %v after %s", err, time.Since(begin))
		}
		stop()
		others.Wait()
	})
}

// TestEarliestDeadlineFirst has calls wait behind one that runs.
func TestEarliestDeadlineFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{Batch: 1}, &testStream{device: "a", takes: fixed(10 * time.Millisecond)})
		var all sync.WaitGroup
		var mu sync.Mutex
		var order []int
		call := func(within int) {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(within)*10*time.Millisecond)
				defer cancel()
				if _, err := do(ctx, s, "", 1); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, within)
				mu.Unlock()
			})
			synctest.Wait()
		}
		for _, within := range []int{30, 90, 80, 70, 60, 50, 40} { // the first runs, three are ready, the others wait
			call(within)
		}
		all.Wait()
		// each that is answered lets the earliest of those that wait in
		if want := []int{30, 70, 40, 50, 60, 80, 90}; !slices.Equal(order, want) {
			t.Errorf("answered in order %v, want %v", order, want)
		}
	})
}

// TestMeasure holds what is expected of a size to what was measured of others.
func TestMeasure(t *testing.T) {
	var m measure
	if m.of(4) != 0 || m.least(4) != 0 {
		t.Error("something is expected of nothing")
	}
	for range minMeasured {
		m.add(8, 80)
	}
	for _, c := range []struct {
		n         int
		of, least time.Duration
	}{{8, 80, 80}, {4, 80, 40}, {1, 80, 10}, {16, 160, 80}} {
		if m.of(c.n) != c.of || m.least(c.n) != c.least {
			t.Errorf("%d of 8 in 80: of %d, least %d, want %d and %d", c.n, m.of(c.n), m.least(c.n), c.of, c.least)
		}
	}
	for range minMeasured {
		m.add(2, 50)
		m.add(100, 1000)
	}
	for _, c := range []struct {
		n         int
		of, least time.Duration
	}{{2, 50, 50}, {5, 65, 50}, {1, 50, 25}, {128, 1000, 1000}, {64, 509, 500}, {1000, 7812, 1000}} {
		if m.of(c.n) != c.of || m.least(c.n) != c.least {
			t.Errorf("%d: of %d, least %d, want %d and %d", c.n, m.of(c.n), m.least(c.n), c.of, c.least)
		}
	}
}

// TestTwoCallsOfACaller has callers that come again and again fill the queue. The
// second call of one with two is answered too, and its deadlines are taken for what
// they are.
func TestTwoCallsOfACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{Batch: 1}, &testStream{device: "a", takes: fixed(time.Second)})
		ctx, stop := context.WithCancel(t.Context())
		var others, two sync.WaitGroup
		for range 20 {
			others.Go(func() {
				for ctx.Err() == nil {
					do(ctx, s, "", 1) //nolint:errcheck // until it is stopped
				}
			})
		}
		time.Sleep(10 * time.Second)
		for _, within := range []time.Duration{25 * time.Second, time.Minute} {
			two.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				if _, err := do(ctx, s, "two", 1); err != nil {
					t.Errorf("within %s: %v", within, err)
				}
			})
			synctest.Wait()
		}
		two.Wait()
		stop()
		others.Wait()
	})
}

// TestStatsOfWhatIsDropped counts all images of a call by what became of the call.
func TestStatsOfWhatIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{}, &testStream{device: "a", takes: fixed(time.Second)})
		for range minMeasured + 1 { // the last is behind nothing
			if _, err := do(t.Context(), s, "", 1, 2, 3, 4); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		all.Go(func() { do(t.Context(), s, "", 1, 2, 3, 4) }) //nolint:errcheck // what the others are behind
		synctest.Wait()
		canceled, cancel := context.WithCancel(t.Context())
		all.Go(func() { do(canceled, s, "", 1, 2, 3, 4) }) //nolint:errcheck // canceled
		synctest.Wait()
		cancel()
		all.Wait()
		if stats := s.Stats(); stats.Canceled != 4 || stats.Failed != 0 || stats.Late != 0 {
			t.Errorf("%+v", stats)
		}
	})
}
