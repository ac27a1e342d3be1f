package model

import (
	"fmt"
	"testing"

	"github.com/trtdet/trtdet/model/onnx"
)

// small builds little detectors node by node.
type small struct {
	m     *onnx.Model
	last  int
	image string // what the first layer reads
}

func dims(sizes ...any) []onnx.Dim {
	var list []onnx.Dim
	for _, s := range sizes {
		switch s := s.(type) {
		case int:
			list = append(list, onnx.Dim{Known: true, Value: int64(s)})
		case string:
			list = append(list, onnx.Dim{Param: s})
		}
	}
	return list
}

func newSmall(input ...any) *small {
	return &small{image: "images", m: &onnx.Model{
		IRVersion: 8, Opsets: []onnx.Opset{{Version: 13}},
		Graph: &onnx.Graph{Name: "g", Inputs: []*onnx.ValueInfo{{Name: "images", ElemType: onnx.Float32, HasShape: true, Shape: dims(input...)}}},
	}}
}

// node adds a node with one output and returns the output's name.
func (s *small) node(op string, inputs []string, attributes ...*onnx.Attribute) string {
	s.last++
	out := fmt.Sprintf("t%d", s.last)
	s.m.Graph.Nodes = append(s.m.Graph.Nodes, &onnx.Node{Name: op + out, OpType: op, Inputs: inputs, Outputs: []string{out}, Attributes: attributes})
	return out
}

func (s *small) weight(shape ...int64) string {
	s.last++
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32((i*7919+s.last*31)%1000)/2000 - 0.25
	}
	name := fmt.Sprintf("w%d", s.last)
	s.m.Graph.Initializers = append(s.m.Graph.Initializers, onnx.NewFloat32s(name, shape, values))
	return name
}

func (s *small) ints(values ...int64) string {
	s.last++
	name := fmt.Sprintf("c%d", s.last)
	s.m.Graph.Initializers = append(s.m.Graph.Initializers, onnx.NewInt64s(name, []int64{int64(len(values))}, values))
	return name
}

func (s *small) conv(x string, in, out, kernel, stride int64) string {
	p := kernel / 2
	return s.node("Conv", []string{x, s.weight(out, in, kernel, kernel), s.weight(out)},
		onnx.IntsAttr("kernel_shape", kernel, kernel), onnx.IntsAttr("strides", stride, stride), onnx.IntsAttr("pads", p, p, p, p))
}

func (s *small) silu(x string) string {
	return s.node("Mul", []string{x, s.node("Sigmoid", []string{x})})
}

// backbone gives feature maps of 8 channels at strides 4 and 8, each the output
// of a 1x1 conv on a Concat, as C3 blocks end; the second is made of the first.
func (s *small) backbone() []string {
	x := s.silu(s.conv(s.image, 3, 8, 3, 2))
	var features []string
	for range 2 {
		x = s.silu(s.conv(x, 8, 8, 3, 2))
		cat := s.node("Concat", []string{s.silu(s.conv(x, 8, 4, 1, 1)), s.silu(s.conv(x, 8, 4, 1, 1))}, onnx.IntAttr("axis", 1))
		x = s.silu(s.conv(cat, 8, 8, 1, 1))
		features = append(features, x)
	}
	return features
}

// decoupled gives box, conf and labels of a level, with or without a base conv.
func (s *small) decoupled(x string, base bool, na, nc int64) []string {
	if base {
		x = s.silu(s.conv(x, 8, 8, 1, 1))
	}
	cls, reg := s.silu(s.conv(x, 8, 8, 3, 1)), s.silu(s.conv(x, 8, 8, 3, 1))
	return []string{s.conv(reg, 8, 4*na, 1, 1), s.conv(reg, 8, na, 1, 1), s.conv(cls, 8, nc*na, 1, 1)}
}

func (s *small) output(name string, shape ...any) {
	v := &onnx.ValueInfo{Name: name, ElemType: onnx.Float32}
	if len(shape) > 0 {
		v.HasShape, v.Shape = true, dims(shape...)
	}
	s.m.Graph.Outputs = append(s.m.Graph.Outputs, v)
}

func (s *small) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := s.m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// heads makes a two-level head of raw maps, each level one concatenation.
func heads(base bool, input ...any) *small {
	s := newSmall(input...)
	for _, f := range s.backbone() {
		s.output(s.node("Concat", s.decoupled(f, base, 2, 3), onnx.IntAttr("axis", 1)))
	}
	return s
}

// twoAnchors suits heads.
var twoAnchors = [][][2]float32{{{4, 5}, {8, 6}}, {{16, 20}, {30, 28}}}
