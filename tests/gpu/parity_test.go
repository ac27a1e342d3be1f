package gpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

var carried = filepath.Join(models, "emoji", "decoupled-base.onnx")

// same fails a test where two results of one picture differ by more than what
// roundings make: 0.01 px, 1e-5 of a score.
func same(t *testing.T, what string, got, want engine.Result) {
	t.Helper()
	if len(got.Detections) != len(want.Detections) || got.NonFinite != want.NonFinite {
		t.Fatalf("%s: %d detections, want %d", what, len(got.Detections), len(want.Detections))
	}
	for i, w := range want.Detections {
		g := got.Detections[i]
		off := max(math.Abs(float64(g.Box.X1-w.Box.X1)), math.Abs(float64(g.Box.Y1-w.Box.Y1)),
			math.Abs(float64(g.Box.X2-w.Box.X2)), math.Abs(float64(g.Box.Y2-w.Box.Y2)))
		if g.ClassID != w.ClassID || off > 0.01 || math.Abs(float64(g.Score-w.Score)) > 1e-5 {
			t.Fatalf("%s: detection %d is %+v, want %+v", what, i, g, w)
		}
	}
}

// TestSameAsOnCPU runs the network that the repository carries as engines of
// several batches with several slots, one goroutine and many: each picture gets
// its own boxes, wherever it stands in a batch.
func TestSameAsOnCPU(t *testing.T) {
	all := pictures(t)
	cpu := open(t, carried, engine.Options{Height: 256, Width: 256})
	want, err := cpu.DetectBatch(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][3]int{{1, 1, 1}, {1, 4, 8}, {4, 4, 4}, {2, 3, 5}} {
		batch := engine.BatchRange{Min: b[0], Opt: b[1], Max: b[2]}
		plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: batch})
		for slots := 1; slots <= 3; slots += 2 {
			t.Run(fmt.Sprintf("batch %v, %d slots", batch, slots), func(t *testing.T) {
				simgpu.CheckClean(t)
				d := open(t, plan, engine.Options{Device: engine.Device{Auto: true}, Slots: slots})
				if d.MaxBatch() != batch.Max || d.Device() != "cuda:0" {
					t.Fatalf("%d pictures at most on %s", d.MaxBatch(), d.Device())
				}
				var workers sync.WaitGroup
				for worker := range slots + 1 {
					workers.Go(func() { detectShuffled(t, d, worker, all, want) })
				}
				workers.Wait()
			})
		}
	}
}

func detectShuffled(t *testing.T, d *engine.Detector, seed int, all []*imaging.Picture, want []engine.Result) {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	for range 6 {
		batch := make([]*imaging.Picture, 1+rng.IntN(d.MaxBatch()))
		which := make([]int, len(batch))
		for i := range batch {
			which[i] = rng.IntN(len(all))
			batch[i] = all[which[i]]
		}
		got, err := d.DetectBatch(t.Context(), batch)
		if err != nil {
			t.Error(err)
			return
		}
		for i, n := range which {
			same(t, fmt.Sprintf("picture %d, the %d. of %d", n, i+1, len(batch)), got[i], want[n])
		}
	}
}
