// Package gpu holds the whole way of a picture over a GPU to the way over the
// CPU. Where there is no GPU, the simulated one stands in (tests/simgpu).
package gpu

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

const models = "../../models"

func TestMain(m *testing.M) {
	if err := simgpu.Use(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// build makes an engine and returns its path.
func build(t *testing.T, onnx string, o engine.BuildOptions) string {
	t.Helper()
	o.InProcess = true
	path := filepath.Join(t.TempDir(), "model.engine")
	if _, err := engine.Build(t.Context(), onnx, path, &o); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens a model and closes it when the test ends.
func open(t *testing.T, path string, o engine.Options) *engine.Detector {
	t.Helper()
	d, err := engine.Open(path, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// pictures are those that the repository carries.
func pictures(t *testing.T) []*imaging.Picture {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(models, "emoji", "images", "*.jpg"))
	if err != nil || len(names) < 8 {
		t.Fatalf("%d pictures, %v", len(names), err)
	}
	var all []*imaging.Picture
	for _, name := range names {
		p, err := imaging.Open(name, imaging.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}
