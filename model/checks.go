package model

import (
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

// maxNodes refuses graphs that a TensorRT parser would take for ever over: its
// time grows with the square of the number of nodes. The largest detectors
// have about 3,000, with Q/DQ.
const maxNodes = 10000

// check refuses, cheaply, what is known to crash or stall a TensorRT parser,
// and what cannot be a network at all.
func check(m *onnx.Model) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	g := m.Graph
	switch {
	case len(g.Nodes) == 0:
		return bad("its graph is empty")
	case len(g.Outputs) == 0:
		return bad("its graph has no outputs")
	case m.Opset("") == 0:
		return bad("it does not say which operator set it uses")
	}
	var visit func(g *onnx.Graph) error
	visit = func(g *onnx.Graph) error {
		for _, n := range g.Nodes {
			made := 0
			for _, o := range n.Outputs {
				if o != "" {
					made++
				}
			}
			switch {
			case n.OpType == "":
				return bad("a node has no operator")
			case made == 0:
				return bad("%s has no outputs", n.Label())
			case n.Is("TopK") && (len(n.Outputs) != 2 || made != 2):
				return bad("%s has %d outputs, TopK has two", n.Label(), made)
			case n.Is("Conv") && len(n.Inputs) < 2:
				return bad("%s has no weights", n.Label())
			}
			for _, a := range n.Attributes {
				for _, sub := range a.Subgraphs() {
					if err := visit(sub); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	return visit(g)
}

// imageInput returns the network's one input, (B, 3, H, W) or (B, H, W, 3) of
// floats or bytes.
func imageInput(m *onnx.Model) (*onnx.ValueInfo, error) {
	inputs := m.Graph.RealInputs()
	if len(inputs) != 1 {
		return nil, fmt.Errorf("%w: it has %d inputs, want one picture", ErrNotDetector, len(inputs))
	}
	v := inputs[0]
	if v.ElemType != onnx.Float32 && v.ElemType != onnx.Float16 && v.ElemType != onnx.Uint8 {
		return nil, fmt.Errorf("%w: input %.80q is %s; export with an input of float32, float16 or uint8", ErrNotDetector, v.Name, v.ElemType)
	}
	if !v.HasShape || len(v.Shape) != 4 {
		return nil, fmt.Errorf("%w: input %.80q has rank %d, want (B, 3, H, W)", ErrNotDetector, v.Name, len(v.Shape))
	}
	if c := v.Shape[1]; c.Known && c.Value != 3 && !lastIsChannels(v) {
		return nil, fmt.Errorf("%w: input %.80q has %d channels, want 3", ErrNotDetector, v.Name, c.Value)
	}
	for i, d := range v.Shape {
		if d.Known && (d.Value < 1 || d.Value > 1<<16) {
			return nil, fmt.Errorf("%w: input %.80q has dimension %d of size %d", ErrInvalid, v.Name, i, d.Value)
		}
	}
	return v, nil
}
