package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

func TestBuildInProcess(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "m.engine")
	steps := 0
	m, err := Build(t.Context(), carried, plan, &BuildOptions{InProcess: true, Height: 256, Width: 256, Progress: func(trt.Progress) { steps++ }})
	if err != nil {
		t.Fatal(err)
	}
	if steps == 0 {
		t.Error("no progress")
	}
	again, err := ReadPlanManifest(plan)
	if err != nil {
		t.Fatal(err)
	}
	if again.Plan != m.Plan || again.Plan.Bytes == 0 {
		t.Errorf("plan %+v, read back %+v", m.Plan, again.Plan)
	}
	for name, change := range map[string]func(m *model.Manifest){
		"version": func(m *model.Manifest) { m.TensorRT.Version = "1.2.3.4" },
		"targets": func(m *model.Manifest) { m.ComputeCapabilities = []string{"9.0"} },
	} {
		other := *again
		change(&other)
		if err := other.Write(ManifestPath(plan)); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPlanManifest(plan); !errors.Is(err, ErrDamaged) {
			t.Errorf("a manifest with another %s: %v", name, err)
		}
	}
	if _, err := Build(t.Context(), carried, plan, &BuildOptions{InProcess: true}); !errors.Is(err, ErrExists) {
		t.Errorf("building over an engine: %v", err)
	}
}

func TestBuildNeedsAChild(t *testing.T) {
	if _, err := Build(t.Context(), carried, filepath.Join(t.TempDir(), "m.engine"), &BuildOptions{}); !errors.Is(err, ErrNoChild) {
		t.Errorf("got %v, want %v", err, ErrNoChild)
	}
}

// A child that cannot be started leaves nothing behind.
func TestBuildCleansUp(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := Build(t.Context(), carried, filepath.Join(dir, "m.engine"), &BuildOptions{Child: []string{"/nowhere/trtdet"}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}

func TestOutputsMustFollowTheBatch(t *testing.T) {
	n, err := model.Load(carried, nil)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []trt.TensorInfo{{Name: "output0", Shape: []int{-1, 51, 80, 80}}}
	if err := checkFollowsBatch(n, outputs); err != nil {
		t.Errorf("an output that follows: %v", err)
	}
	for _, shape := range [][]int{{1, 51, 80, 80}, {}, {4, 6}} {
		outputs[0].Shape = shape
		if err := checkFollowsBatch(n, outputs); !errors.Is(err, ErrBatchFolded) {
			t.Errorf("%v: got %v, want %v", shape, err, ErrBatchFolded)
		}
	}
}

// TensorRT-RTX's own choice of targets would claim GPUs that cannot compute
// in float8 at all.
func TestRareTypesChooseTheirTargets(t *testing.T) {
	for dtype, want := range map[string]string{"bfloat16": "sm_80, sm_86, sm_89, sm_120, sm_121", "float8e4m3fn": "sm_89, sm_120, sm_121"} {
		if got := targetNames(able(dtype)); got != want {
			t.Errorf("%s: %s, want %s", dtype, got, want)
		}
	}
}
