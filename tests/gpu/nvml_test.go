package gpu

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// TestManagement has NVML choose the GPU, say how busy it is and explain what it
// was lost by, found while it worked.
func TestManagement(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real NVML does not report what it is told to")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
	simgpu.CheckClean(t)
	for device, percent := range []int{80, 20, 50} {
		simgpu.Load(device, percent, 1<<30)
		defer simgpu.Load(device, 0, 0)
	}
	d := open(t, plan, engine.Options{Slots: 1})
	if d.Device() != "cuda:1" {
		t.Errorf("of the GPUs %s was chosen, want the least loaded", d.Device())
	}
	uses := d.SampleGPUs(time.Hour)()
	if len(uses) != 1 || uses[0].Device != "cuda:1" || uses[0].Utilization != 20 || uses[0].MemoryBytes <= 1<<30 {
		t.Errorf("its use is %+v", uses)
	}
	picture := pictures(t)[0]
	if _, err := d.Detect(t.Context(), picture); err != nil {
		t.Fatal(err)
	}
	simgpu.Xid(1, 31)
	simgpu.Fault(1, 2, illegalAddress)
	defer simgpu.Lose(1, 0)
	for range 2 {
		_, err := d.Detect(t.Context(), picture)
		if !errors.Is(err, engine.ErrLost) {
			t.Fatalf("after a fault: %v", err)
		}
		for _, words := range []string{"CUDA_ERROR_ILLEGAL_ADDRESS", "Xid 31", "start the process again"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%q does not say %q", err, words)
			}
		}
	}
	simgpu.Lose(1, 0) // what was made there can be freed again, and the test's end counts it
}
