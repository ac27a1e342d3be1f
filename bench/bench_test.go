package bench

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// slow answers each batch after a time, a few at once. A call that waits can be
// canceled, one that is computed cannot, as on a GPU.
type slow struct {
	slots   chan struct{}
	takes   time.Duration
	batches atomic.Int64
	err     error
}

func (s *slow) DetectBatch(ctx context.Context, pictures []imaging.Source) ([]engine.Result, error) {
	start := time.Now()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.slots }()
	queue := time.Since(start)
	time.Sleep(s.takes)
	if s.batches.Add(1) > 20 && s.err != nil {
		return nil, s.err
	}
	results := make([]engine.Result, len(pictures))
	for i := range results {
		results[i].Timing = engine.Timing{Pictures: len(pictures), Queue: queue, Network: s.takes}
	}
	return results, nil
}

func newSlow(slots int, takes time.Duration) *slow {
	return &slow{slots: make(chan struct{}, slots), takes: takes}
}

var pictures = imaging.Sources([]*imaging.Picture{{Width: 1, Height: 1}, {Width: 2, Height: 2}, {Width: 3, Height: 3}})

// In a closed loop each of two slots answers a batch of 4 in 10 ms: 800 pictures
// a second; of four callers two wait.
func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Run(t.Context(), newSlow(2, 10*time.Millisecond), Load{
			Pictures: pictures, Batch: 4, Concurrency: 4, Running: 2, Warmup: 100 * time.Millisecond, Duration: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.PicturesPerSecond-800) > 8 || r.Refused != 0 || r.Calls < 198 || r.Calls+r.Canceled > 204 {
			t.Errorf("%g pictures a second of %+v", r.PicturesPerSecond, r)
		}
		if p50, p99 := r.Latency.At(0.5), r.Latency.At(0.99); p50 != 20*time.Millisecond || p99 != 20*time.Millisecond {
			t.Errorf("p50 %s, p99 %s, want 20 ms", p50, p99)
		}
		if r.Filled != 4 {
			t.Errorf("%g pictures at once", r.Filled)
		}
		if s := r.Stages; s.Pictures != 4 || s.Network != 10*time.Millisecond || s.Queue.Round(time.Millisecond) != 10*time.Millisecond {
			t.Errorf("stages %+v", s)
		}
	})
}

// In an open loop that the detector keeps up with, as many leave as arrive, and
// some wait for others; in one that it does not, latency grows with the queue
// and does not hide it.
func TestOpenLoop(t *testing.T) {
	load := Load{Pictures: pictures, Batch: 1, Rate: 50, Warmup: time.Second, Duration: 20 * time.Second}
	synctest.Test(t, func(t *testing.T) {
		r, err := Run(t.Context(), newSlow(1, 10*time.Millisecond), load)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.PicturesPerSecond-50) > 5 || r.Refused != 0 {
			t.Errorf("%g pictures a second, %d refused", r.PicturesPerSecond, r.Refused)
		}
		if least, p99 := r.Latency.At(0), r.Latency.At(0.99); least != 10*time.Millisecond || p99 < 20*time.Millisecond || p99 > 100*time.Millisecond {
			t.Errorf("latency from %s to %s", least, p99)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		load.Rate = 200
		r, err := Run(t.Context(), newSlow(1, 10*time.Millisecond), load)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.PicturesPerSecond-100) > 2 {
			t.Errorf("%g pictures a second, want 100", r.PicturesPerSecond)
		}
		// 4,000 arrived and 2,000 were answered in time; the last of these had waited for half of it
		if p99 := r.Latency.At(0.99); p99 < 9*time.Second || math.Abs(float64(r.Canceled-2000)) > 300 {
			t.Errorf("p99 is %s, %d were canceled", p99, r.Canceled)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		load.Rate, load.Warmup = 2000, 0
		r, err := Run(t.Context(), newSlow(1, 10*time.Millisecond), load)
		if err != nil {
			t.Fatal(err)
		}
		if want := 40000 - 2000 - MaxWaiting; math.Abs(float64(r.Refused-want)) > 1000 {
			t.Errorf("%d refused, want some %d", r.Refused, want)
		}
		if math.Abs(float64(r.Canceled-MaxWaiting)) > 1 || r.Missed != 0 {
			t.Errorf("%d canceled, %d missed", r.Canceled, r.Missed)
		}
	})
}

// stuck answers nothing until a call is canceled.
type stuck struct{ calls, atOnce, most atomic.Int64 }

func (s *stuck) DetectBatch(ctx context.Context, _ []imaging.Source) ([]engine.Result, error) {
	s.calls.Add(1)
	if n := s.atOnce.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.atOnce.Add(-1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestEndIsTheDuration has a detector that never answers: a benchmark takes its
// time and not more, says what became of every arrival, and has a bounded number
// of calls at once.
func TestEndIsTheDuration(t *testing.T) {
	for _, load := range []Load{{Concurrency: 64}, {Rate: 50000}} {
		synctest.Test(t, func(t *testing.T) {
			load.Pictures, load.Batch, load.Duration = pictures, 1, 200*time.Millisecond
			d, start := &stuck{}, time.Now()
			r, err := Run(t.Context(), d, load)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != load.Duration {
				t.Errorf("%+v took %s", load, took)
			}
			made, arrived := int(d.calls.Load()), load.Concurrency
			if load.Rate > 0 {
				arrived = made + r.Refused
				if math.Abs(float64(arrived-10000)) > 300 || r.Refused == 0 {
					t.Errorf("%d arrived, %d refused", arrived, r.Refused)
				}
			}
			if r.Calls != 0 || r.Canceled != made || made+r.Refused != arrived || r.Missed != 0 || d.most.Load() > MaxWaiting {
				t.Errorf("of %d arrivals %+v, %d at once", arrived, r, d.most.Load())
			}
		})
	}
}

// TestInterrupted ends a benchmark at once when its context does, whatever
// waits.
func TestInterrupted(t *testing.T) {
	for _, load := range []Load{{Concurrency: 64}, {Rate: 50000}} {
		synctest.Test(t, func(t *testing.T) {
			load.Pictures, load.Batch, load.Running, load.Duration = pictures, 1, 2, time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := Run(ctx, &stuck{}, load)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				t.Errorf("%+v: %v after %s", load, err, took)
			}
		})
	}
}

// inOrder takes calls in the order in which they began, whatever goroutine comes
// first: each waits a millisecond longer than the one before.
type inOrder struct{ *slow }

func (d inOrder) DetectBatch(ctx context.Context, images []imaging.Source) ([]engine.Result, error) {
	time.Sleep(time.Duration(images[0].(*imaging.Picture).Width) * time.Millisecond)
	return d.slow.DetectBatch(ctx, images)
}

// TestRunningIsAwaited waits at the end for the calls that are computed, and for
// those alone.
func TestRunningIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var images []imaging.Source
		for i := range 10 {
			images = append(images, &imaging.Picture{Width: 1 + i, Height: 1})
		}
		start := time.Now()
		r, err := Run(t.Context(), inOrder{newSlow(2, 3*time.Second)}, Load{
			Pictures: images, Batch: 1, Concurrency: 8, Running: 2, Duration: 4 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 6*time.Second+2*time.Millisecond || r.Calls != 4 || r.Canceled != 6 {
			t.Errorf("%s, %d calls, %d canceled", took, r.Calls, r.Canceled)
		}
	})
}

// TestLateArrivals has a process that comes to make arrivals when the time is
// up: it makes none, and counts them.
func TestLateArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, load := &stuck{}, Load{Pictures: pictures, Batch: 1, Rate: 1000, Duration: time.Second}
		r := newRun(d, load, time.Now().Add(-time.Second), nil)
		r.openLoop(t.Context())
		if d.calls.Load() != 0 || math.Abs(float64(r.missed-1000)) > 100 {
			t.Errorf("%d calls, %d missed", d.calls.Load(), r.missed)
		}
	})
}

func TestErrorsEndIt(t *testing.T) {
	for _, rate := range []float64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			d := newSlow(2, 10*time.Millisecond)
			d.err = errors.New("the detector broke")
			if _, err := Run(t.Context(), d, Load{Pictures: pictures, Batch: 1, Concurrency: 2, Rate: rate, Duration: time.Hour}); !errors.Is(err, d.err) {
				t.Errorf("rate %g: %v", rate, err)
			}
			if d.batches.Load() > 40 {
				t.Errorf("rate %g: it went on for %d batches", rate, d.batches.Load())
			}
		})
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := Run(ctx, newSlow(2, 10*time.Millisecond), Load{Pictures: pictures, Batch: 1, Concurrency: 2, Rate: rate, Duration: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("rate %g: %v", rate, err)
			}
		})
	}
	if _, err := Run(t.Context(), newSlow(1, 0), Load{Pictures: pictures, Batch: 1}); err == nil {
		t.Error("a load without callers was taken")
	}
}

func TestLatencyAt(t *testing.T) {
	l := Latency{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 5, 0.9: 9, 0.99: 10, 1: 10} {
		if got := l.At(q); got != want {
			t.Errorf("%g: %d, want %d", q, got, want)
		}
	}
	if got := (Latency{}).At(0.5); got != 0 {
		t.Errorf("of none: %d", got)
	}
}
