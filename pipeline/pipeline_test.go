package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// widthDetector finds one object as wide as the picture, after a random while,
// so that results which stray to another picture show.
type widthDetector struct {
	mu      sync.Mutex
	random  *rand.Rand
	most    int
	batches []int
	fail    error
	active  atomic.Int32
	peak    atomic.Int32
}

func newWidthDetector(most int) *widthDetector {
	return &widthDetector{random: rand.New(rand.NewPCG(1, 2)), most: most}
}

func (d *widthDetector) MaxBatch() int { return d.most }
func (d *widthDetector) Slots() int    { return underWay - 1 }

// underWay is how many batches widthDetector may be handed at once.
const underWay = 2

func (d *widthDetector) DetectBatch(_ context.Context, pictures []imaging.Source) ([]engine.Result, error) {
	d.peak.Store(max(d.peak.Load(), d.active.Add(1)))
	defer d.active.Add(-1)
	d.mu.Lock()
	d.batches = append(d.batches, len(pictures))
	wait := time.Duration(d.random.IntN(2000)) * time.Microsecond
	d.mu.Unlock()
	time.Sleep(wait) // clock: batches overtake each other, whatever it is
	if d.fail != nil {
		return nil, d.fail
	}
	results := make([]engine.Result, len(pictures))
	for i, p := range pictures {
		results[i].Detections = []engine.Detection{{Box: decode.Box{X2: float32(p.(*imaging.Picture).Width), Y2: 1}}}
	}
	return results, nil
}

// pictures writes n pictures, the i-th i+1 pixels wide.
func pictures(t *testing.T, n int) []string {
	t.Helper()
	dir := t.TempDir()
	paths := make([]string, n)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprintf("%03d.png", i))
		m := image.NewNRGBA(image.Rect(0, 0, i+1, 2))
		m.Set(0, 0, color.White)
		f, err := os.Create(paths[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func TestRunKeepsOrderAndOwners(t *testing.T) {
	paths := pictures(t, 60)
	paths[7] = filepath.Join(t.TempDir(), "missing.png")
	if err := os.WriteFile(paths[20], []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ batch, most, workers int }{{1, 0, 1}, {1, 0, 4}, {4, 0, 2}, {7, 0, 3}, {8, 3, 2}, {100, 0, 2}} {
		t.Run(fmt.Sprintf("batch %d of %d, %d workers", c.batch, c.most, c.workers), func(t *testing.T) {
			d := newWidthDetector(c.most)
			next := 0
			err := Run(t.Context(), d, Sources(paths, nil), Options{
				Batch: c.batch, Workers: c.workers,
				Finish: func(item *Item) error {
					if item.Picture == nil {
						return errors.New("finished without its picture")
					}
					if item.Index == 30 {
						return errors.New("cannot be saved")
					}
					return nil
				},
				Emit: func(item *Item) error {
					if item.Index != next || item.Source != paths[next] {
						t.Errorf("got picture %d (%s), want %d (%s)", item.Index, item.Source, next, paths[next])
					}
					next++
					bad := item.Index == 7 || item.Index == 20
					if failed := item.Err != nil; failed != (bad || item.Index == 30) {
						t.Errorf("picture %d: error %v", item.Index, item.Err)
					}
					if item.Err != nil {
						if len(item.Result.Detections) > 0 {
							t.Errorf("picture %d failed and has detections", item.Index)
						}
						return nil
					}
					if got := item.Result.Detections[0].Box.X2; got != float32(item.Index+1) || item.Width != item.Index+1 {
						t.Errorf("picture %d has another's box: %g wide, picture %d", item.Index, got, item.Width)
					}
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if next != len(paths) {
				t.Errorf("%d pictures came out, want %d", next, len(paths))
			}
			limit := c.batch
			if c.most > 0 {
				limit = min(limit, c.most)
			}
			for _, n := range d.batches {
				if n > limit {
					t.Errorf("a batch of %d, want at most %d", n, limit)
				}
			}
			if d.peak.Load() > underWay {
				t.Errorf("%d batches at once, want at most %d", d.peak.Load(), underWay)
			}
		})
	}
}

func TestRunEndsOnError(t *testing.T) {
	paths := pictures(t, 40)
	broken := errors.New("broken")
	t.Run("of the detector", func(t *testing.T) {
		d := newWidthDetector(0)
		d.fail = broken
		err := Run(t.Context(), d, Sources(paths, nil), Options{Emit: func(*Item) error { return nil }})
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
	t.Run("of Emit", func(t *testing.T) {
		err := Run(t.Context(), newWidthDetector(0), Sources(paths, nil), Options{Emit: func(*Item) error { return broken }})
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
	t.Run("of the context, while the list is still open", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		reader, writer := io.Pipe()
		defer writer.Close()
		go fmt.Fprintln(writer, paths[0])
		err := Run(ctx, newWidthDetector(0), Sources([]string{"-"}, reader), Options{Emit: func(*Item) error { cancel(); return nil }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

// A list that comes in slowly is answered picture by picture, not when a batch
// is full.
func TestRunDoesNotWaitForAFullBatch(t *testing.T) {
	paths := pictures(t, 3)
	reader, writer := io.Pipe()
	answered := make(chan struct{})
	go func() {
		defer writer.Close()
		for _, p := range paths {
			fmt.Fprintln(writer, p)
			<-answered
		}
	}()
	err := Run(t.Context(), newWidthDetector(0), Sources([]string{"-"}, reader), Options{
		Batch: 8,
		Emit:  func(*Item) error { answered <- struct{}{}; return nil },
	})
	if err != nil {
		t.Error(err)
	}
}

// However many pictures there are, only so many are held at once.
func TestRunHoldsFewPictures(t *testing.T) {
	path := pictures(t, 1)[0]
	const workers, batch = 2, 4
	var held, peak atomic.Int64
	d := newWidthDetector(0)
	list := strings.Repeat(path+"\n", 2000)
	emitted := 0
	err := Run(t.Context(), countingDetector{d, &held, &peak}, Sources([]string{"-"}, strings.NewReader(list)), Options{
		Batch: batch, Workers: workers,
		Finish: func(*Item) error { held.Add(-1); return nil },
		Emit: func(*Item) error {
			if emitted++; emitted%100 == 0 {
				runtime.Gosched()
			}
			return nil
		},
	})
	if err != nil || emitted != 2000 {
		t.Fatalf("%d pictures, error %v", emitted, err)
	}
	if limit := int64(2*(underWay*batch+2*workers) + batch); peak.Load() > limit {
		t.Errorf("%d pictures between detector and finish, want at most %d", peak.Load(), limit)
	}
}

type countingDetector struct {
	*widthDetector
	held, peak *atomic.Int64
}

func (d countingDetector) DetectBatch(ctx context.Context, p []imaging.Source) ([]engine.Result, error) {
	d.peak.Store(max(d.peak.Load(), d.held.Add(int64(len(p)))))
	return d.widthDetector.DetectBatch(ctx, p)
}

// A list that is given as if it were an image: the error says where it goes.
func TestRunIsGivenAList(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, []byte("a.jpg\nb.jpg\nc.jpg\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), newWidthDetector(0), Sources([]string{list}, nil), Options{Emit: func(item *Item) error {
		if item.Err == nil || !strings.Contains(item.Err.Error(), "; a list of paths is read from standard input: - < "+list) {
			t.Errorf("%v", item.Err)
		}
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
}
