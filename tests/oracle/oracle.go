// Package oracle runs the Python references that tests are held to, and reads
// what they write. It is for tests only. Two Pythons stand behind it: the
// virtual environment (numpy, cv2 4, onnxruntime) and the system's own, which
// has torch, with YOLOv5's code beside it. A missing one fails the test with
// the command that installs it.
package oracle

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Python is one of the interpreters.
type Python int

// The interpreters.
const (
	// Venv is build/deps/venv: numpy, cv2 4, onnx, onnxruntime.
	Venv Python = iota
	// YOLOv5 is the system's python3 with torch, torchvision, cv2 and Pillow,
	// and build/deps/oracle on its path; TRTDET_ORACLE_PYTHON names another.
	YOLOv5
)

// Root returns the folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); !ok || err != nil {
		t.Fatalf("the repository is not where it was built: %v (tests do not run with -trimpath)", err)
	}
	return root
}

// Command returns the command that runs a script of tests/oracle.
func Command(t testing.TB, p Python, script string, args ...string) *exec.Cmd {
	t.Helper()
	root := Root(t)
	python := filepath.Join(root, "build", "deps", "venv", "bin", "python")
	packages := filepath.Join(root, "build", "deps", "oracle")
	if p == YOLOv5 {
		python = "/usr/bin/python3"
		if named := os.Getenv("TRTDET_ORACLE_PYTHON"); named != "" {
			python = named
		}
		if _, err := os.Stat(filepath.Join(packages, "yolov5")); err != nil {
			t.Fatalf("YOLOv5's own code, the oracle of this test, is missing: %v; run make setup", err)
		}
	}
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("the Python of this test's oracle is missing: %v; run make setup", err)
	}
	cmd := exec.Command(python, append([]string{filepath.Join(root, "tests", "oracle", script)}, args...)...)
	// YOLO_VERBOSE: or the first import on a machine says on standard output that it has made a settings file
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "YOLO_VERBOSE=false", "OMP_NUM_THREADS=2", "OMP_WAIT_POLICY=passive",
		"YOLOv5_VERBOSE=false", "MPLCONFIGDIR="+t.TempDir())
	if p == YOLOv5 {
		cmd.Env = append(cmd.Env, "PYTHONPATH="+packages)
	}
	return cmd
}

// Run runs a script to its end and returns its standard output.
func Run(t testing.TB, p Python, script string, args ...string) []byte {
	t.Helper()
	cmd := Command(t, p, script, args...)
	out, err := cmd.Output()
	if err != nil {
		text := ""
		if exit, ok := err.(*exec.ExitError); ok {
			text = string(exit.Stderr)
		}
		t.Fatalf("the oracle %s failed: %v\n%s", script, err, text)
	}
	return out
}

// Blob is a piece of the data file beside the cases.
type Blob struct {
	Offset int `json:"offset"` // bytes
	Size   int `json:"size"`   // bytes
}

// Cases is what a script wrote: cases.json and data.bin of a folder.
type Cases struct{ data []byte }

// Load runs a script with a fresh folder as its last argument and reads the
// cases it writes there into v.
func Load(t testing.TB, p Python, script string, v any, args ...string) *Cases {
	t.Helper()
	return LoadFrom(t, p, t.TempDir(), script, v, args...)
}

// LoadFrom is Load with a folder of the test's own, for a script that writes
// more into it than the cases.
func LoadFrom(t testing.TB, p Python, folder, script string, v any, args ...string) *Cases {
	t.Helper()
	Run(t, p, script, append(args, folder)...)
	index, err := os.ReadFile(filepath.Join(folder, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(index, v); err != nil {
		t.Fatalf("cases of %s: %v", script, err)
	}
	data, err := os.ReadFile(filepath.Join(folder, "data.bin"))
	if err != nil {
		t.Fatal(err)
	}
	return &Cases{data: data}
}

// Bytes returns a blob of bytes. It is not to be written to.
func (c *Cases) Bytes(b Blob) []byte { return c.data[b.Offset:][:b.Size:b.Size] }

// Floats returns a blob of little-endian float32.
func (c *Cases) Floats(b Blob) []float32 {
	raw := c.Bytes(b)
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}
