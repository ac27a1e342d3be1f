package engine

import (
	"context"
	"math"
	"testing"
	"time"
)

// rated has a rating of streams whose runs take times, the nth of them what a
// function says, until it is done.
func rated(
	t *testing.T, duration time.Duration, images int, streams ...func(run int) time.Duration,
) (Throughput, []int) {
	t.Helper()
	r := newRating(t.Context(), len(streams), images, duration)
	at, total, wanted := make([]time.Duration, len(streams)), make([]int, len(streams)), make([]int, len(streams))
	for i := range wanted {
		wanted[i] = 1
	}
	for range 1 << 20 {
		next := -1 // the stream that is behind
		for i := range streams {
			if wanted[i] > 0 && (next < 0 || at[i] < at[next]) {
				next = i
			}
		}
		if next < 0 {
			return r.result(), total
		}
		var took time.Duration
		for range wanted[next] {
			took += streams[next](total[next])
			total[next]++
		}
		at[next] += took
		wanted[next] = r.next(next, wanted[next], took)
	}
	t.Fatal("it has never enough")
	return Throughput{}, nil
}

func steady(took time.Duration) func(int) time.Duration {
	return func(int) time.Duration { return took }
}

// near reports whether a rate is the wanted one but for roundings.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*want }

func TestRating(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams []func(int) time.Duration
		want    float64 // images a second, of batches of 8
		steady  bool
	}{
		{"one stream", []func(int) time.Duration{steady(4 * time.Millisecond)}, 2000, true},
		{"runs shorter than a window", []func(int) time.Duration{steady(20 * time.Microsecond)}, 400000, true},
		{"runs longer than a window", []func(int) time.Duration{steady(80 * time.Millisecond)}, 100, true},
		{"slow at first", []func(int) time.Duration{func(run int) time.Duration {
			return 4*time.Millisecond + time.Second>>min(run, 30)
		}}, 2000, true},
		{"a pause now and then", []func(int) time.Duration{func(run int) time.Duration {
			if run%40 == 39 {
				return 300 * time.Millisecond
			}
			return 4 * time.Millisecond
		}}, 2000, true},
		{"two streams", []func(int) time.Duration{steady(8 * time.Millisecond), steady(8 * time.Millisecond)}, 2000, true},
		{"two unlike ones", []func(int) time.Duration{
			steady(5 * time.Millisecond), steady(20 * time.Millisecond),
		}, 2000, true},
		{"never warm", []func(int) time.Duration{func(run int) time.Duration {
			return time.Duration(3+2*(run%2)) * 4 * time.Millisecond
		}}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, runs := rated(t, time.Second, 8, c.streams...)
			if c.want > 0 && !near(got.ImagesPerSecond, c.want) || got.Steady != c.steady || got.Windows < leastWindows {
				t.Errorf("%+v, want %g", got, c.want)
			}
			if !(got.Low <= got.ImagesPerSecond && got.ImagesPerSecond <= got.High) {
				t.Errorf("%+v", got)
			}
			for _, n := range runs {
				if n > 1<<17 {
					t.Errorf("%d runs", n)
				}
			}
		})
	}
}

// Where one stream is slow to warm up, nothing counts until it has.
func TestRatingOverOneInterval(t *testing.T) {
	alone := true // until the other has warmed up the first has the device for itself
	got, _ := rated(t, 100*time.Millisecond, 1,
		func(int) time.Duration {
			if alone {
				return time.Millisecond
			}
			return 2 * time.Millisecond
		},
		func(run int) time.Duration {
			if run == 0 {
				return 500 * time.Millisecond
			}
			alone = false
			return 2 * time.Millisecond
		})
	if !near(got.ImagesPerSecond, 1000) || !near(got.High, 1000) {
		t.Errorf("%+v, want 1000: the first stream alone did as many", got)
	}
}

// With no time at all, five windows are measured after the first two.
func TestRatingOfNoTime(t *testing.T) {
	got, runs := rated(t, 0, 1, steady(time.Second))
	if got.Windows != leastWindows || runs[0] != 2+leastWindows || !near(got.ImagesPerSecond, 1) {
		t.Errorf("%+v of %d runs", got, runs[0])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := newRating(ctx, 1, 1, time.Hour).next(0, 1, time.Second); n != 0 {
		t.Errorf("canceled, it wants %d runs more", n)
	}
}
