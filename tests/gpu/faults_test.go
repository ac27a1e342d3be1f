package gpu

import (
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// letGo are the calls that free: where one of them fails there is nothing left
// to do but to say so.
var letGo = []string{
	"cuCtxSetCurrent", "cuMemFree", "cuMemFreeHost", "cuModuleUnload", "cuStreamDestroy", "cuEventDestroy",
	"cuDevicePrimaryCtxRelease", "cuStreamSynchronize", "cuGraphDestroy", "cuGraphExecDestroy",
}

// TestEveryCallFails has each call of the driver's and each entry of TensorRT's
// fail the 1st, 2nd ... time while a model is opened and three batches are run:
// the error names it, nothing is left behind, and the next try works.
func TestEveryCallFails(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	all := pictures(t)[:3]
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: 3}})
	use := func() error {
		d, err := engine.Open(plan, &engine.Options{Device: engine.Device{Auto: true}, Slots: 1})
		if err != nil {
			return err
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		for n := range all { // a new bucket, a graph of it, that graph again
			if _, err := d.DetectBatch(t.Context(), all[:1+n/2]); err != nil {
				return err
			}
		}
		return nil
	}
	simgpu.CheckClean(t)
	if err := use(); err != nil {
		t.Fatal(err)
	}
	clean := simgpu.Count()
	tried := 0
	for _, call := range simgpu.Called() {
		if slices.Contains(letGo, call) || call == "cuInit" {
			continue
		}
		before := simgpu.Calls(call)
		if err := use(); err != nil {
			t.Fatal(err)
		}
		for nth := range min(simgpu.Calls(call)-before, 12) {
			simgpu.Fail(call, nth+1, 700)
			err := use()
			simgpu.Fail("", 0, 0)
			if err == nil || !strings.Contains(err.Error(), call) {
				t.Errorf("%s, call %d: %v", call, nth+1, err)
			}
			if got := simgpu.Count(); got != clean {
				t.Fatalf("%s, call %d: left %+v, want %+v", call, nth+1, got, clean)
			}
			tried++
		}
	}
	if tried < 60 {
		t.Errorf("only %d failures were tried: of %v", tried, simgpu.Called())
	}
}
