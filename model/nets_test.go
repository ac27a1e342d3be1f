package model

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/decode"
)

// netsDir holds the nets that tests/nets/make.py makes.
func netsDir() string {
	if dir := os.Getenv("TRTDET_NETS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "build", "out", "nets")
}

// netEntry is what make.py says about a net it made.
type netEntry struct {
	File            string            `json:"file"`
	Head            decode.Head       `json:"head"`
	LayoutsAfterCut []decode.Layout   `json:"layouts_after_cut"`
	LayoutInFile    string            `json:"layout_in_file"`
	Raw             [][]string        `json:"raw"`
	Names           []string          `json:"names"`
	Preprocess      decode.Preprocess `json:"preprocess"`
	Thresholds      decode.Thresholds `json:"thresholds"`
	Hints           struct {
		Head    string         `json:"head"`
		Family  string         `json:"family"`
		Anchors [][][2]float32 `json:"anchors"`
		Names   []string       `json:"names"`
		Classes int            `json:"classes"`
	} `json:"hints"`
	Dynamic struct {
		Batch bool `json:"batch"`
		Size  bool `json:"size"`
	} `json:"dynamic"`
	Batch     int    `json:"batch"`
	ImgSz     []int  `json:"imgsz"`
	Precision string `json:"precision"`
	Opset     int    `json:"opset"`
}

func (e *netEntry) hints() *Hints {
	return &Hints{Head: e.Hints.Head, Family: e.Hints.Family, Anchors: e.Hints.Anchors, Names: e.Hints.Names, Classes: e.Hints.Classes}
}

func nets(t *testing.T) []netEntry {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(netsDir(), "index.json"))
	if err != nil {
		t.Fatalf("no nets: %v; make nets makes them", err)
	}
	var index struct {
		Nets []netEntry `json:"nets"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Nets) == 0 {
		t.Fatal("the index of nets is empty")
	}
	return index.Nets
}

// TestHeadOfEveryNet holds the head that is read off every made net to what the
// script that made it says.
func TestHeadOfEveryNet(t *testing.T) {
	for _, e := range nets(t) {
		t.Run(e.File, func(t *testing.T) {
			n, err := Load(filepath.Join(netsDir(), e.File), e.hints())
			if err != nil {
				t.Fatal(err)
			}
			if err := sameHead(n.Head, e); err != nil {
				t.Errorf("%v\n got %+v\nwant %+v raw %v", err, n.Head, e.Head, e.Raw)
			}
			if n.Preprocess != e.Preprocess {
				t.Errorf("preprocess is %+v, want %+v", n.Preprocess, e.Preprocess)
			}
			if n.Thresholds != e.Thresholds {
				t.Errorf("thresholds are %+v, want %+v", n.Thresholds, e.Thresholds)
			}
			if fmt.Sprint(n.Names) != fmt.Sprint(e.Names) {
				t.Errorf("names are %q, want %q", n.Names, e.Names)
			}
			want := e.Precision
			if n.Precision != want {
				t.Errorf("precision is %s, want %s", n.Precision, want)
			}
			if n.Opset != e.Opset {
				t.Errorf("opset is %d, want %d", n.Opset, e.Opset)
			}
			if batch, dynamic := n.Batch(); dynamic != e.Dynamic.Batch || !dynamic && batch != e.Batch {
				t.Errorf("batch is %d (dynamic %v), want %d (%v)", batch, dynamic, e.Batch, e.Dynamic.Batch)
			}
			if h, w, dynamic := n.InputSize(); dynamic != e.Dynamic.Size || !dynamic && (h != e.ImgSz[0] || w != e.ImgSz[1]) {
				t.Errorf("input is %dx%d (dynamic %v), want %v (%v)", h, w, dynamic, e.ImgSz, e.Dynamic.Size)
			}
		})
	}
}

func sameHead(got decode.Head, e netEntry) error {
	want := e.Head
	if got.Family != want.Family || got.Kind != want.Kind || got.Classes != want.Classes || got.SigmoidApplied != want.SigmoidApplied {
		return fmt.Errorf("family, kind, classes or sigmoid differ")
	}
	if !contains(e.LayoutsAfterCut, got.Layout) {
		return fmt.Errorf("layout is %s, want one of %s", got.Layout, e.LayoutsAfterCut)
	}
	if len(got.Levels) != len(want.Levels) {
		return fmt.Errorf("%d levels, want %d", len(got.Levels), len(want.Levels))
	}
	for i, l := range got.Levels {
		if got.Decoded() {
			continue
		}
		if l.Stride != want.Levels[i].Stride {
			return fmt.Errorf("level %d has stride %d, want %d", i, l.Stride, want.Levels[i].Stride)
		}
		if got.Family == decode.YOLOv5 && !sameAnchors(l.Anchors, want.Levels[i].Anchors) {
			return fmt.Errorf("level %d has anchors %v, want %v", i, l.Anchors, want.Levels[i].Anchors)
		}
	}
	return nil
}
