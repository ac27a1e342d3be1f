package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

// ErrDamaged is wrapped when a plan is not the one its manifest describes.
var ErrDamaged = errors.New("the engine does not match its manifest")

// IsPlan reports whether a path names a TensorRT engine rather than an ONNX
// file, going by its extension.
func IsPlan(path string) bool {
	return strings.HasSuffix(path, ".engine") || strings.HasSuffix(path, ".plan")
}

// ReadPlanManifest returns the manifest of the plan at planPath after holding
// the plan against it: size, hash and, for TensorRT-RTX, the plan's own header.
// TensorRT is not asked. The error wraps ErrDamaged or os's errors.
func ReadPlanManifest(planPath string) (*model.Manifest, error) {
	m, err := planManifest(planPath)
	if err != nil {
		return nil, err
	}
	sum, size, err := hashFile(planPath)
	if err != nil {
		return nil, err
	}
	if err := checkPlan(planPath, m, sum, size); err != nil {
		return nil, err
	}
	return m, nil
}

// readPlan is ReadPlanManifest with the plan itself: the bytes that were held
// against the manifest, not those of another read.
func readPlan(planPath string) (*model.Manifest, []byte, error) {
	m, err := planManifest(planPath)
	if err != nil {
		return nil, nil, err
	}
	plan, err := os.ReadFile(planPath)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(plan)
	if err := checkPlan(planPath, m, hex.EncodeToString(sum[:]), int64(len(plan))); err != nil {
		return nil, nil, err
	}
	return m, plan, nil
}

// planManifest returns the manifest beside a plan.
func planManifest(planPath string) (*model.Manifest, error) {
	if info, err := os.Stat(planPath); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no regular file: name an engine that trtdet build wrote", planPath)
	}
	m, err := model.ReadManifest(ManifestPath(planPath))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no manifest (%s), and a plan does not say what its outputs mean: build it with trtdet build", planPath, ManifestPath(planPath))
	}
	return m, err
}

// checkPlan holds a plan of this hash and size against its manifest.
func checkPlan(planPath string, m *model.Manifest, sum string, size int64) error {
	if size != m.Plan.Bytes {
		return fmt.Errorf("%s: %w: %d bytes, the manifest says %d; build it again: %s",
			planPath, ErrDamaged, size, m.Plan.Bytes, rebuild(planPath))
	}
	if sum != m.Plan.SHA256 {
		return fmt.Errorf("%s: %w: its SHA-256 differs; build it again: %s", planPath, ErrDamaged, rebuild(planPath))
	}
	if trt.Flavor(m.TensorRT.Flavor) == trt.RTX {
		if err := checkPlanHeader(planPath, m); err != nil {
			return fmt.Errorf("%s: %w: %w; build it again: %s", planPath, ErrDamaged, err, rebuild(planPath))
		}
	}
	return nil
}

// checkPlanHeader holds what a TensorRT-RTX plan says of itself against its
// manifest.
func checkPlanHeader(path string, m *model.Manifest) error {
	h, err := readPlanHeader(path)
	if err != nil {
		return err
	}
	if h.Size != uint64(m.Plan.Bytes) {
		return fmt.Errorf("its header says %d bytes, the manifest %d", h.Size, m.Plan.Bytes)
	}
	if h.Version != m.TensorRT.Version {
		return fmt.Errorf("its header says TensorRT-RTX %s, the manifest %s", h.Version, m.TensorRT.Version)
	}
	if runs := capabilityNames(h); !slices.Equal(runs, m.ComputeCapabilities) {
		return fmt.Errorf("its header says compute capabilities %v, the manifest %v", runs, m.ComputeCapabilities)
	}
	return nil
}

// capabilityNames lists the GPUs that a plan is for, "8.0".
func capabilityNames(h *trt.PlanHeader) []string {
	names := make([]string, len(h.ComputeCapabilities))
	for i, c := range h.ComputeCapabilities {
		names[i] = c.String()
	}
	return names
}

// readPlanHeader reads the header of a TensorRT-RTX plan, and no more of it.
func readPlanHeader(path string) (*trt.PlanHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, trt.PlanHeaderSize))
	if err != nil {
		return nil, err
	}
	return trt.ReadPlanHeader(head)
}

// rebuild is the command that makes the plan anew. The ONNX file's name is not
// recorded: it may have moved, and its hash is what counts.
func rebuild(planPath string) string {
	return fmt.Sprintf("trtdet build MODEL.onnx -o %s --force", planPath)
}

func hashFile(path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}
