package gpu

import (
	"slices"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/await"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// TestWithSharesBatches has calls with different thresholds share batches: each
// gets what the CPU finds above its own.
func TestWithSharesBatches(t *testing.T) {
	if simgpu.Real() {
		t.Skip("with any threshold a real GPU's roundings take and leave detections; the kernels' own tests hold it")
	}
	all := pictures(t)[:4]
	cpu := open(t, carried, engine.Options{Height: 256, Width: 256})
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	simgpu.CheckClean(t)
	gpu := open(t, plan, engine.Options{Device: devices(1), Slots: 1})
	confs := []float32{0.001, 0.03, 0.33, 0.9}
	asks, want := make([]*engine.Detector, len(all)), make([]engine.Result, len(all))
	for i, conf := range confs {
		alone, err := cpu.With(engine.Conf(conf))
		if err != nil {
			t.Fatal(err)
		}
		if want[i], err = alone.Detect(t.Context(), all[i]); err != nil {
			t.Fatal(err)
		}
		if asks[i], err = gpu.With(engine.Conf(conf)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(want[0].Detections); n < 100 {
		t.Fatalf("%d detections over %g, too few to tell thresholds apart", n, confs[0])
	}
	await.Until(t, "calls share a batch", func() bool {
		var calls sync.WaitGroup
		batches := make([]int, len(all))
		for i := range asks {
			calls.Go(func() {
				got, err := asks[i].DetectBatch(t.Context(), []imaging.Source{all[i]})
				if err != nil {
					t.Error(err)
					return
				}
				same(t, "with its own threshold", got[0], want[i])
				batches[i] = got[0].Timing.Pictures
			})
		}
		calls.Wait()
		return slices.Max(batches) > 1 || t.Failed()
	})
}
