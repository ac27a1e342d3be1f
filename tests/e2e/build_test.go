package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

// carried is the detector that the repository carries.
func carried() string { return filepath.Join(top, "models", "emoji", "decoupled-base.onnx") }

func readManifest(t *testing.T, engine string) *model.Manifest {
	t.Helper()
	m, err := model.ReadManifest(engine + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func planHeader(t *testing.T, engine string) *trt.PlanHeader {
	t.Helper()
	data, err := os.ReadFile(engine)
	if err != nil {
		t.Fatal(err)
	}
	h, err := trt.ReadPlanHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestBuildWritesPlanAndManifest(t *testing.T) {
	dir := t.TempDir()
	o := must(t, dir, "build", carried(), "-o", "m.engine")
	if got := names(t, dir); strings.Join(got, " ") != "m.engine m.engine.json" {
		t.Fatalf("build left %q", got)
	}
	if !strings.Contains(o.stdout, "m.engine") || !strings.Contains(o.stdout, "decoupled-base") {
		t.Errorf("build does not say what it built: %s", o.stdout)
	}
	engine := filepath.Join(dir, "m.engine")
	m, h := readManifest(t, engine), planHeader(t, engine)
	if m.TensorRT.Flavor != "rtx" || !strings.HasPrefix(h.Version, strings.Join(strings.Split(m.TensorRT.Version, ".")[:2], ".")) {
		t.Errorf("TensorRT is %+v in the manifest, %q in the plan", m.TensorRT, h.Version)
	}
	if len(m.ComputeCapabilities) != len(h.ComputeCapabilities) || len(h.ComputeCapabilities) == 0 {
		t.Errorf("compute capabilities %v in the manifest, %v in the plan", m.ComputeCapabilities, h.ComputeCapabilities)
	}
	if m.Head.Kind != "decoupled-base" || m.Head.Layout != "fused" || m.Thresholds.Conf != 0.5 || m.Thresholds.IoU != 0.45 {
		t.Errorf("head %+v, thresholds %+v", m.Head, m.Thresholds)
	}
	info := must(t, dir, "info", "m.engine", "--format", "json")
	var facts map[string]any
	if err := json.Unmarshal([]byte(info.stdout), &facts); err != nil {
		t.Fatal(err)
	}
	if facts["sha256"] != m.Plan.SHA256 {
		t.Errorf("info says %v, the manifest %s", facts["sha256"], m.Plan.SHA256)
	}
}

func TestBuildIsRepeatable(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "build", carried(), "-o", "a.engine", "--quiet")
	must(t, dir, "build", carried(), "-o", "b.engine", "--quiet")
	a, _ := os.ReadFile(filepath.Join(dir, "a.engine"))
	b, _ := os.ReadFile(filepath.Join(dir, "b.engine"))
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Error("two builds of the same model differ")
	}
}

func TestBuildFlags(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, flags string
		check       func(t *testing.T, m *model.Manifest, h *trt.PlanHeader, o outcome)
	}{
		{"thresholds are stored", "--conf-thres 0.3 --iou-thres 0.6", func(t *testing.T, m *model.Manifest, _ *trt.PlanHeader, _ outcome) {
			if m.Thresholds.Conf != 0.3 || m.Thresholds.IoU != 0.6 {
				t.Errorf("thresholds %+v", m.Thresholds)
			}
		}},
		{"a batch", "--batch 8", func(t *testing.T, m *model.Manifest, _ *trt.PlanHeader, _ outcome) {
			checkProfile(t, m, 1, 8, 8)
		}},
		{"a range of batches", "--batch 2:4:16", func(t *testing.T, m *model.Manifest, _ *trt.PlanHeader, _ outcome) {
			checkProfile(t, m, 2, 4, 16)
			for _, out := range m.Outputs {
				if out.Shape[0] != -1 {
					t.Errorf("output %s is %v: its first dimension does not follow the batch", out.Name, out.Shape)
				}
			}
		}},
		{"half", "--half", func(t *testing.T, m *model.Manifest, _ *trt.PlanHeader, _ outcome) {
			if m.Precision != "fp16" {
				t.Errorf("precision %s", m.Precision)
			}
		}},
		{"targets", "--target sm_75,sm_89", func(t *testing.T, m *model.Manifest, h *trt.PlanHeader, _ outcome) {
			if got := strings.Join(m.ComputeCapabilities, " "); got != "7.5 8.9" || len(h.ComputeCapabilities) != 2 {
				t.Errorf("compute capabilities %q, in the plan %v", got, h.ComputeCapabilities)
			}
		}},
		{"what RTX ignores is said", "--timing-cache t.cache --opt-level 4", func(t *testing.T, _ *model.Manifest, _ *trt.PlanHeader, o outcome) {
			for _, word := range []string{"timing cache", "optimization level"} {
				if !strings.Contains(o.stderr, word) {
					t.Errorf("nothing is said of the %s: %s", word, o.stderr)
				}
			}
		}},
		{"a workspace", "--workspace 64MiB", func(*testing.T, *model.Manifest, *trt.PlanHeader, outcome) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-")+".engine")
			o := must(t, dir, append([]string{"build", carried(), "-o", engine}, strings.Fields(c.flags)...)...)
			c.check(t, readManifest(t, engine), planHeader(t, engine), o)
		})
	}
}

func checkProfile(t *testing.T, m *model.Manifest, batches ...int) {
	t.Helper()
	if len(m.Profiles) != 1 {
		t.Fatalf("profiles %v", m.Profiles)
	}
	p := m.Profiles[0][m.Inputs[0].Name]
	for i, shape := range [][]int{p.Min, p.Opt, p.Max} {
		if len(shape) != 4 || shape[0] != batches[i] || shape[1] != 3 {
			t.Errorf("profile %+v, want batches %v", p, batches)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "build", carried(), "-o", "there.engine", "--quiet")
	if err := os.Mkdir(filepath.Join(dir, "folder.engine"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"-o there.engine", []string{"there.engine", "--force"}},
		{"-o m.trt", []string{"m.trt", ".engine"}},
		{"-o folder.engine --force", []string{"folder.engine", "regular"}},
		{"-o x.engine --tensorrt 10", []string{"TensorRT", "10"}},
		{"-o x.engine --tensorrt 11", []string{"TensorRT", "11"}},
		{"-o x.engine --tensorrt-lib /nowhere", []string{"/nowhere"}},
		{"-o x.engine --target sm_90", []string{"9.0", "--target takes sm_75"}},
		{"-o x.engine --data /nowhere.yaml", []string{"/nowhere.yaml"}},
		{"-o x.engine --cfg /nowhere.yaml", []string{"/nowhere.yaml"}},
		{"-o x.engine --anchors 1,2", []string{"--anchors"}},
		{"-o x.engine --head nonsense", []string{"--head", "nonsense"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			fails(t, dir, 1, c.words, append([]string{"build", carried(), "--quiet"}, strings.Fields(c.args)...)...)
		})
	}
	if got := names(t, dir); strings.Join(got, " ") != "there.engine there.engine.json" {
		t.Errorf("refused builds left %q", got)
	}
	must(t, dir, "build", carried(), "-o", "there.engine", "--force", "--half")
	if m := readManifest(t, filepath.Join(dir, "there.engine")); m.Precision != "fp16" {
		t.Errorf("--force did not overwrite: precision %s", m.Precision)
	}
}

func TestDamagedEngine(t *testing.T) {
	dir := t.TempDir()
	engine := filepath.Join(dir, "m.engine")
	must(t, dir, "build", carried(), "-o", engine, "--quiet")
	whole, err := os.ReadFile(engine)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for name, damaged := range map[string][]byte{"one bit": flipped, "cut short": whole[:len(whole)-1], "empty": nil} {
		if err := os.WriteFile(engine, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			fails(t, dir, 1, []string{"m.engine", "does not match", "trtdet build"}, "info", engine)
		})
	}
}

// building starts a build that TensorRT takes many seconds for, of m.engine in dir.
func building(t *testing.T, dir string) *process {
	t.Helper()
	return begin(t, dir, "build", slowModel(t), "-o", "m.engine", "--cfg", slowCfg(t))
}

// partIn is what a build of m.engine in dir writes to.
func partIn(dir string) string { return filepath.Join(dir, ".m.engine.part") }

// locks tells whether a build of m.engine in dir has the output's lock, which it
// takes before anything else.
func locks(dir string) bool {
	part, err := os.Stat(partIn(dir))
	if err != nil {
		return false
	}
	held, err := os.ReadFile("/proc/locks") // to try the lock would be to take it
	return err == nil && strings.Contains(string(held), fmt.Sprintf(":%d ", part.Sys().(*syscall.Stat_t).Ino))
}

// Ctrl+C stops a build in each of its phases, and leaves no file and no process.
// The process that TensorRT runs in cannot do anything about it: it is stopped.
func TestBuildIsInterrupted(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for _, phase := range []string{"lock", "child", "Building engine", "Building engine from subgraph"} {
			t.Run(s.String()+" in "+phase, func(t *testing.T) {
				dir := t.TempDir()
				p := building(t, dir)
				p.until(t, "the build begins", func() bool { return locks(dir) })
				if phase != "lock" {
					p.until(t, "the child is there", func() bool { return len(p.children(t)) > 0 })
				}
				if strings.Contains(phase, " ") {
					p.until(t, phase, func() bool { return strings.Contains(p.stderr.String(), phase+"\n") })
					if err := syscall.Kill(p.children(t)[0], syscall.SIGSTOP); err != nil {
						t.Fatal(err)
					}
				}
				p.signal(t, s)
				if o := p.end(t); o.status != 128+int(s) || !strings.HasSuffix(o.stderr, "trtdet: interrupted\n") || o.stdout != "" {
					t.Errorf("exit status %d: %s", o.status, o.stderr)
				}
				noProcess(t, dir)
				if left := names(t, dir); len(left) > 0 {
					t.Errorf("it left %q", left)
				}
			})
		}
	}
}

// A build whose program is killed ends too. What it leaves does not keep the
// next from the output.
func TestBuildIsKilled(t *testing.T) {
	dir := t.TempDir()
	p := building(t, dir)
	p.until(t, "TensorRT is at work", func() bool { return strings.Contains(p.stderr.String(), "Building engine\n") })
	p.signal(t, syscall.SIGKILL)
	p.end(t)
	noProcess(t, dir)
	if _, err := os.Stat(partIn(dir)); err != nil {
		t.Errorf("no part of an engine is left: was the build under way? %v", err)
	}
	must(t, dir, "build", carried(), "-o", "m.engine", "--quiet")
	if left := names(t, dir); strings.Join(left, " ") != "m.engine m.engine.json" {
		t.Errorf("it left %q", left)
	}
}

func TestBuildTimesOut(t *testing.T) {
	dir := t.TempDir()
	fails(t, dir, 1, []string{"--timeout", "100ms"}, "build", slowModel(t), "-o", "m.engine", "--quiet", "--timeout", "100ms",
		"--cfg", slowCfg(t))
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

// yolov5Cfg has the anchors of slowModel, as YOLOv5's own model files write them.
const yolov5Cfg = `nc: 3
anchors:
  - [10,13, 16,30, 33,23]  # P3/8
  - [30,61, 62,45, 59,119]  # P4/16
  - [116,90, 156,198, 373,326]  # P5/32
`

func slowCfg(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "yolov5s.yaml")
	if err := os.WriteFile(path, []byte(yolov5Cfg), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var slowOnce struct {
	sync.Once
	path string
	err  error
}

// slowModel is a detector that TensorRT takes many seconds to build.
func slowModel(t *testing.T) string {
	t.Helper()
	slowOnce.Do(func() {
		slowOnce.path = filepath.Join(filepath.Dir(trtdet), "chain.onnx")
		out, err := exec.Command(filepath.Join(top, "build/deps/venv/bin/python"), filepath.Join(top, "tests/e2e/chain.py"), slowOnce.path).CombinedOutput()
		if err != nil {
			slowOnce.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if slowOnce.err != nil {
		t.Fatal(slowOnce.err)
	}
	return slowOnce.path
}

func TestTwoBuildsOfOneOutput(t *testing.T) {
	dir := t.TempDir()
	first := building(t, dir)
	first.until(t, "the first build begins", func() bool { return locks(dir) })
	first.signal(t, syscall.SIGSTOP) // it cannot be done before the second
	fails(t, dir, 1, []string{"m.engine", "another build"}, "build", carried(), "-o", "m.engine", "--quiet")
}

// A trained YOLOX of 5 million parameters whose batch is fixed at one: half
// halves its weights, and the batch is made dynamic.
func TestBuildThirdParty(t *testing.T) {
	dir := t.TempDir()
	yolox := thirdParty("common_det.onnx")
	must(t, dir, "build", yolox, "-o", "full.engine", "--quiet")
	must(t, dir, "build", yolox, "-o", "half.engine", "--quiet", "--half", "--batch", "1:2:4")
	full, half := planHeader(t, filepath.Join(dir, "full.engine")), planHeader(t, filepath.Join(dir, "half.engine"))
	if ratio := float64(half.WeightsBytes) / float64(full.WeightsBytes); ratio < 0.45 || ratio > 0.55 {
		t.Errorf("weights of %d bytes in half, %d in full: ratio %.3f, want about a half", half.WeightsBytes, full.WeightsBytes, ratio)
	}
	m := readManifest(t, filepath.Join(dir, "half.engine"))
	checkProfile(t, m, 1, 2, 4)
	for _, out := range m.Outputs {
		if out.Shape[0] != -1 || out.DType != "float32" {
			t.Errorf("output %+v, want float32 that follows the batch", out)
		}
	}
	if m.Precision != "fp16" || m.Preprocess.Letterbox != "top-left" || m.Preprocess.PixelRange != 255 {
		t.Errorf("precision %s, preprocess %+v", m.Precision, m.Preprocess)
	}
}
