package model

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

func TestBaseConvIsToldFromC3(t *testing.T) {
	for base, want := range map[bool]decode.Kind{true: decode.DecoupledBase, false: decode.Decoupled} {
		n, err := parse(heads(base, 1, 3, 64, 96).bytes(t), "", &Hints{Anchors: twoAnchors})
		if err != nil {
			t.Fatal(err)
		}
		if n.Head.Kind != want || n.Head.Layout != decode.Fused || n.Head.Classes != 3 || n.Cut {
			t.Errorf("base %v: %+v", base, n.Head)
		}
		if n.Head.Levels[0].Stride != 4 || n.Head.Levels[1].Stride != 8 {
			t.Errorf("strides of %+v", n.Head.Levels)
		}
		if want := n.Head.DefaultThresholds(); n.Thresholds != want {
			t.Errorf("thresholds %+v, want %+v", n.Thresholds, want)
		}
	}
}

func TestStridesOfFreeSizes(t *testing.T) {
	n, err := parse(heads(true, "b", 3, "h", "w").bytes(t), "", &Hints{Anchors: twoAnchors})
	if err != nil {
		t.Fatal(err)
	}
	if n.Head.Levels[0].Stride != 4 || n.Head.Levels[1].Stride != 8 {
		t.Errorf("strides of %+v", n.Head.Levels)
	}
	if got := n.Outputs[0].Shape; len(got) != 4 || got[0] != -1 || got[1] != 16 || got[2] != -1 || got[3] != -1 {
		t.Errorf("output shape %v", got)
	}
	if _, _, dynamic := n.InputSize(); !dynamic {
		t.Error("the size is not dynamic")
	}
}

func TestHeadHint(t *testing.T) {
	b := heads(false, 1, 3, 64, 96).bytes(t)
	n, err := parse(b, "", &Hints{Anchors: twoAnchors, Head: "decoupled-base, split"})
	if err != nil || n.Head.Layout != decode.Split || n.Head.Kind != decode.DecoupledBase {
		t.Fatalf("%v", err)
	}
	for _, head := range []string{"rows", "5d", "columns", "rows-grid", "nonsense", "split,fused", "yolox,coupled", "coupled", "yolox"} {
		if _, err := parse(b, "", &Hints{Anchors: twoAnchors, Head: head}); !errors.Is(err, ErrHint) {
			t.Errorf("--head %s: %v", head, err)
		}
	}
}

func TestMissingAnchorsAreAskedFor(t *testing.T) {
	_, err := parse(heads(true, 1, 3, 64, 96).bytes(t), "", nil)
	if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "--anchors") || !strings.Contains(err.Error(), "--cfg") {
		t.Fatalf("%v", err)
	}
	for _, c := range []Hints{
		{Anchors: twoAnchors[:1]},
		{Anchors: [][][2]float32{{{1, 2}}, {{3, 4}}}},
		{Anchors: [][][2]float32{{{1, 2}, {0, 2}}, {{3, 4}, {5, 6}}}},
		{Anchors: twoAnchors, Classes: 4},
		{Anchors: twoAnchors, Names: []string{"a"}},
		{Anchors: twoAnchors, Letterbox: "left"},
		{Anchors: twoAnchors, Family: "ssd"},
	} {
		if _, err := parse(heads(true, 1, 3, 64, 96).bytes(t), "", &c); !errors.Is(err, ErrHint) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestMetadataIsRead(t *testing.T) {
	s := heads(true, 1, 3, 64, 96)
	s.m.Metadata = []onnx.Entry{
		{Key: "names", Value: `{0: 'a', 1: "it's", 2: 'c'}`}, {Key: "anchors", Value: "[[16, 20, 30, 28], [4, 5, 8, 6]]"},
		{Key: "head", Value: "decoupled,split"}, {Key: "stride", Value: "32"},
	}
	n, err := parse(s.bytes(t), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.Names[1] != "it's" || n.Head.Layout != decode.Split || n.Head.Kind != decode.Decoupled {
		t.Errorf("%+v, names %q", n.Head, n.Names)
	}
	// the list was descending: small anchors belong to small strides
	if n.Head.Levels[0].Anchors[0] != [2]float32{4, 5} || n.Head.Levels[1].Anchors[1] != [2]float32{30, 28} {
		t.Errorf("anchors of %+v", n.Head.Levels)
	}
	s.m.Metadata[0].Value = "['only one']"
	if _, err := parse(s.bytes(t), "", nil); !errors.Is(err, ErrUnknownHead) {
		t.Errorf("one name for three classes: %v", err)
	}
}

func TestCfgAndData(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b := heads(true, 1, 3, 64, 96).bytes(t)
	cfg := write("m.yaml", "nc: 3 # classes\nanchors:\n  - [4,5, 8,6] # P2/4\n  - [16,20, 30,28]\nhead:\n  [[-1, 1, Conv, [512, 1, 1]]]\n")
	data := write("d.yaml", "path: ../x\nnames:\n  0: person\n  1: traffic light\n  2: no\n")
	n, err := parse(b, "", &Hints{Cfg: cfg, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if n.Names[1] != "traffic light" || n.Head.Levels[1].Anchors[0] != [2]float32{16, 20} {
		t.Errorf("%+v %q", n.Head, n.Names)
	}
	for text, hints := range map[string]Hints{
		"nc: 7\nanchors: [[4,5, 8,6],[16,20, 30,28]]": {}, "anchors: 3": {}, "anchors: [[1,2,3]]": {}, "anchors: [[-1,2],[1,2]]": {},
		"anchors: x": {}, "[1": {}, "": {}, "- a": {}, "anchors: &a [*a]": {},
	} {
		hints.Cfg = write("bad.yaml", text)
		if _, err := parse(b, "", &hints); err == nil || !strings.Contains(err.Error(), "--cfg") && !errors.Is(err, ErrHint) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"names: [a]", "nc: 3", "names: {0: a, 1: b, 5: c}", "names: 3"} {
		if _, err := parse(b, "", &Hints{Cfg: cfg, Data: write("bad.yaml", text)}); !errors.Is(err, ErrHint) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestUnsoundModelsAreRefused(t *testing.T) {
	relu := &onnx.Node{OpType: "Relu", Inputs: []string{"images"}, Outputs: []string{"y"}}
	with := func(edit func(*onnx.Model)) *onnx.Model {
		m := newSmall(1, 3, 64, 64).m
		m.Graph.Nodes = []*onnx.Node{relu}
		m.Graph.Outputs = []*onnx.ValueInfo{{Name: "y", ElemType: onnx.Float32}}
		edit(m)
		return m
	}
	cases := map[string]struct {
		m    *onnx.Model
		want error
	}{
		"empty graph": {with(func(m *onnx.Model) { m.Graph.Nodes = nil }), ErrInvalid},
		"no outputs":  {with(func(m *onnx.Model) { m.Graph.Outputs = nil }), ErrInvalid},
		"no opset":    {with(func(m *onnx.Model) { m.Opsets = nil }), ErrInvalid},
		"endless function": {with(func(m *onnx.Model) {
			m.Functions = []*onnx.Function{{Domain: "f", Name: "F", Inputs: []string{"a"}, Outputs: []string{"b"},
				Nodes: []*onnx.Node{{OpType: "F", Domain: "f", Inputs: []string{"a"}, Outputs: []string{"b"}}}}}
			m.Graph.Nodes = []*onnx.Node{{OpType: "F", Domain: "f", Inputs: []string{"images"}, Outputs: []string{"y"}}}
		}), ErrInvalid},
		"node without out": {with(func(m *onnx.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Relu", Inputs: []string{"y"}})
		}), ErrInvalid},
		"empty output name": {with(func(m *onnx.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Relu", Inputs: []string{"y"}, Outputs: []string{""}})
		}), ErrInvalid},
		"TopK with one output": {with(func(m *onnx.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "TopK", Inputs: []string{"y", "y"}, Outputs: []string{"k"}})
		}), ErrInvalid},
		"conv without weights": {with(func(m *onnx.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Conv", Inputs: []string{"y"}, Outputs: []string{"k"}})
		}), ErrInvalid},
		"endless chain": {with(func(m *onnx.Model) {
			m.Graph.Nodes = nil
			for range maxNodes + 1 {
				m.Graph.Nodes = append(m.Graph.Nodes, relu)
			}
		}), ErrInvalid},
		"operator format": {with(func(m *onnx.Model) {
			m.Graph.Nodes[0] = &onnx.Node{OpType: "QLinearConv", Inputs: []string{"images"}, Outputs: []string{"y"}}
		}), ErrUnknownHead},
		"dynamically quantized": {with(func(m *onnx.Model) {
			m.Graph.Nodes[0] = &onnx.Node{OpType: "ConvInteger", Inputs: []string{"images"}, Outputs: []string{"y"}}
		}), ErrUnknownHead},
		"optimized for ONNX Runtime": {with(func(m *onnx.Model) {
			m.Graph.Nodes[0] = &onnx.Node{OpType: "FusedConv", Domain: "com.microsoft", Inputs: []string{"images"}, Outputs: []string{"y"}}
		}), ErrUnknownHead},
		"no conv":       {with(func(*onnx.Model) {}), ErrNotDetector},
		"two inputs":    {with(func(m *onnx.Model) { m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "q"}) }), ErrNotDetector},
		"bytes in":      {with(func(m *onnx.Model) { m.Graph.Inputs[0].ElemType = onnx.Uint8 }), ErrNotDetector},
		"channels last": {with(func(m *onnx.Model) { m.Graph.Inputs[0].Shape = dims(1, 64, 64, 3) }), ErrNotDetector},
		"grey":          {with(func(m *onnx.Model) { m.Graph.Inputs[0].Shape = dims(1, 1, 64, 64) }), ErrNotDetector},
		"size 0":        {with(func(m *onnx.Model) { m.Graph.Inputs[0].Shape = dims(1, 3, 0, 64) }), ErrInvalid},
		"classifier": {func() *onnx.Model {
			s := newSmall(1, 3, 64, 64)
			x := s.node("GlobalAveragePool", []string{s.conv("images", 3, 8, 3, 2)})
			s.output(s.node("Flatten", []string{x}))
			return s.m
		}(), ErrNotDetector},
		"segmentation": {func() *onnx.Model {
			s := newSmall(1, 3, 64, 64)
			s.output(s.conv("images", 3, 3, 3, 2))
			return s.m
		}(), ErrHint},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b, err := c.m.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parse(b, "", &Hints{Anchors: [][][2]float32{{{4, 5}}}}); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x.onnx")
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if _, err := Load(path+"x", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestForeignFilesAreNamed(t *testing.T) {
	for head, what := range map[string]string{
		"PK\x03\x04best.pt": "PyTorch", "vtrt\x00\x00": "engine", "\xff\xd8\xff\xe0": "JPEG", "<!DOCTYPE html>": "web page",
	} {
		if _, err := parse([]byte(head), "", nil); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", head, err)
		}
	}
}
