// Package gpu holds the whole way of a picture over a GPU to the way over the
// CPU. Where there is no GPU, the simulated one stands in (tests/simgpu).
package gpu

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

const models = "../../models"

var carried = filepath.Join(models, "emoji", "decoupled-base.onnx")

// fault has the simulated TensorRT of another process fail; a test starts this
// program with it in the build's child's place.
const fault = "SIMGPU_FAULT"

func TestMain(m *testing.M) {
	if os.Getenv(fault) != "" {
		os.Exit(engine.BuildChild())
	}
	if err := simgpu.Use(3); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// build makes an engine and returns its path.
func build(t *testing.T, onnx string, o engine.BuildOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.engine")
	buildAt(t, path, onnx, o)
	return path
}

// buildAt is build with a path of the caller's.
func buildAt(t *testing.T, path, onnx string, o engine.BuildOptions) {
	t.Helper()
	o.InProcess = true
	if simgpu.Real() { // whose builder times kernels for a minute, which says nothing here
		fast := 0
		o.OptLevel = &fast
	}
	if _, err := engine.Build(t.Context(), onnx, path, &o); err != nil {
		t.Fatal(err)
	}
}

// open opens a model and closes it when the test ends.
func open(t *testing.T, path string, o engine.Options) *engine.Detector {
	t.Helper()
	d, err := engine.Open(t.Context(), path, &o)
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

// written is what a log handler has written so far: a Detector hands records on
// from a goroutine of its own.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// devices are the first few GPUs.
func devices(n int) engine.Device {
	var d engine.Device
	for i := range min(n, simgpu.Devices()) {
		d.CUDA = append(d.CUDA, i)
	}
	return d
}

// pictures are those that the repository carries.
func pictures(t *testing.T) []*imaging.Picture {
	t.Helper()
	return imagesOf(t, filepath.Join(models, "emoji", "images"))
}

func imagesOf(t *testing.T, folder string) []*imaging.Picture {
	t.Helper()
	names, err := fs.Glob(os.DirFS(folder), "*.jpg")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d images in %s, %v", len(names), folder, err)
	}
	var all []*imaging.Picture
	for _, name := range names {
		p, err := imaging.Open(filepath.Join(folder, name), imaging.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// same fails a test where two results of one picture differ. The simulated GPU
// runs the very network that the CPU does: 0.01 px and 1e-5 of a score are
// roundings. A real one computes in TF32 or half.
func same(t *testing.T, what string, got, want engine.Result) {
	t.Helper()
	if simgpu.Real() {
		var v engine.Verification
		v.Add(got.Detections, want.Detections, 0.25)
		if err := v.Err(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if len(got.Detections) != len(want.Detections) || got.NonFinite != want.NonFinite {
		t.Errorf("%s: %d detections, want %d", what, len(got.Detections), len(want.Detections))
		return
	}
	for i, w := range want.Detections {
		g := got.Detections[i]
		off := max(math.Abs(float64(g.Box.X1-w.Box.X1)), math.Abs(float64(g.Box.Y1-w.Box.Y1)),
			math.Abs(float64(g.Box.X2-w.Box.X2)), math.Abs(float64(g.Box.Y2-w.Box.Y2)))
		if g.ClassID != w.ClassID || off > 0.01 || math.Abs(float64(g.Score-w.Score)) > 1e-5 {
			t.Errorf("%s: detection %d is %+v, want %+v", what, i, g, w)
			return
		}
	}
}
