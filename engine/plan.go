package engine

import (
	"bytes"
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
	s := source{path: planPath}
	m, err := s.readManifest()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(planPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash, head := sha256.New(), &bytes.Buffer{}
	size, err := io.Copy(hash, io.TeeReader(io.LimitReader(f, trt.PlanHeaderSize), head))
	if err != nil {
		return nil, err
	}
	rest, err := io.Copy(hash, f)
	if err != nil {
		return nil, err
	}
	if err := s.checkPlan(m, hex.EncodeToString(hash.Sum(nil)), size+rest, head.Bytes()); err != nil {
		return nil, err
	}
	return m, nil
}

// readManifest returns the manifest that came with a plan, or lies beside it.
func (s source) readManifest() (*model.Manifest, error) {
	if s.path == "" {
		m, err := model.ParseManifest(s.manifest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; build the engine again with trtdet build", s, err)
		}
		return m, nil
	}
	if info, err := os.Stat(s.path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no regular file: name an engine that trtdet build wrote", s)
	}
	m, err := model.ReadManifest(ManifestPath(s.path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has no manifest (%s), and a plan does not say what its outputs mean: build it with trtdet build", s, ManifestPath(s.path))
	}
	return m, err
}

// checkPlan holds a plan of this hash and size, and the beginning of it, against
// its manifest.
func (s source) checkPlan(m *model.Manifest, sum string, size int64, head []byte) error {
	if size != m.Plan.Bytes {
		return fmt.Errorf("%s: %w: %d bytes, the manifest says %d; build it again: %s",
			s, ErrDamaged, size, m.Plan.Bytes, s.rebuild())
	}
	if sum != m.Plan.SHA256 {
		return fmt.Errorf("%s: %w: its SHA-256 differs; build it again: %s", s, ErrDamaged, s.rebuild())
	}
	if trt.Flavor(m.TensorRT.Flavor) == trt.RTX {
		if err := checkPlanHeader(head, m); err != nil {
			return fmt.Errorf("%s: %w: %w; build it again: %s", s, ErrDamaged, err, s.rebuild())
		}
	}
	return nil
}

// checkPlanHeader holds what a TensorRT-RTX plan says of itself against its
// manifest.
func checkPlanHeader(head []byte, m *model.Manifest) error {
	h, err := trt.ReadPlanHeader(head)
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
func (s source) rebuild() string {
	if s.path == "" {
		return "trtdet build MODEL.onnx"
	}
	return fmt.Sprintf("trtdet build MODEL.onnx -o %s --force", s.path)
}
