package e2e

import (
	"encoding/json"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/trtdet/trtdet/report"
)

// simulatedGPUs has the program find GPUs that tests/simgpu makes up, and their
// TensorRT.
func simulatedGPUs(t *testing.T, devices string) {
	t.Helper()
	folder := filepath.Join(top, "build", "out", "simgpu")
	t.Setenv("SIMGPU_DEVICES", devices)
	t.Setenv("TRTDET_LIBCUDA", filepath.Join(folder, "libcuda.so.1"))
	t.Setenv("TRTDET_TENSORRT", filepath.Join(folder, "10"))
	t.Setenv("TRTDET_ONNXRUNTIME", filepath.Join(top, "build/deps/onnxruntime/lib/libonnxruntime.so"))
}

// An engine goes all the way: built and verified, run, measured and put under
// load, with the boxes and figures of the CPU.
func TestEngineOnGPU(t *testing.T) {
	images := filepath.Join(top, emoji, "images")
	data := []string{"--data", filepath.Join(top, emoji, "data.yaml")}
	onCPU := must(t, "", "run", carried(), images, "--imgsz", "256", "--device", "cpu", "--nosave", "--format", "jsonl")
	evaluated := measure(t, "", append([]string{carried(), "--imgsz", "256", "--device", "cpu"}, data...)...)
	simulatedGPUs(t, "2")
	dir := t.TempDir()
	for _, build := range [][]string{{"--batch", "1:2:4"}, {"--half"}} {
		o := must(t, dir, append([]string{"build", carried(), "-o", "m.engine", "--force", "--imgsz", "256", "--verify", images}, build...)...)
		if !strings.Contains(o.stdout, "beside ONNX Runtime on 8 pictures") || !strings.Contains(o.stdout, " 0 unmatched") {
			t.Errorf("build %v says %s", build, o.stdout)
		}
	}
	must(t, dir, "build", carried(), "-o", "m.engine", "--force", "--quiet", "--imgsz", "256", "--batch", "1:2:4")
	for _, device := range []string{"auto", "cuda:1", "cuda:0,1"} {
		got := must(t, dir, "run", "m.engine", images, "--device", device, "--batch", "4", "--nosave", "--format", "jsonl")
		sameLines(t, device, lines(t, got.stdout), lines(t, onCPU.stdout))
	}
	m := measure(t, dir, append([]string{"m.engine", "--batch", "4"}, data...)...)
	sameFigures(t, m, evaluated)
	sameFigures(t, measure(t, dir, append([]string{"m.engine", "--batch", "4", "--preprocess", "detect"}, data...)...),
		measure(t, "", append([]string{carried(), "--imgsz", "256", "--device", "cpu", "--preprocess", "detect"}, data...)...))
	for _, stage := range []string{"letterbox", "network", "decode"} {
		if m.MS[stage] <= 0 {
			t.Errorf("%s took %g ms", stage, m.MS[stage])
		}
	}
	var b report.Benchmark
	o := must(t, dir, "bench", "m.engine", "--batch", "1,4", "--slots", "1,2", "--graphs", "on,off", "--duration", "200ms", "--warmup", "0s", "--format", "json")
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil {
		t.Fatal(err)
	}
	if len(b.Runs) != 8 || b.Device != "cuda:0" || b.Width != 256 {
		t.Fatalf("%d runs on %s of width %d", len(b.Runs), b.Device, b.Width)
	}
	for _, r := range b.Runs { // a slow machine may have its answers too late to count
		if r.Calls <= 0 || r.Limit <= 0 || r.Latency.P999 < r.Latency.P50 || r.Graphs == nil || r.Stages.CopyIn <= 0 || r.Stages.Network <= 0 {
			t.Errorf("%+v", r)
		}
	}
	fails(t, dir, 2, []string{"--batch 8", "4 pictures at most"}, "bench", "m.engine", "--batch", "8", "--duration", "100ms")
	// what was measured before stays
	o = call(t, dir, "", "bench", "m.engine", "--batch", "1,8", "--rate", "100,200", "--duration", "100ms", "--warmup", "0s", "--format", "json")
	b = report.Benchmark{}
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil || o.status != 2 || len(b.Runs) != 2 ||
		!slices.Equal(b.Missing, []string{"batch 8, graphs, 100/s", "batch 8, graphs, 200/s"}) {
		t.Errorf("exit status %d, %v, %d runs without %q", o.status, err, len(b.Runs), b.Missing)
	}
}

// A benchmark that is interrupted prints what it has, and says what it lacks.
func TestBenchIsInterrupted(t *testing.T) {
	for _, format := range []string{"table", "json", "md"} {
		p := begin(t, t.TempDir(), "bench", carried(), "--imgsz", "64", "--batch", "1,2,4,8", "--graphs", "on,off", "--duration", "1s", "--warmup", "0s",
			"--format", format)
		p.until(t, "the first row is measured", func() bool { return strings.Contains(p.stderr.String(), "measuring batch 2,") })
		p.signal(t, syscall.SIGINT)
		o := p.end(t)
		if o.status != 130 || !strings.HasSuffix(o.stderr, "\ntrtdet: interrupted\n") {
			t.Errorf("exit status %d: %s", o.status, o.stderr)
		}
		if format != "json" {
			if !strings.Contains(o.stdout, "pictures/s") || !strings.Contains(o.stdout, "2 callers") || !strings.HasSuffix(o.stdout, "; batch 8.\n") {
				t.Errorf("%s", o.stdout)
			}
			continue
		}
		var b report.Benchmark
		if err := json.Unmarshal([]byte(o.stdout), &b); err != nil || len(b.Runs) == 0 || len(b.Runs)+len(b.Missing) != 4 {
			t.Errorf("%v, %d runs without %q", err, len(b.Runs), b.Missing)
		}
	}
}

// sameFigures wants the mAP of the CPU, of images that were resized alike.
func sameFigures(t *testing.T, onGPU, onCPU measurement) {
	t.Helper()
	got, want := float64(onGPU.Overall.MAP5095), float64(onCPU.Overall.MAP5095)
	if math.Abs(got-want) > 1e-4 || onGPU.Device != "cuda:0" || onGPU.Settings.Preprocess != onCPU.Settings.Preprocess {
		t.Errorf("mAP50-95 is %g on %s (%s), %g on the CPU (%s)", got, onGPU.Device, onGPU.Settings.Preprocess, want, onCPU.Settings.Preprocess)
	}
}

// sameLines wants the same detections of each picture, within 0.01 px.
func sameLines(t *testing.T, what string, got, want []line) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d pictures, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Source != w.Source || len(g.Detections) != len(w.Detections) {
			t.Errorf("%s: %s has %d detections, want %s with %d", what, g.Source, len(g.Detections), w.Source, len(w.Detections))
			continue
		}
		for n, d := range w.Detections {
			for side := range d.Box {
				if math.Abs(g.Detections[n].Box[side]-d.Box[side]) > boxBound || g.Detections[n].ClassID != d.ClassID {
					t.Errorf("%s: detection %d of %s is %+v, want %+v", what, n, g.Source, g.Detections[n], d)
					break
				}
			}
		}
	}
}

// What cannot be done without a GPU is said before anything else is.
func TestGPUIsMissing(t *testing.T) {
	dir := t.TempDir()
	simulatedGPUs(t, "1")
	must(t, dir, "build", carried(), "-o", "m.engine", "--quiet", "--imgsz", "256")
	fails(t, dir, 1, []string{"cuda:3", "there is 1 GPU"}, "run", "m.engine", carried(), "--device", "cuda:3")
	t.Setenv("TRTDET_LIBCUDA", "/no/driver")
	fails(t, dir, 1, []string{"--verify runs the engine", "leave it out here"}, "build", carried(), "-o", "n.engine", "--verify", filepath.Join(top, emoji, "images"))
	fails(t, dir, 1, []string{"m.engine", "no GPU to run on"}, "bench", "m.engine")
}

// A model on the CPU under load. A call that is under way when the time is up
// counts, so that there is one on any machine.
func TestBench(t *testing.T) {
	o := must(t, "", "bench", carried(), "--imgsz", "64", "--batch", "2", "--duration", "300ms", "--warmup", "0s",
		"--format", "json", "--pictures", filepath.Join(top, emoji, "images"))
	var b report.Benchmark
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil {
		t.Fatal(err)
	}
	if len(b.Runs) != 1 || b.Device != "cpu" || !strings.HasPrefix(b.Pictures, "8 pictures of ") {
		t.Fatalf("%+v", b)
	}
	r := b.Runs[0]
	if r.Batch != 2 || r.Slots != 1 || r.Concurrency != 2 || r.Graphs != nil || r.Calls <= 0 || r.Limit <= 0 || r.Stages.Letterbox <= 0 || r.Stages.Network <= 0 {
		t.Errorf("%+v", r)
	}
	o = must(t, "", "bench", carried(), "--imgsz", "64", "--batch", "8", "--singly", "--encoded", "--concurrency", "1,16",
		"--duration", "300ms", "--warmup", "0s", "--format", "json", "--pictures", filepath.Join(top, emoji, "images"))
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil {
		t.Fatal(err)
	}
	if len(b.Runs) != 2 || !b.Singly || !b.Encoded || b.JPEG == "" {
		t.Fatalf("%+v", b)
	}
	for i, callers := range []int{1, 16} {
		if r := b.Runs[i]; r.Batch != 8 || r.Concurrency != callers || r.Calls <= 0 {
			t.Errorf("%+v", r)
		}
	}
	// more than it can do: some are refused, and none fails
	must(t, "", "bench", carried(), "--imgsz", "64", "--rate", "50000", "--duration", "200ms", "--warmup", "0s")
	for _, format := range []string{"table", "md"} {
		o = must(t, "", "bench", carried(), "--imgsz", "64", "--rate", "20,40", "--duration", "200ms", "--warmup", "0s",
			"--format", format)
		for _, words := range []string{"pictures/s", "20.0/s arrive", "40.0/s arrive", "letterbox", "on cpu, input 64x64"} {
			if !strings.Contains(o.stdout, words) {
				t.Errorf("%s does not say %q:\n%s", format, words, o.stdout)
			}
		}
	}
}

// TensorRT asks the loader for what it builds with by a name that is not the
// file's soname, wherever TensorRT lies. This one crashes where it gets nothing.
func TestBuilderResources(t *testing.T) {
	simulatedGPUs(t, "1")
	dir := t.TempDir()
	for name, source := range map[string]string{
		"libnvinfer.so.10": `#include <dlfcn.h>
			#include <stdlib.h>
			int tensorrt_version_10_1_0_4;
			int getInferLibVersion(void) { return 100100; }
			void *createInferRuntime_INTERNAL(void *log, int version) { abort(); }
			void *createInferBuilder_INTERNAL(void *log, int version) {
			  if (dlopen("libnvinfer_builder_resource_sm90.so.10.1.0", RTLD_LAZY) == NULL) abort();
			  return NULL;
			}`,
		"libnvonnxparser.so.10":                      "int createNvOnnxParser_INTERNAL;",
		"libnvinfer_builder_resource_sm90.so.10.1.0": "int kernels;",
	} {
		soname := name
		if strings.Contains(name, "resource") {
			soname = "do_not_link_against_nvinfer_builder_resource" // as NVIDIA's have it
		}
		cc := exec.Command("cc", "-shared", "-fPIC", "-x", "c", "-", "-Wl,-soname,"+soname, "-o", filepath.Join(dir, name))
		cc.Stdin = strings.NewReader(source)
		if out, err := cc.CombinedOutput(); err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
	}
	t.Setenv("TRTDET_TENSORRT", dir)
	fails(t, dir, 1, []string{"TensorRT made no builder"}, "build", carried(), "-o", "m.engine", "--quiet", "--imgsz", "256")
}
