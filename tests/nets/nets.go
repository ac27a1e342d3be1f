// Package nets reads what make.py has made: small nets of every kind and
// layout, and what is to be known of each.
package nets

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model"
)

// Net is one entry of index.json; README.md says what the keys mean.
type Net struct {
	File    string
	Family  string
	Head    decode.Head
	Layouts []string `json:"layouts_after_cut"`
	Layout  string   `json:"layout_in_file"`
	// Raw names the raw maps of each level in the file, outputs or not.
	Raw        [][]string
	Strides    []int
	Preprocess decode.Preprocess
	Thresholds decode.Thresholds
	Names      []string
	Hints      struct {
		Anchors [][][2]float32
		Head    string
		Names   []string
	}
	Dynamic struct{ Batch, Size bool }
	Batch   int
	ImgSize [2]int `json:"imgsz"`
	// Precision is fp32, fp16 or int8.
	Precision string
	Opset     int
	Notes     any
}

// folder holds the nets; make test and make test-full fill it.
func folder() string {
	if folder := os.Getenv("TRTDET_NETS"); folder != "" {
		return folder
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "build", "out", "nets")
}

// Path is the ONNX file.
func (n *Net) Path() string { return filepath.Join(folder(), n.File) }

// ModelHints are what a user has to say because the file does not.
func (n *Net) ModelHints() model.Hints {
	return model.Hints{Head: n.Hints.Head, Anchors: n.Hints.Anchors, Names: n.Hints.Names}
}

// Load returns the nets.
func Load(t *testing.T) []Net {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder(), "index.json"))
	if err != nil {
		t.Fatalf("the nets have not been made: %v; run make test, or build/deps/venv/bin/python tests/nets/make.py", err)
	}
	var index struct{ Nets []Net }
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Nets) < 8 {
		t.Fatalf("only %d nets were made", len(index.Nets))
	}
	return index.Nets
}
