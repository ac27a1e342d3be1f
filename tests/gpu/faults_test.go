package gpu

import (
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/tests/simgpu"
)

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
	tried := simgpu.FailEachCall(t, 700, use, func(string, error) {})
	if tried < 60 {
		t.Errorf("only %d failures were tried: of %v", tried, simgpu.Called())
	}
}
