package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A build takes the first TensorRT that can do the work: not one that does not
// load, and not one that makes no builder, as where the driver is too old for it.
func TestBuildGoesOn(t *testing.T) {
	simulatedGPUs(t, "1")
	dir := t.TempDir()
	library := func(folder, name, source string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		cc := exec.Command("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", filepath.Join(dir, folder, name))
		cc.Stdin = strings.NewReader(source)
		output(t, cc)
		return filepath.Join(dir, folder)
	}
	hollow := library("hollow", "libnvinfer.so.11", "int tensorrt_version_11_1_0_4;")
	library("hollow", "libnvonnxparser.so.11", "int x;")
	// what it builds with is in its own folder, of which the loader is told
	newer := library("newer", "libnvinfer.so.10", `#include <dlfcn.h>
		#include <stdlib.h>
		int tensorrt_version_10_1_0_4;
		int getInferLibVersion(void) { return 100100; }
		void *createInferRuntime_INTERNAL(void *log, int version) { abort(); }
		void *createInferBuilder_INTERNAL(void *log, int version) {
		  if (dlopen("libnvinfer_builder_resource_sm90.so.10.1.0", RTLD_LAZY) == NULL) abort();
		  return NULL;
		}`)
	library("newer", "libnvonnxparser.so.10", "int createNvOnnxParser_INTERNAL;")
	library("newer", "libnvinfer_builder_resource_sm90.so.10.1.0", "int kernels;")
	rtx := filepath.Join(top, "build/deps/tensorrt/lib")
	build := []string{"build", carried(), "-o", "m.engine", "--imgsz", "256", "--force"}

	t.Setenv("TRTDET_TENSORRT", strings.Join([]string{hollow, newer, rtx}, ":"))
	o := must(t, dir, build...)
	for _, words := range []string{
		"TensorRT 11.1.0.4 in " + filepath.Join(hollow, "libnvinfer.so.11") + " is passed over for TensorRT 10.1.0.4",
		"TensorRT 10.1.0.4 in " + filepath.Join(newer, "libnvinfer.so.10") + " is passed over for TensorRT-RTX 1.7.1.116",
		"no symbol createInferBuilder_INTERNAL", "TensorRT made no builder",
	} {
		if !strings.Contains(o.stderr, words) {
			t.Errorf("the log does not say %q:\n%s", words, o.stderr)
		}
	}
	if o = must(t, dir, "info", "m.engine"); !strings.Contains(o.stdout, "TensorRT       rtx 1.7.1.116") {
		t.Errorf("the engine is\n%s", o.stdout)
	}

	t.Setenv("TRTDET_TENSORRT", strings.Join([]string{filepath.Join(dir, "absent"), hollow, newer}, ":"))
	o = call(t, dir, "", build...)
	last := o.stderr[strings.LastIndex(strings.TrimSpace(o.stderr), "\n")+1:]
	for _, words := range []string{
		"no symbol createInferBuilder_INTERNAL", "TensorRT made no builder", "absent: no such file or directory",
	} {
		if o.status != 1 || !strings.Contains(last, words) {
			t.Errorf("exit status %d; the error does not say %q:\n%s", o.status, words, o.stderr)
		}
	}
	if left := names(t, dir); len(left) != 7 { // five libraries, an engine and its manifest
		t.Errorf("left are %q", left)
	}
}
