package model

import (
	"errors"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// fiveD makes a one-level coupled head whose output is (1, na, ny, nx, no), by
// a Reshape to the given shape.
func fiveD(shape ...int64) *small {
	s := newSmall(1, 3, 64, 64)
	x := s.conv(s.backbone()[0], 8, 16, 1, 1)
	x = s.node("Reshape", []string{x, s.ints(shape...)})
	s.output(s.node("Transpose", []string{x}, onnx.IntsAttr("perm", 0, 1, 3, 4, 2)), 1, 2, 16, 16, 8)
	return s
}

var oneLevel = &Hints{Anchors: [][][2]float32{{{4, 5}, {8, 6}}}}

func TestBatchIsMadeDynamic(t *testing.T) {
	// a Reshape that says 1, one that is computed, and one that is free already
	for name, s := range map[string]*small{"1": fiveD(1, 2, 8, 16, 16), "-1": fiveD(-1, 2, 8, 16, 16), "1,-1": fiveD(1, -1, 8, 16, 16)} {
		n, err := parse(s.bytes(t), "", oneLevel)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n.Head.Layout != decode.FiveD || n.Head.Classes != 3 {
			t.Fatalf("%s: %+v", name, n.Head)
		}
		if size, dynamic := n.Batch(); size != 1 || dynamic {
			t.Fatalf("%s: batch %d, %v", name, size, dynamic)
		}
		if err := n.MakeBatchDynamic(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := n.OutputsFollowBatch(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := n.Outputs[0].Shape; len(got) != 5 || got[0] != -1 || got[1] != 2 || got[4] != 8 {
			t.Errorf("%s: output %v", name, got)
		}
		if got := n.Inputs[0].Shape; got[0] != -1 || got[1] != 3 || got[2] != 64 {
			t.Errorf("%s: input %v", name, got)
		}
	}
}

// torch 2.9 and newer write allowzero on every Reshape. It says what a 0 means,
// and these shapes have none.
func TestBatchWithAllowZero(t *testing.T) {
	computed := func() *small {
		s := newSmall(1, 3, "h", "w")
		x := s.conv(s.backbone()[0], 8, 16, 1, 1)
		size := s.node("Slice", []string{s.node("Shape", []string{x}), s.ints(2), s.ints(4)})
		x = s.node("Reshape", []string{x, s.node("Concat", []string{s.ints(1, 2, 8), size}, onnx.IntAttr("axis", 0))})
		s.output(s.node("Transpose", []string{x}, onnx.IntsAttr("perm", 0, 1, 3, 4, 2)), 1, 2, "ny", "nx", 8)
		return s
	}
	repeated := fiveD(1, 2, 8, 16, 16)
	for _, node := range repeated.m.Graph.Nodes {
		if node.Is("Reshape") {
			node.Inputs[1] = repeated.node("Identity", []string{node.Inputs[1]})
		}
	}
	for name, s := range map[string]*small{"constant": fiveD(1, 2, 8, 16, 16), "computed": computed(), "repeated": repeated} {
		s.m.SetOpset("", 14)
		for _, node := range s.m.Graph.Nodes {
			if node.Is("Reshape") {
				node.SetAttr(onnx.IntAttr("allowzero", 1))
			}
		}
		n, err := parse(s.bytes(t), "", oneLevel)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := n.MakeBatchDynamic(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := n.OutputsFollowBatch(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		holdBatch(t, n, 64, 64)
	}
}

func TestBatchThatIsBakedIn(t *testing.T) {
	folded := func() *small {
		// rows with the batch folded into them: (-1, 8) of 1 or 4 pictures
		s := fiveD(1, 2, 8, 16, 16)
		s.m.Graph.Outputs = nil
		x := s.node("Reshape", []string{"t" + itoa(s.last-1), s.ints(2, 8, -1)})
		x = s.node("Reshape", []string{x, s.ints(1, 2, 8, 16, -1)})
		s.output(s.node("Transpose", []string{x}, onnx.IntsAttr("perm", 0, 1, 3, 4, 2)), 1, 2, 16, 16, 8)
		return s
	}
	n, err := parse(heads(true, 4, 3, 64, 96).bytes(t), "", &Hints{Anchors: twoAnchors})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.MakeBatchDynamic(); !errors.Is(err, ErrBatch) {
		t.Errorf("batch of 4: %v", err)
	}
	s := folded()
	n, err = parse(s.bytes(t), "", oneLevel)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.MakeBatchDynamic(); !errors.Is(err, ErrBatch) || !strings.Contains(err.Error(), "Reshape") {
		t.Errorf("folded: %v", err)
	}
	if size, dynamic := n.Batch(); size != 1 || dynamic {
		t.Error("a refused edit left its mark")
	}
}

func itoa(n int) string {
	s := ""
	for ; n > 0; n /= 10 {
		s = string(rune('0'+n%10)) + s
	}
	return s
}

func TestHalfRewrites(t *testing.T) {
	n, err := parse(heads(true, "b", 3, "h", "w").bytes(t), "", &Hints{Anchors: twoAnchors})
	if err != nil {
		t.Fatal(err)
	}
	before := marshalled(t, n)
	if err := n.Half(); err != nil {
		t.Fatal(err)
	}
	after := marshalled(t, n)
	if n.Precision != FP16 {
		t.Errorf("precision is %s", n.Precision)
	}
	if len(after)*4 > len(before)*3 {
		t.Errorf("%d bytes became %d", len(before), len(after))
	}
	for _, v := range append(n.Inputs, n.Outputs...) {
		if v.DType != "float32" {
			t.Errorf("%s is %s from outside", v.Name, v.DType)
		}
	}
	for _, w := range n.model.Graph.Initializers {
		if w.DataType == onnx.Float32 {
			t.Errorf("initializer %s is still float32", w.Name)
		}
	}
	if err := n.Half(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if string(marshalled(t, n)) != string(after) {
		t.Error("a second time changed it")
	}
}

func TestHalfKeepsResizeScales(t *testing.T) {
	s := newSmall(1, 3, 64, 64)
	f := s.backbone()[1]
	scales := onnx.NewFloat32s("scales", []int64{4}, []float32{1, 1, 2, 2})
	shared := onnx.NewFloat32s("shared", nil, []float32{70000})
	s.m.Graph.Initializers = append(s.m.Graph.Initializers, scales, shared)
	x := s.node("Resize", []string{f, "", "scales"}, onnx.TextAttr("mode", "nearest"))
	x = s.node("Min", []string{x, "shared"})
	s.output(s.conv(x, 8, 16, 1, 1))
	n, err := parse(s.bytes(t), "", oneLevel)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Half(); err != nil {
		t.Fatal(err)
	}
	types := map[string]onnx.DataType{}
	for _, w := range n.model.Graph.Initializers {
		types[w.Name] = w.DataType
	}
	if types["scales"] != onnx.Float32 || types["shared_half"] != onnx.Float16 {
		t.Errorf("types are %v", types)
	}
	if len(n.Notes) == 0 || !strings.Contains(n.Notes[len(n.Notes)-1], "shared") {
		t.Errorf("the clamped constant is not told: %q", n.Notes)
	}
}

func TestHalfRefusesWeightsBeyondIt(t *testing.T) {
	s := heads(true, 1, 3, 64, 96)
	s.m.Graph.Initializers[0] = onnx.NewFloat32s(s.m.Graph.Initializers[0].Name, []int64{8, 3, 3, 3}, append(make([]float32, 215), 1e6))
	n, err := parse(s.bytes(t), "", &Hints{Anchors: twoAnchors})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Half(); !errors.Is(err, ErrHalf) {
		t.Errorf("%v", err)
	}
}

// A branch of an If that reads the input reads its half copy once FloatIO has
// put a Cast behind it.
func TestFloatIOReachesSubgraphs(t *testing.T) {
	branch := &onnx.Graph{
		Nodes:   []*onnx.Node{{OpType: "Relu", Inputs: []string{"images"}, Outputs: []string{"x"}}},
		Outputs: []*onnx.ValueInfo{{Name: "images"}},
	}
	g := &onnx.Graph{Nodes: []*onnx.Node{{OpType: "If", Inputs: []string{"c"}, Outputs: []string{"y"},
		Attributes: []*onnx.Attribute{{Name: "then_branch", Type: onnx.AttrGraph, Graph: branch}}}}}
	rename(g, "images", "images_half")
	if branch.Nodes[0].Inputs[0] != "images_half" || branch.Outputs[0].Name != "images_half" {
		t.Errorf("the branch reads %q and gives out %q", branch.Nodes[0].Inputs[0], branch.Outputs[0].Name)
	}
}

func marshalled(t *testing.T, n *Network) []byte {
	t.Helper()
	b, err := n.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
