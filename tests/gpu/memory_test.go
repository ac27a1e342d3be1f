package gpu

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// gray is an image of one level.
func gray(width, height int) *imaging.Picture {
	p := imaging.NewPicture(width, height)
	for i := range p.Pix {
		p.Pix[i] = 114
	}
	return p
}

// TestMemoryLimits has callers with small images beside some whose images take more
// than there may be: only those are refused, and the limits are kept.
func TestMemoryLimits(t *testing.T) {
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	if !simgpu.Real() {
		simgpu.CheckClean(t)
	}
	const mib = 1 << 20
	for _, c := range []struct {
		name, path string
		options    engine.Options
	}{
		{"device memory", plan, engine.Options{Device: devices(1), DeviceMemory: 200 * mib}},
		{"host memory, GPU", plan, engine.Options{Device: devices(1), HostMemory: 32 * mib}},
		{"host memory, CPU", carried, engine.Options{Height: 256, Width: 256, Batch: 4, HostMemory: 32 * mib}},
	} {
		d, err := engine.Open(t.Context(), c.path, &c.options)
		if err != nil {
			t.Fatal(err)
		}
		small, large, huge := gray(64, 48), gray(2000, 1500), gray(8000, 5000) // 9 MB, 120 MB
		var callers sync.WaitGroup
		for i := range 6 {
			callers.Go(func() {
				for range 3 {
					if _, err := d.DetectBatch(t.Context(), []imaging.Source{small, small}); err != nil {
						t.Errorf("%s: a small image: %v", c.name, err)
					}
					if _, err := d.Detect(t.Context(), large); err != nil {
						t.Errorf("%s: an image that fits: %v", c.name, err)
					}
					stats := d.Stats()
					if m := stats.Memory; m.HostLimit > 0 && m.HostCalls > m.HostLimit || m.Pinned > m.HostLimit {
						t.Errorf("%s: %+v", c.name, m)
					}
					if of := stats.Devices[0]; of.Memory > of.MemoryLimit {
						t.Errorf("%s: %d bytes of %d are taken", c.name, of.Memory, of.MemoryLimit)
					}
				}
				if i%3 > 0 {
					return
				}
				_, err := d.Detect(t.Context(), huge)
				if !errors.Is(err, engine.ErrMemoryLimit) || !strings.Contains(err.Error(), "8000x5000") {
					t.Errorf("%s: an image that takes more than there may be: %v", c.name, err)
				}
			})
		}
		callers.Wait()
		if _, err := d.DetectBatch(t.Context(), []imaging.Source{large, large, large, large}); err != nil &&
			(c.options.HostMemory == 0 || !errors.Is(err, engine.ErrMemoryLimit)) {
			t.Errorf("%s: four images: %v", c.name, err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("%s: close: %v", c.name, err)
		}
	}
	_, err := engine.Open(t.Context(), plan, &engine.Options{Device: devices(1), DeviceMemory: 20 * mib})
	if !errors.Is(err, engine.ErrMemoryLimit) || !strings.Contains(err.Error(), "a smaller batch") {
		t.Errorf("device memory that batch and streams do not fit: %v", err)
	}
}

// TestBatchSavesMemory opens an engine for fewer images at once than it takes.
func TestBatchSavesMemory(t *testing.T) {
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 8, Max: 8}})
	taken := func(batch int) int64 {
		d := open(t, plan, engine.Options{Device: devices(1), Batch: batch})
		if batch > 0 && d.MaxBatch() != batch {
			t.Errorf("batches of %d, want %d", d.MaxBatch(), batch)
		}
		return d.Stats().Devices[0].Memory
	}
	if all, two := taken(0), taken(2); two > all/3 {
		t.Errorf("%d bytes for batches of 2, %d for those of 8", two, all)
	}
}
