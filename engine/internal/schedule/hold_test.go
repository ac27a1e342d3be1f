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

func TestMaxDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testStream{device: "a", takes: fixed(time.Millisecond)}
		s := start(t, Config[*image]{MaxDelay: time.Second}, lane)
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if _, err := do(t.Context(), s, "", i); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		if took := time.Since(begin); took != 400*time.Millisecond || !slices.Equal(lane.sizes, []int{4}) {
			t.Errorf("a full batch waited %s: %v", took, lane.sizes)
		}
		begin = time.Now()
		if _, err := do(t.Context(), s, "", 1); err != nil || time.Since(begin) != time.Second+time.Millisecond {
			t.Errorf("one picture was held %s, %v", time.Since(begin), err)
		}
	})
}

// Callers that have been answered are waited for, and a caller who is alone is
// not held for nobody, but for a try now and then.
func TestMaxDelayKnowsWhoIsAround(t *testing.T) {
	for _, naps := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var nap func(time.Duration)
			if naps {
				nap = time.Sleep
			}
			one, two := &testStream{device: "a", takes: fixed(time.Millisecond)}, &testStream{device: "a", takes: fixed(time.Millisecond)}
			s := start(t, Config[*image]{MaxDelay: 500 * time.Microsecond, Nap: nap}, one, two)
			rounds := func(n int) {
				for range n {
					if _, err := do(t.Context(), s, "", 1); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Microsecond)
				}
			}
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { rounds(100) })
			}
			all.Wait()
			full := 0
			sizes := append(one.sizes, two.sizes...)
			for _, n := range sizes {
				if n == 4 {
					full++
				}
			}
			if full < 99 {
				t.Errorf("batches of %v", sizes)
			}
			rounds(20) // until it is known that the others have left
			begin := time.Now()
			rounds(100)
			if took := time.Since(begin); took > 100*time.Millisecond+3*time.Millisecond {
				t.Errorf("alone, 100 calls of a millisecond took %s", took)
			}
			begin = time.Now()
			rounds(2 * tryEvery)
			if held := time.Since(begin) - 2*tryEvery*(1010*time.Microsecond); held <= 0 || held > 3*500*time.Microsecond {
				t.Errorf("alone, %d calls were held for %s, want one in %d", 2*tryEvery, held, tryEvery)
			}
		})
	}
}

// A hold is no longer than a deadline allows, and what is held for a caller who
// goes away leaves nothing behind.
func TestMaxDelayEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes, most = 9 * time.Millisecond, 5 * time.Millisecond
		s := start(t, Config[*image]{MaxDelay: most}, &testStream{device: "a", takes: fixed(takes)})
		once := func(d time.Duration) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			begin := time.Now()
			_, err := do(ctx, s, "", 1)
			return time.Since(begin), err
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(most/2, cancel)
		if _, err := do(ctx, s, "", 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("held for longer than its caller waits: %v", err)
		}
		time.Sleep(time.Second)
		if took, err := once(time.Minute); err != nil || took != most+takes {
			t.Errorf("held after another was given up: %s, %v", took, err)
		}
		for range minMeasured {
			if _, err := once(time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := do(t.Context(), s, "", 1, 2); err != nil { // two are around now
			t.Fatal(err)
		}
		if took, err := once(takes + most/2); err != nil || took != takes {
			t.Errorf("a deadline that a hold would miss: %s, %v", took, err)
		}
		if _, err := do(t.Context(), s, "", 1, 2); err != nil {
			t.Fatal(err)
		}
		if took, err := once(takes + 2*most); err != nil || took != most+takes {
			t.Errorf("a deadline with time for a hold: %s, %v", took, err)
		}
	})
}
