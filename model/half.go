package model

import (
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

// Half turns a float32 network into half precision: weights and arithmetic
// become float16, its inputs and outputs stay as they are, with a Cast behind
// each input and before each output. What is computed from shapes stays
// float32, and so do the scales of a Resize. A network that is float16 already
// is left alone. Errors wrap ErrHalf, and then the network must not be used
// any further.
func (n *Network) Half() error {
	fail := func(err error) error { return fmt.Errorf("%s: %w: %w", n.name, ErrHalf, err) }
	switch n.Precision {
	case FP16:
		return nil
	case FP32:
	case INT8:
		if err := n.raiseOpset(); err != nil {
			return fail(err)
		}
	default:
		return fail(fmt.Errorf("it is %s; export it in float32", n.Precision))
	}
	if n.input.ElemType != onnx.Float32 {
		return fail(fmt.Errorf("input %.80q is %s; export it with a float32 input", n.input.Name, n.input.ElemType))
	}
	h := &halver{network: n, graph: n.model.Graph, types: n.types(), stays: map[*onnx.Node]bool{}, cast: map[string]string{}}
	for _, node := range h.graph.Nodes {
		for _, a := range node.Attributes {
			if len(a.Subgraphs()) > 0 {
				return fail(fmt.Errorf("%s holds a graph of its own; export it without control flow", node.Label()))
			}
		}
	}
	h.findStays()
	h.learned = weights(n.reading.index, h.graph)
	if err := h.rewrite(); err != nil {
		return fail(err)
	}
	h.graph.ValueInfo = nil // its types were those of the float32 network
	if err := h.graph.Prune(); err != nil {
		return fail(err)
	}
	if err := n.refresh(); err != nil {
		return fail(err)
	}
	if n.Precision == FP32 {
		n.Precision = FP16
	}
	return nil
}

// halver is one rewriting of a graph.
type halver struct {
	network *Network
	graph   *onnx.Graph
	types   map[string]onnx.DataType // before the rewriting
	stays   map[*onnx.Node]bool      // nodes that go on computing in float32
	cast    map[string]string        // float32 name to its half copy
	learned []*onnx.Tensor
	nodes   []*onnx.Node
}

// types works out every tensor's type.
func (n *Network) types() map[string]onnx.DataType {
	types := map[string]onnx.DataType{n.input.Name: n.input.ElemType}
	for _, t := range n.model.Graph.Initializers {
		types[t.Name] = t.DataType
	}
	for _, node := range n.model.Graph.Nodes {
		out := types[node.Input(0)]
		switch {
		case node.Is("Constant"):
			out = onnx.Float32
			for _, a := range node.Attributes {
				switch {
				case a.Tensor != nil:
					out = a.Tensor.DataType
				case a.Type == onnx.AttrInt || a.Type == onnx.AttrInts:
					out = onnx.Int64
				}
			}
		case node.Is("ConstantOfShape"):
			out = onnx.Float32
			if a := node.Attr("value"); a != nil && a.Tensor != nil {
				out = a.Tensor.DataType
			}
		case node.Is("Cast"):
			out = onnx.DataType(node.Int("to", 0))
		case node.Is("Shape", "Size", "NonZero", "ArgMax", "ArgMin"):
			out = onnx.Int64
		case node.Is("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Not", "Xor", "IsNaN", "IsInf"):
			out = onnx.Bool
		case node.Is("Where"):
			out = types[node.Input(1)]
		case node.Is("QuantizeLinear", "DynamicQuantizeLinear"):
			out = onnx.Uint8
			if zero, ok := types[node.Input(2)]; ok {
				out = zero
			} else if d := node.Int("output_dtype", 0); d != 0 {
				out = onnx.DataType(d)
			}
		case node.Is("DequantizeLinear"):
			out = types[node.Input(1)]
		}
		for i, name := range node.Outputs {
			types[name] = out
			if i == 1 && node.Is("TopK", "MaxPool") {
				types[name] = onnx.Int64
			}
		}
	}
	return types
}

// findStays marks what is computed from shapes: half counts exactly only up to
// 2048, and Range has no half form.
func (h *halver) findStays() {
	carries := h.network.carriers()
	from := map[string]bool{}
	for _, node := range h.graph.Nodes {
		if carries[node] {
			continue
		}
		stays := node.Is("Shape", "Size", "Range", "NonZero", "ConstantOfShape")
		for _, name := range node.Inputs {
			stays = stays || from[name]
		}
		if stays {
			h.stays[node] = true
			for _, name := range node.Outputs {
				from[name] = true
			}
		}
	}
}

// keepsFloat reports whether input i of an operator must stay float32.
func keepsFloat(node *onnx.Node, i int) bool {
	switch {
	case node.Is("Resize"):
		return i == 1 || i == 2
	case node.Is("Upsample"):
		return i == 1
	}
	return node.Is("NonMaxSuppression", "Range", "DynamicQuantizeLinear")
}

func (h *halver) rewrite() error {
	x := h.network.reading.index
	producers := map[string]*onnx.Node{}
	for _, node := range h.graph.Nodes {
		for _, name := range node.Outputs {
			producers[name] = node
		}
	}
	// halved reports whether a float32 name holds halves from now on
	halved := func(name string) bool {
		p := producers[name]
		return p != nil && !h.stays[p] && !p.Is("Constant") && h.types[name] == onnx.Float32 && !p.Is("DynamicQuantizeLinear")
	}
	for _, node := range h.graph.Nodes {
		if node.Is("Constant") || h.stays[node] && !h.reads(node, halved) {
			h.nodes = append(h.nodes, node)
			continue
		}
		for i, name := range node.Inputs {
			if name == "" || h.types[name] != onnx.Float32 {
				continue
			}
			var err error
			switch wantsFloat := h.stays[node] || keepsFloat(node, i); {
			case wantsFloat && halved(name):
				node.Inputs[i] = h.castTo(name, "_float", onnx.Float32)
			case wantsFloat || halved(name):
			case x.Constant(name) != nil || producers[name].Is("Constant"):
				node.Inputs[i], err = h.constant(name, producers[name])
			default:
				node.Inputs[i] = h.castTo(name, "_half", onnx.Float16)
			}
			if err != nil {
				return err
			}
		}
		if node.Is("Cast") && node.Int("to", 0) == int64(onnx.Float32) && !h.stays[node] {
			node.SetAttr(onnx.IntAttr("to", int64(onnx.Float16)))
		}
		if a := node.Attr("dtype"); a != nil && a.Int == int64(onnx.Float32) && !h.stays[node] {
			node.SetAttr(onnx.IntAttr("dtype", int64(onnx.Float16)))
		}
		h.nodes = append(h.nodes, node)
	}
	h.graph.Nodes = h.nodes
	for _, o := range h.graph.Outputs {
		if halved(o.Name) {
			h.network.castOutput(o.Name)
		}
	}
	return nil
}

// reads reports whether a node reads a name that holds halves.
func (h *halver) reads(node *onnx.Node, halved func(string) bool) bool {
	if node.Is("Shape", "Size") {
		return false
	}
	for _, name := range node.Inputs {
		if halved(name) {
			return true
		}
	}
	return false
}

// castTo returns name cast to typ; the Cast stands before its first reader.
func (h *halver) castTo(name, suffix string, typ onnx.DataType) string {
	key := name + suffix
	if done, ok := h.cast[key]; ok {
		return done
	}
	out := h.network.fresh(key)
	h.nodes = append(h.nodes, castNode(name, out, typ))
	h.cast[key] = out
	return out
}

func castNode(in, out string, typ onnx.DataType) *onnx.Node {
	return &onnx.Node{
		Name: "Cast_" + out, OpType: "Cast", Inputs: []string{in}, Outputs: []string{out},
		Attributes: []*onnx.Attribute{onnx.IntAttr("to", int64(typ))},
	}
}

// constant returns the name of a constant's half copy, an initializer.
func (h *halver) constant(name string, producer *onnx.Node) (string, error) {
	key := name + "_half"
	if done, ok := h.cast[key]; ok {
		return done, nil
	}
	out := h.network.fresh(key)
	t := h.network.reading.index.Constant(name)
	if t == nil {
		switch a, list := producer.Attr("value_float"), producer.Attr("value_floats"); {
		case a != nil:
			t = onnx.NewFloat32s(name, nil, []float32{a.Float})
		case list != nil:
			t = onnx.NewFloat32s(name, []int64{int64(len(list.Floats))}, list.Floats)
		default:
			return "", fmt.Errorf("%s has a value of an unknown kind", producer.Label())
		}
	}
	half := t.Rename(out)
	clamped, err := half.SetHalf()
	if err != nil {
		return "", err
	}
	if clamped > 0 {
		if contains(h.learned, t) {
			return "", fmt.Errorf("%d weights of %.80q are beyond 65504, the largest half", clamped, name)
		}
		h.network.reading.note("half: %d values of constant %.80q are beyond 65504 and were set to it", clamped, name)
	}
	h.graph.Initializers = append(h.graph.Initializers, half)
	h.cast[key] = out
	return out, nil
}

// raiseOpset writes a Q/DQ network in operator set 19, the first whose
// QuantizeLinear and DequantizeLinear take halves.
func (n *Network) raiseOpset() error {
	const want = 19
	have := n.model.Opset("")
	if have >= want {
		return nil
	}
	if have < 13 {
		return fmt.Errorf("a quantized network needs operator set 13 or later to become half, it has %d", have)
	}
	g := n.model.Graph
	for _, node := range g.Nodes {
		switch {
		case node.Is("RoiAlign", "Loop", "If", "Scan"):
			return fmt.Errorf("%s cannot be brought to operator set %d; export with it", node.Label(), want)
		case node.Is("Split") && len(node.Inputs) < 2 && node.Attr("num_outputs") == nil:
			node.SetAttr(onnx.IntAttr("num_outputs", int64(len(node.Outputs))))
		case node.Is("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"):
			a := node.Attr("axes")
			if a == nil {
				continue
			}
			name := n.fresh(node.Outputs[0] + "_axes")
			g.Initializers = append(g.Initializers, onnx.NewInt64s(name, []int64{int64(len(a.Ints))}, a.Ints))
			node.Inputs = []string{node.Input(0), name}
			node.DropAttr("axes")
		}
	}
	n.model.SetOpset("", want)
	n.model.IRVersion = max(n.model.IRVersion, 9)
	return n.refresh()
}
