package model

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/trtdet/trtdet/internal/wholefile"

	"github.com/trtdet/trtdet/decode"
)

// ManifestVersion is the version of the manifest that this trtdet writes, and
// the only one it reads.
const ManifestVersion = 1

const maxManifestBytes = 4 << 20

// Manifest is what stands in model.engine.json beside a plan: everything about
// the plan that the plan itself does not say, or not before it runs.
type Manifest struct {
	Version  int              `json:"version"`
	Plan     ManifestPlan     `json:"plan"`
	ONNX     ManifestONNX     `json:"onnx"`
	TensorRT ManifestTensorRT `json:"tensorrt"`
	// ComputeCapabilities are those the plan was built for ("8.0"); empty
	// where that is left to TensorRT.
	ComputeCapabilities []string `json:"compute_capabilities"`
	// GPU is the name of the GPU the plan is bound to, empty where none is.
	GPU        string            `json:"gpu"`
	Inputs     []TensorInfo      `json:"inputs"`
	Outputs    []TensorInfo      `json:"outputs"`
	Profiles   []Profile         `json:"profiles"`
	Precision  string            `json:"precision"`
	Head       decode.Head       `json:"head"`
	Preprocess decode.Preprocess `json:"preprocess"`
	Names      []string          `json:"names"`
	Thresholds decode.Thresholds `json:"thresholds"`
}

// ManifestPlan identifies the plan. The hash finds damage, not an attacker.
type ManifestPlan struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// ManifestONNX identifies the ONNX file the plan was built from.
type ManifestONNX struct {
	SHA256 string `json:"sha256"`
}

// ManifestTensorRT is the TensorRT that built the plan.
type ManifestTensorRT struct {
	Flavor  string `json:"flavor"`  // rtx, 10, 11
	Version string `json:"version"` // of the library
}

// Profile is the range of shapes of every input, by the input's name.
type Profile map[string]ProfileShape

// ProfileShape is the range of one input's shape.
type ProfileShape struct {
	Min []int `json:"min"`
	Opt []int `json:"opt"`
	Max []int `json:"max"`
}

// ReadManifest reads and validates the manifest at path. Errors about its
// content wrap ErrManifest and name the file.
func ReadManifest(path string) (*Manifest, error) {
	// not blocking: a named pipe that nobody writes to is an empty file
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifestBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; build the engine again with trtdet build", path, err)
	}
	return m, nil
}

// ParseManifest reads and validates a manifest. Errors wrap ErrManifest.
func ParseManifest(b []byte) (*Manifest, error) {
	if len(b) > maxManifestBytes {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrManifest, maxManifestBytes)
	}
	var v struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if v.Version == nil {
		return nil, fmt.Errorf("%w: it has no version", ErrManifest)
	}
	if *v.Version != ManifestVersion {
		return nil, fmt.Errorf("%w: it is version %d, this trtdet reads version %d", ErrManifest, *v.Version, ManifestVersion)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// Write validates the manifest and writes it to path by way of a temporary
// file that is synced and renamed.
func (m *Manifest) Write(path string) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	write := func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	}
	if err := wholefile.Write(path, write); err != nil {
		if temporary := (*fs.PathError)(nil); errors.As(err, &temporary) {
			err = temporary.Err // its path is one that nobody asked for
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Validate reports the first contradiction as an error that wraps ErrManifest
// and names the key.
func (m *Manifest) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(format, args...))
	}
	if m.Version != ManifestVersion {
		return bad("version is %d, want %d", m.Version, ManifestVersion)
	}
	for key, sum := range map[string]string{"plan.sha256": m.Plan.SHA256, "onnx.sha256": m.ONNX.SHA256} {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			return bad("%s is %.80q, want 64 hex digits", key, sum)
		}
	}
	if m.Plan.Bytes < 1 {
		return bad("plan.bytes is %d", m.Plan.Bytes)
	}
	if m.TensorRT.Flavor == "" || m.TensorRT.Version == "" {
		return bad("tensorrt does not name flavor and version")
	}
	switch m.Precision {
	case FP32, FP16, BF16, INT8, FP8:
	default:
		return bad("precision is %.80q", m.Precision)
	}
	if err := m.Head.Validate(); err != nil {
		return bad("head: %v", err)
	}
	if len(m.Names) != m.Head.Classes {
		return bad("names has %d entries, the head has %d classes", len(m.Names), m.Head.Classes)
	}
	if err := validThresholds(m.Thresholds); err != nil {
		return bad("thresholds: %v", err)
	}
	if err := m.Preprocess.Validate(); err != nil {
		return bad("preprocess: %v", err)
	}
	if len(m.Inputs) == 0 || len(m.Outputs) == 0 {
		return bad("inputs or outputs are empty")
	}
	shapes := map[string]int{}
	for _, t := range append(append([]TensorInfo{}, m.Inputs...), m.Outputs...) {
		if t.Name == "" || t.DType == "" || len(t.Shape) == 0 {
			return bad("tensor %.80q has no name, dtype or shape", t.Name)
		}
		for _, d := range t.Shape {
			if d == 0 || d < -1 {
				return bad("tensor %.80q has dimension %d", t.Name, d)
			}
		}
		if _, twice := shapes[t.Name]; twice {
			return bad("tensor %.80q is there twice", t.Name)
		}
		shapes[t.Name] = len(t.Shape)
	}
	for _, l := range m.Head.Levels {
		for _, name := range l.Outputs {
			if !named(m.Outputs, name) {
				return bad("head names output %.80q, which outputs lacks", name)
			}
		}
	}
	for i, p := range m.Profiles {
		for name, s := range p {
			if !named(m.Inputs, name) {
				return bad("profile %d names input %.80q, which inputs lacks", i, name)
			}
			if len(s.Min) != shapes[name] || len(s.Opt) != len(s.Min) || len(s.Max) != len(s.Min) {
				return bad("profile %d of %.80q does not have %d dimensions", i, name, shapes[name])
			}
			for k := range s.Min {
				if s.Min[k] < 1 || s.Min[k] > s.Opt[k] || s.Opt[k] > s.Max[k] {
					return bad("profile %d of %.80q: want 1 <= min <= opt <= max, got %d, %d, %d", i, name, s.Min[k], s.Opt[k], s.Max[k])
				}
			}
		}
	}
	return nil
}

func named(list []TensorInfo, name string) bool {
	for _, t := range list {
		if t.Name == name {
			return true
		}
	}
	return false
}

// validThresholds refuses thresholds outside 0 to 1, and NaN.
func validThresholds(t decode.Thresholds) error {
	for name, v := range map[string]float32{"conf": t.Conf, "iou": t.IoU} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s is %g, want 0 to 1", name, v)
		}
	}
	return nil
}
