package gpu

import (
	"strings"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/model"
)

// TestBuiltOnAnotherGPU refuses a plan of TensorRT 10 where no GPU has the
// compute capability that it was built on.
func TestBuiltOnAnotherGPU(t *testing.T) {
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
	m, err := model.ReadManifest(engine.ManifestPath(plan))
	if err != nil {
		t.Fatal(err)
	}
	if m.GPU == "" || len(m.ComputeCapabilities) != 1 {
		t.Fatalf("the manifest names GPU %q, %v", m.GPU, m.ComputeCapabilities)
	}
	m.GPU, m.ComputeCapabilities = "Tesla T4", []string{"7.5"}
	if err := m.Write(engine.ManifestPath(plan)); err != nil {
		t.Fatal(err)
	}
	for _, device := range []engine.Device{{}, devices(1)} {
		_, err := engine.Open(t.Context(), plan, &engine.Options{Device: device})
		for _, words := range []string{"Tesla T4", "7.5", "build it again"} {
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v does not say %q", device, err, words)
			}
		}
	}
}
