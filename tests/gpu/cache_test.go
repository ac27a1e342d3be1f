package gpu

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// TestRuntimeCache keeps the kernels that were compiled while an engine ran
// beside the plan, and does without where they are damaged or cannot be kept.
func TestRuntimeCache(t *testing.T) {
	if simgpu.Real() {
		t.Skip("only TensorRT-RTX has a cache, and the tests on a GPU run with TensorRT 10")
	}
	simgpu.UseTensorRT(t, "rtx1")
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
	cache := plan + ".cache"
	use := func() string {
		var logged written
		d, err := engine.Open(t.Context(), plan, &engine.Options{Device: devices(1), Log: slog.New(slog.NewTextHandler(&logged, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Detect(t.Context(), pictures(t)[0]); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		return logged.String()
	}
	kept := func() string {
		b, err := os.ReadFile(cache)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if log := use(); log != "" {
		t.Errorf("the first run says %s", log)
	}
	first := kept()
	if log := use(); log != "" || kept() != first {
		t.Errorf("the second run says %s", log)
	}
	if err := os.WriteFile(cache, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if log := use(); !strings.Contains(log, "compiled again") || kept() != first {
		t.Errorf("with a damaged cache it says %q and keeps %q", log, kept())
	}
	if err := os.Remove(cache); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(cache, 0o755); err != nil { // a folder can be neither read nor replaced
		t.Fatal(err)
	}
	if log := use(); !strings.Contains(log, "cannot be kept") {
		t.Errorf("with a cache that cannot be written it says %q", log)
	}
}
