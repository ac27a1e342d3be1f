package engine

import (
	"fmt"

	"github.com/trtdet/trtdet/internal/sharedlib"
)

// checkDevice refuses work that needs a GPU, in one line that says what is
// missing and what to run instead.
func checkDevice(path string, d Device) error {
	if !IsPlan(path) && len(d.CUDA) == 0 {
		return nil
	}
	missing := "this trtdet runs networks on the CPU alone"
	if !hasDriver() {
		missing = "no NVIDIA driver (libcuda.so.1) is on this machine"
	}
	if IsPlan(path) {
		return fmt.Errorf("%s: %w: a TensorRT engine runs on a GPU only, and %s; run the ONNX file it was built from instead: trtdet run MODEL.onnx --device cpu",
			path, ErrNoGPU, missing)
	}
	return fmt.Errorf("--device %s: %w: %s; run it with --device cpu instead", d, ErrNoGPU, missing)
}

// hasDriver reports whether NVIDIA's driver library is where the loader looks.
func hasDriver() bool {
	for range sharedlib.Find(sharedlib.Query{Patterns: []string{"libcuda.so.1"}}) {
		return true
	}
	return false
}
