package pipeline

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/engine"
)

// TestRunKeepsMemoryBound has room for the pixels of a few pictures, and less than
// one of them takes: all are answered, in order, in batches that fit.
func TestRunKeepsMemoryBound(t *testing.T) {
	paths := pictures(t, 60) // the i-th takes (i+1) x 2 x 7 bytes
	for _, memory := range []int64{1, 400, 2000, 1 << 20} {
		for _, workers := range []int{1, 4, 16} {
			d := newWidthDetector(0)
			next := 0
			if err := Run(t.Context(), d, Sources(paths, nil), Options{
				Batch: 8, Workers: workers, Memory: memory,
				Emit: func(item *Item) error {
					if item.Err != nil || item.Index != next || item.Result.Detections[0].Box.X2 != float32(next+1) {
						t.Errorf("%d bytes, %d workers: picture %d: %+v", memory, workers, next, item)
					}
					next++
					return nil
				},
			}); err != nil || next != len(paths) {
				t.Errorf("%d bytes, %d workers: %d pictures, %v", memory, workers, next, err)
			}
			if memory == 1 && slices.Max(d.batches) > 1 {
				t.Errorf("%d workers: batches of %v where there is room for one picture", workers, d.batches)
			}
		}
	}
}

// TestRunSurvivesPanics has the caller's code panic in goroutines of Run's.
func TestRunSurvivesPanics(t *testing.T) {
	paths := pictures(t, 20)
	failed := 0
	if err := Run(t.Context(), newWidthDetector(0), Sources(paths, nil), Options{
		Finish: func(item *Item) error {
			if item.Index%5 == 0 {
				panic("no reason")
			}
			return nil
		},
		Emit: func(item *Item) error {
			if errors.As(item.Err, new(*engine.PanicError)) {
				failed++
			} else if item.Err != nil {
				t.Error(item.Err)
			}
			return nil
		},
	}); err != nil || failed != 4 {
		t.Errorf("%d pictures failed, %v", failed, err)
	}
	var list iter.Seq2[string, error] = func(yield func(string, error) bool) {
		yield(paths[0], nil)
		panic("no more")
	}
	err := Run(t.Context(), newWidthDetector(0), list, Options{Emit: func(*Item) error { return nil }})
	if !errors.As(err, new(*engine.PanicError)) {
		t.Errorf("a list that panics: %v", err)
	}
}
