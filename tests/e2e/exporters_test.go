package e2e

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/tests/oracle"
)

// exported is what ONNX Runtime finds with a file of somebody else's exporter.
type exported struct {
	Refused    bool
	Conf       float64
	Half       bool // the file's own numbers are rounded to half
	Detections []detection
}

// Files of YOLOv5's and Ultralytics' own exporters, which a test may fetch and nothing ships:
// trtdet gives ONNX Runtime's predictions on the file, builds an engine of it, or
// refuses what is no detector of boxes.
func TestExporters(t *testing.T) {
	dir := t.TempDir()
	// a short run has one of each kind
	var names []string
	tools := []string{"half", "half-io", "int8", "basic", "extended", "dynamic-int8", "onnxslim", "onnxsim"}
	if testing.Short() {
		names, tools = []string{"yolov5", "yolov8", "yolov8-nms", "yolo26", "yolov8-seg"}, []string{"half", "int8", "extended"}
	}
	export := oracle.Command(t, oracle.YOLOv5, "exporters.py", append([]string{"export", dir}, names...)...)
	export.Dir = dir
	packages := venvPackages(t, dir, "onnx", "ml_dtypes", "google", "typing_extensions.py")
	for i, variable := range export.Env {
		if path, ok := strings.CutPrefix(variable, "PYTHONPATH="); ok {
			export.Env[i] = "PYTHONPATH=" + packages + string(os.PathListSeparator) + path
		}
	}
	export.Env = append(export.Env, "YOLO_AUTOINSTALL=false", "YOLO_OFFLINE=true", "YOLO_CONFIG_DIR="+dir)
	if out, err := export.CombinedOutput(); err != nil {
		t.Fatalf("exporters.py: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "yolov5-dynamo.onnx")); err != nil && !testing.Short() {
		t.Log("without PyTorch's newer exporter, which this one's PyTorch has not (TRTDET_ORACLE_PYTHON names another Python)")
	}
	optimizers := filepath.Join(oracle.Root(t), "build", "deps", "optimizers")
	if _, err := os.Stat(optimizers); err != nil && !testing.Short() {
		t.Log("without onnxslim and onnxsim, which make test-full fetches (build/setup.sh full)")
		tools = tools[:len(tools)-2]
	}
	change := oracle.Command(t, oracle.Venv, "exporters.py", append([]string{"change", dir}, tools...)...)
	change.Env = append(change.Env, "PYTHONPATH="+optimizers)
	if out, err := change.CombinedOutput(); err != nil {
		t.Fatalf("exporters.py: %v\n%s", err, out)
	}
	oracle.Run(t, oracle.Venv, "exporters.py", "expect", dir, filepath.Join(top, "models", "emoji", "images", "meadow.jpg"))
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]exported
	if err := json.Unmarshal(b, &expected); err != nil {
		t.Fatal(err)
	}
	if len(expected) < 4 {
		t.Fatalf("only %d files were exported", len(expected))
	}
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, name+".onnx")
			if want.Refused {
				fails(t, dir, 1, []string{"unknown head"}, "info", file)
				return
			}
			args := []string{"run", file, filepath.Join(dir, "image.png"), "--format", "jsonl", "--nosave", "--imgsz", "128",
				"--conf-thres", strconv.FormatFloat(want.Conf, 'g', -1, 64), "--iou-thres", "1", "--max-det", "10000"}
			got := lines(t, must(t, dir, args...).stdout)
			bound := 0.05
			if want.Half {
				bound = 0.5
			}
			samePredictions(t, got[0].Detections, want.Detections, bound)
			must(t, dir, "build", file, "-o", name+".engine", "--quiet", "--imgsz", "128")
		})
	}
}

// samePredictions compares in no order: predictions may have equal scores. Boxes may
// be bound pixels off, scores as many thousandths.
func samePredictions(t *testing.T, got, want []detection, bound float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d predictions, want %d", len(got), len(want))
	}
	left := append([]detection{}, got...)
	for _, w := range want {
		nearest, least := -1, bound
		for i, g := range left {
			off := math.Abs(g.Score-w.Score) * 1000
			for k := range w.Box {
				off = max(off, math.Abs(g.Box[k]-w.Box[k]))
			}
			if g.ClassID == w.ClassID && off < least {
				nearest, least = i, off
			}
		}
		if nearest < 0 {
			t.Fatalf("nothing is %+v", w)
		}
		left = append(left[:nearest], left[nearest+1:]...)
	}
}

// venvPackages is a folder with these of the virtual environment's packages and
// no others.
func venvPackages(t *testing.T, dir string, names ...string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(top, "build", "deps", "venv", "lib", "python3*", "site-packages"))
	if err != nil || len(found) != 1 {
		t.Fatalf("site-packages: %q, %v", found, err)
	}
	folder := filepath.Join(dir, "packages")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Symlink(filepath.Join(from, name), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
