// Package cost measures what a batch costs beside the work of the GPU: on a
// simulated one that does nothing, and does it at once. Pixels are copied to it
// as to any, so pictures are small here.
package cost

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

const batch = 8

func TestMain(m *testing.M) {
	if simgpu.Real() {
		fmt.Println("skipped: a real GPU has work to do")
		return
	}
	os.Setenv("SIMGPU_INLINE", "1")
	os.Setenv("SIMGPU_INSTANT", "1")
	if err := simgpu.Use(1); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open(t testing.TB) (*engine.Detector, []imaging.Source) {
	t.Helper()
	plan := filepath.Join(t.TempDir(), "model.engine")
	o := engine.BuildOptions{InProcess: true, Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: batch, Max: batch}}
	if _, err := engine.Build(t.Context(), "../../../models/emoji/decoupled-base.onnx", plan, &o); err != nil {
		t.Fatal(err)
	}
	d, err := engine.Open(t.Context(), plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	pictures := make([]*imaging.Picture, batch)
	for i := range pictures {
		pictures[i] = &imaging.Picture{Width: 32, Height: 32, Pix: make([]byte, 3*32*32)}
	}
	if err := d.Warmup(t.Context()); err != nil {
		t.Fatal(err)
	}
	sources := imaging.Sources(pictures)
	if _, err := d.DetectBatch(t.Context(), sources); err != nil { // pinned memory of their size
		t.Fatal(err)
	}
	return d, sources
}

// TestSteadyState wants nothing of a batch but its results to be allocated in
// Go, and nothing on the device.
func TestSteadyState(t *testing.T) {
	d, pictures := open(t)
	made := func() int64 { return simgpu.Calls("cuMemAlloc") + simgpu.Calls("cuMemHostAlloc") }
	before, madeBefore := simgpu.Count(), made()
	allocations := testing.AllocsPerRun(200, func() {
		if _, err := d.DetectBatch(t.Context(), pictures); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 {
		t.Errorf("%g allocations a batch, want that of the results", allocations)
	}
	if after := simgpu.Count(); after != before || made() != madeBefore {
		t.Errorf("the device has %+v after %d allocations, before there was %+v", after, made()-madeBefore, before)
	}
}

func BenchmarkBatch(b *testing.B) {
	d, pictures := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.DetectBatch(b.Context(), pictures); err != nil {
			b.Fatal(err)
		}
	}
}
