package schedule

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestLost loses one device after the other: what they had is computed by the
// rest, and where there is none left all is answered at once; then one comes back.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone [2]atomic.Bool
		var all []*testLane
		for i, name := range []string{"a", "b"} {
			for range 2 {
				all = append(all, &testLane{device: name, takes: fixed(time.Second), lost: &gone[i]})
			}
		}
		var tries atomic.Int32
		s := start(t, Config[*picture]{Probe: time.Minute, Reopen: func(device string) ([]Lane[*picture], error) {
			if device != "a" || tries.Add(1) < 5 {
				return nil, errLost
			}
			return lanes(&testLane{device: device}), nil
		}}, all...)
		run := func() (failed int) {
			var callers sync.WaitGroup
			errs := make([]error, 20)
			for i := range errs {
				callers.Go(func() { _, errs[i] = do(t.Context(), s, "", i) })
			}
			callers.Wait()
			for _, err := range errs {
				if err != nil && !errors.Is(err, errLost) {
					t.Error(err)
				}
				if err != nil {
					failed++
				}
			}
			return failed
		}
		gone[0].Store(true)
		if failed := run(); failed > 0 || s.Stats().Retried == 0 {
			t.Fatalf("%d calls failed with one device lost: %+v", failed, s.Stats())
		}
		gone[1].Store(true)
		if failed := run(); failed != 20 {
			t.Fatalf("%d calls failed with all devices lost", failed)
		}
		begin := time.Now()
		if failed := run(); failed != 20 || time.Since(begin) != 0 {
			t.Fatalf("%d calls failed afterwards, after %s", failed, time.Since(begin))
		}
		time.Sleep(time.Hour)
		if failed := run(); failed > 0 {
			t.Errorf("%d calls failed with a device back: %+v", failed, s.Stats())
		}
		what := map[What]int{}
		for _, e := range s.Stats().Events {
			what[e.What]++
		}
		if what[Lost] != 2 || what[Back] != 1 || what[StillLost] < 4 {
			t.Errorf("events: %v", s.Stats().Events)
		}
	})
}

// TestPoison has one picture that each device is lost by: it does not go round
// for ever.
func TestPoison(t *testing.T) {
	var gone atomic.Bool
	gone.Store(true)
	s := start(t, Config[*picture]{Reopen: func(device string) ([]Lane[*picture], error) {
		return lanes(&testLane{device: device, lost: &gone}), nil
	}}, &testLane{device: "a", lost: &gone}, &testLane{device: "b", lost: &gone}, &testLane{device: "c", lost: &gone})
	if _, err := do(t.Context(), s, "", 1); !errors.Is(err, errLost) {
		t.Error(err)
	}
}
