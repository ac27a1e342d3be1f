package model

import (
	"fmt"

	"github.com/trtdet/trtdet/model/internal/probe"
	"github.com/trtdet/trtdet/model/onnx"
)

// batchName is the name of the batch dimension that MakeBatchDynamic declares.
const batchName = "batch"

// MakeBatchDynamic lets the batch of a network with a fixed batch of 1 vary.
// It does nothing to one whose batch varies already. Where the graph bakes the
// batch in it changes constants of Reshape and Resize as long as that is sound;
// otherwise the error wraps ErrBatch and names the node, and the network is
// left as it was.
func (n *Network) MakeBatchDynamic() error {
	size, dynamic := n.Batch()
	if dynamic {
		return n.OutputsFollowBatch()
	}
	fail := func(err error) error { return fmt.Errorf("%s: %w", n.name, err) }
	if size != 1 {
		return fail(fmt.Errorf("%w: it is fixed to %d pictures; only a batch of 1 can be made dynamic, export it again", ErrBatch, size))
	}
	edits, err := n.unbake()
	if err != nil {
		return fail(err)
	}
	for _, e := range edits {
		e()
	}
	n.input.Shape[0] = onnx.Dim{Param: batchName}
	for _, o := range n.model.Graph.Outputs {
		if o.HasShape && len(o.Shape) > 0 {
			o.Shape[0] = onnx.Dim{Param: batchName}
		}
	}
	// what the file declared about inner values holds for one picture
	n.model.Graph.ValueInfo = nil
	return n.refresh()
}

// OutputsFollowBatch reports an output whose first dimension is not the number
// of pictures, as an error that wraps ErrBatch.
func (n *Network) OutputsFollowBatch() error {
	if _, dynamic := n.Batch(); !dynamic {
		return nil
	}
	for _, batch := range []int{1, 2} {
		s := n.shapesFor(batch)
		for _, o := range n.model.Graph.Outputs {
			shape := s.Shape(o.Name)
			if shape == nil {
				return fmt.Errorf("%s: %w: the shape of output %.80q for %d pictures cannot be worked out", n.name, ErrBatch, o.Name, batch)
			}
			if len(shape) == 0 || shape[0] != batch {
				return fmt.Errorf("%s: %w: for %d pictures output %.80q is %v", n.name, ErrBatch, batch, o.Name, shape)
			}
		}
	}
	return nil
}

// shapesFor works out the shapes for a number of pictures.
func (n *Network) shapesFor(batch int) *probe.Result {
	r := n.reading
	return r.probe.Shapes(map[string]*probe.Value{
		n.input.Name: {Type: n.input.ElemType, Shape: []int{batch, 3, r.height, r.width}},
	})
}

// unbake finds the edits that let two pictures through the graph, by working
// out the shapes for one and for two, node by node.
func (n *Network) unbake() (edits []func(), err error) {
	r := n.reading
	single := n.shapesFor(1)
	data := n.carriers()
	w := r.probe.Walk(map[string]*probe.Value{
		n.input.Name: {Type: n.input.ElemType, Shape: []int{2, 3, r.height, r.width}},
	})
	for _, node := range n.model.Graph.Nodes {
		if !data[node] {
			w.Step(node)
			continue
		}
		before := single.Values[node.Outputs[0]]
		if before == nil {
			return nil, fmt.Errorf("%w: what %s does cannot be worked out (%w)", ErrBatch, node.Label(), single.Failed[node])
		}
		var forced *probe.Value
		switch {
		case node.Is("Reshape"):
			edit, v, err := n.unbakeReshape(node, single, w)
			if err != nil {
				return nil, err
			}
			if edit != nil {
				edits, forced = append(edits, edit), v
			}
		case node.Is("Resize") && node.Input(3) != "":
			edit, v, err := n.unbakeResize(node, single)
			if err != nil {
				return nil, err
			}
			if edit != nil {
				edits, forced = append(edits, edit), v
			}
		case node.Is("ScatterND", "ScatterElements", "GatherND") && r.fixedIndices(node):
			return nil, fmt.Errorf("%w: %s writes to places counted for one picture", ErrBatch, node.Label())
		}
		if forced != nil {
			w.Force(node, forced)
		} else {
			w.Step(node)
		}
		for _, name := range node.Outputs {
			a, b := single.Values[name], w.Result.Values[name]
			if name == "" || a == nil {
				continue
			}
			if b == nil {
				return nil, fmt.Errorf("%w: %s takes one picture only (%w)", ErrBatch, node.Label(), w.Result.Failed[node])
			}
			if b.Len() != 2*a.Len() {
				return nil, fmt.Errorf("%w: %s gives %v for one picture and %v for two", ErrBatch, node.Label(), a.Shape, b.Shape)
			}
		}
	}
	for _, o := range n.model.Graph.Outputs {
		a, b := single.Shape(o.Name), w.Result.Shape(o.Name)
		if len(a) == 0 || len(a) != len(b) || a[0] != 1 || b[0] != 2 {
			return nil, fmt.Errorf("%w: output %.80q is %v for one picture and %v for two", ErrBatch, o.Name, a, b)
		}
	}
	return edits, nil
}

// carriers marks the nodes that carry pictures, rather than shapes or
// constants.
func (n *Network) carriers() map[*onnx.Node]bool {
	live := map[string]bool{n.input.Name: true}
	marked := map[*onnx.Node]bool{}
	for _, node := range n.model.Graph.Nodes {
		if node.Is("Shape", "Size") {
			continue
		}
		for _, name := range node.Inputs {
			if live[name] {
				marked[node] = true
				for _, o := range node.Outputs {
					live[o] = true
				}
				break
			}
		}
	}
	return marked
}

// fixedIndices reports whether a node's indices are constants.
func (r *reading) fixedIndices(n *onnx.Node) bool {
	return r.index.Constant(n.Input(1)) != nil
}

// unbakeReshape gives a Reshape to a constant shape that starts with 1 a shape
// that follows the batch.
func (n *Network) unbakeReshape(node *onnx.Node, single *probe.Result, w *probe.Walk) (edit func(), v *probe.Value, err error) {
	in, out := single.Values[node.Input(0)], single.Values[node.Outputs[0]]
	two := w.Result.Values[node.Input(0)]
	want := w.Value(node.Input(1))
	if in == nil || two == nil || want == nil || !want.Known || len(out.Shape) == 0 {
		return nil, nil, nil
	}
	if len(want.I) == 0 || want.I[0] != 1 || node.Int("allowzero", 0) != 0 && contains(want.I, 0) {
		// -1 and 0 follow the batch or do not: the step after this one sees it
		return nil, nil, nil
	}
	shape := append([]int{2}, out.Shape[1:]...)
	forced := &probe.Value{Type: out.Type, Shape: shape}
	follows := len(in.Shape) > 0 && in.Shape[0] == 1 && two.Shape[0] == 2
	if n.dependsOnInput(node.Input(1)) {
		edit, err := n.unbakeConcat(node, w, follows)
		return edit, forced, err
	}
	dims := append([]int64{}, want.I...)
	switch {
	case follows:
		dims[0] = 0
	case !contains(dims, -1):
		dims[0] = -1
	default:
		return nil, nil, fmt.Errorf("%w: %s has the constant shape %v", ErrBatch, node.Label(), dims)
	}
	name := n.fresh(node.Outputs[0] + "_shape")
	return func() {
		node.DropAttr("allowzero")
		n.model.Graph.Initializers = append(n.model.Graph.Initializers, onnx.NewInt64s(name, []int64{int64(len(dims))}, dims))
		node.Inputs[1] = name
	}, forced, nil
}

// unbakeConcat does the same to a Reshape whose shape is put together while the
// network runs, as exports with a fixed batch and a free size have it: the
// piece with the batch becomes 0, which takes the input's.
func (n *Network) unbakeConcat(node *onnx.Node, w *probe.Walk, follows bool) (edit func(), err error) {
	cat := n.reading.index.Producer(node.Input(1))
	if !follows || !cat.Is("Concat") {
		return nil, fmt.Errorf("%w: %s computes its shape in a way that is not known here", ErrBatch, node.Label())
	}
	first := w.Value(cat.Input(0))
	if first == nil || !first.Known || len(first.I) == 0 || n.dependsOnInput(cat.Input(0)) {
		return nil, fmt.Errorf("%w: the shape of %s starts with something that is not a constant", ErrBatch, node.Label())
	}
	dims := append([]int64{0}, first.I[1:]...)
	piece, shape := n.fresh(node.Outputs[0]+"_batch"), n.fresh(node.Outputs[0]+"_shape")
	return func() {
		node.DropAttr("allowzero") // the 0 means the input's batch
		g := n.model.Graph
		g.Initializers = append(g.Initializers, onnx.NewInt64s(piece, []int64{int64(len(dims))}, dims))
		own := &onnx.Node{
			Name: "Concat_" + shape, OpType: "Concat", Outputs: []string{shape}, Attributes: cat.Attributes,
			Inputs: append([]string{piece}, cat.Inputs[1:]...),
		}
		node.Inputs[1] = shape
		for i := range g.Nodes {
			if g.Nodes[i] == node {
				g.Nodes = append(g.Nodes[:i], append([]*onnx.Node{own}, g.Nodes[i:]...)...)
				break
			}
		}
	}, nil
}

// dependsOnInput reports whether the picture, or its size, has a say in name.
func (n *Network) dependsOnInput(name string) bool {
	names, seen := []string{name}, map[string]bool{}
	for len(names) > 0 {
		name, names = names[0], names[1:]
		if name == n.input.Name {
			return true
		}
		if p := n.reading.index.Producer(name); p != nil && !seen[name] {
			seen[name] = true
			names = append(names, p.Inputs...)
		}
	}
	return false
}

// unbakeResize turns a constant target size into the scales it amounts to,
// where those are whole numbers: a size names the batch, scales do not.
func (n *Network) unbakeResize(node *onnx.Node, single *probe.Result) (edit func(), v *probe.Value, err error) {
	if n.reading.index.Constant(node.Input(3)) == nil {
		return nil, nil, nil
	}
	in, out := single.Values[node.Input(0)], single.Values[node.Outputs[0]]
	if in == nil || len(in.Shape) != 4 || len(out.Shape) != 4 {
		return nil, nil, fmt.Errorf("%w: %s has a constant size", ErrBatch, node.Label())
	}
	scales := make([]float32, 4)
	for i := range scales {
		if in.Shape[i] == 0 || out.Shape[i]%in.Shape[i] != 0 {
			return nil, nil, fmt.Errorf("%w: %s resizes %v to the constant size %v", ErrBatch, node.Label(), in.Shape, out.Shape)
		}
		scales[i] = float32(out.Shape[i] / in.Shape[i])
	}
	shape := append([]int{2}, out.Shape[1:]...)
	name := n.fresh(node.Outputs[0] + "_scales")
	return func() {
		n.model.Graph.Initializers = append(n.model.Graph.Initializers, onnx.NewFloat32s(name, []int64{4}, scales))
		node.Inputs = []string{node.Input(0), node.Input(1), name}
	}, &probe.Value{Type: out.Type, Shape: shape}, nil
}

// fresh makes a name that nothing in the graph has.
func (n *Network) fresh(name string) string {
	for n.reading.index.Known(name) || n.taken[name] {
		name += "_"
	}
	if n.taken == nil {
		n.taken = map[string]bool{}
	}
	n.taken[name] = true
	return name
}
