package schedule

import (
	"errors"
	"strings"
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
		var all []*testStream
		for i, name := range []string{"a", "b"} {
			for range 2 {
				all = append(all, &testStream{device: name, takes: fixed(time.Second), lost: &gone[i]})
			}
		}
		var tries atomic.Int32
		s := start(t, Config[*image]{Backoff: time.Minute, Reopen: func(device string) ([]Stream[*image], error) {
			if device != "a" || tries.Add(1) < 5 {
				return nil, errLost
			}
			return streams(&testStream{device: device}), nil
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
	s := start(t, Config[*image]{Reopen: func(device string) ([]Stream[*image], error) {
		return streams(&testStream{device: device, lost: &gone}), nil
	}}, &testStream{device: "a", lost: &gone}, &testStream{device: "b", lost: &gone}, &testStream{device: "c", lost: &gone})
	if _, err := do(t.Context(), s, "", 1); !errors.Is(err, errLost) {
		t.Error(err)
	}
}

// TestFailingDevice has one device fail each batch at once, beside one that works:
// no call fails, and the device is tried less and less often until it works again.
func TestFailingDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		bad := &testStream{device: "bad", fails: func([]*image) error {
			if broken.Load() {
				return errFailed
			}
			return nil
		}}
		good := &testStream{device: "good", takes: fixed(10 * time.Millisecond)}
		s := start(t, Config[*image]{Backoff: time.Second}, bad, good)
		load := func(calls int) {
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					for range calls {
						if _, err := do(t.Context(), s, "", 1); err != nil {
							t.Error(err)
						}
					}
				})
			}
			callers.Wait()
		}
		load(1000)
		if stats := s.Stats(); stats.Failed != 0 || stats.Answered != 8000 || !stats.Devices[0].Suspended || stats.Devices[1].Suspended {
			t.Errorf("%+v", stats)
		}
		// some 20 s: three failures, then tries after 1, 2, 4 and 8 s
		if n := len(bad.sizes); n < maxFailures+3 || n > maxFailures+5 {
			t.Errorf("the failing device got %d batches", n)
		}
		broken.Store(false)
		time.Sleep(time.Minute)
		load(100)
		stats := s.Stats()
		if stats.Failed != 0 || stats.Devices[0].Suspended || stats.Devices[0].Answered == 0 || stats.Events[len(stats.Events)-1].What != Back {
			t.Errorf("%+v", stats)
		}
	})
}

// TestLastDeviceFails has the only device left fail: each call gets its error, at
// once, and the first that it does again is answered.
func TestLastDeviceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone, broken atomic.Bool
		gone.Store(true)
		broken.Store(true)
		fails := func([]*image) error {
			if broken.Load() {
				return errFailed
			}
			return nil
		}
		s := start(t, Config[*image]{Backoff: time.Hour},
			&testStream{device: "a", lost: &gone}, &testStream{device: "b", fails: fails}, &testStream{device: "c", fails: fails})
		for range 20 {
			begin := time.Now()
			if _, err := do(t.Context(), s, "", 1, 2); !errors.Is(err, errFailed) && !errors.Is(err, errLost) || time.Since(begin) != 0 {
				t.Errorf("%v after %s", err, time.Since(begin))
			}
		}
		broken.Store(false)
		if _, err := do(t.Context(), s, "", 1); err != nil {
			t.Error(err)
		}
	})
}

// TestOneImageFails has one image that its batch fails by, on one device and on
// two: the others of the batch are answered.
func TestOneImageFails(t *testing.T) {
	const bad = 13
	for name, failure := range map[string]error{"failed": errFailed, "refused": errRefused, "panicked": nil} {
		for devices := 1; devices <= 3; devices++ {
			synctest.Test(t, func(t *testing.T) {
				fails := func(items []*image) error {
					for _, item := range items {
						if item.number == bad && failure == nil {
							panic("a bad image")
						}
						if item.number == bad {
							return failure
						}
					}
					return nil
				}
				var all []*testStream
				for _, device := range []string{"a", "b", "c"}[:devices] {
					all = append(all, &testStream{device: device, takes: fixed(time.Second), fails: fails})
				}
				s := start(t, Config[*image]{Batch: 8, Backoff: time.Hour}, all...)
				var callers sync.WaitGroup
				for i := range 40 {
					callers.Go(func() {
						_, err := do(t.Context(), s, "", i)
						if i == bad && (err == nil || !strings.Contains(err.Error(), name)) || i != bad && err != nil {
							t.Errorf("%s, %d devices, image %d: %v", name, devices, i, err)
						}
					})
				}
				callers.Wait()
				for _, d := range s.Stats().Devices {
					if d.Suspended {
						t.Errorf("%s, %d devices: %s is suspended for an image's sake", name, devices, d.Device)
					}
				}
			})
		}
	}
}

// TestLostForGood never opens a device again that only a new process has back.
func TestLostForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		lost := &testStream{device: "a", fails: func([]*image) error { return errLostForGood }}
		s := start(t, Config[*image]{Backoff: time.Second, Reopen: func(string) ([]Stream[*image], error) {
			tries.Add(1)
			return nil, errLost
		}}, lost)
		for range 3 {
			if _, err := do(t.Context(), s, "", 1); !errors.Is(err, errLostForGood) {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
		if tries.Load() != 0 || len(lost.sizes) != 1 || !s.Stats().Devices[0].Lost {
			t.Errorf("opened %d times, %d batches: %+v", tries.Load(), len(lost.sizes), s.Stats())
		}
	})
}

// TestStalledDevice has a fast device stand still: an image that waits for it goes
// to the slow one when the fast one does not come back in the time it should.
func TestStalledDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := time.Second
		fast := &testStream{device: "fast", takes: func(int) time.Duration { return takes }}
		slow := &testStream{device: "slow", takes: fixed(3 * time.Second)}
		s := start(t, Config[*image]{Batch: 1}, fast, slow)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() { do(t.Context(), s, "", 1) }) //nolint:errcheck // they are measured
		}
		all.Wait()
		takes = time.Hour
		all.Go(func() { do(t.Context(), s, "", 1) }) //nolint:errcheck // it is stalled
		synctest.Wait()
		begin := time.Now()
		if _, err := do(t.Context(), s, "", 1); err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("%v after %s beside a device that stands still", err, time.Since(begin))
		}
		all.Wait()
	})
}

// TestOrphan has an image wait for the one device that has not failed it, and that
// device be lost: the image is an error, not an answer that nobody has computed.
func TestOrphan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone, broken atomic.Bool
		a := &testStream{device: "a", takes: fixed(time.Second), fails: func([]*image) error {
			if broken.Load() {
				return errFailed
			}
			return nil
		}}
		b := &testStream{device: "b", takes: fixed(time.Minute), lost: &gone}
		s := start(t, Config[*image]{Batch: 1, Backoff: time.Hour}, a, b)
		var all sync.WaitGroup
		for range 2 { // one for each device
			all.Go(func() { do(t.Context(), s, "", 1) }) //nolint:errcheck // the second is lost
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		broken.Store(true)
		all.Go(func() {
			if got, err := do(t.Context(), s, "", 7); !errors.Is(err, errFailed) {
				t.Errorf("%+v, %v", got, err)
			}
		})
		time.Sleep(5 * time.Second)
		gone.Store(true)
		all.Wait()
	})
}
