package onnx

// known is what a graph knows about the names in it, node by node.
type known struct {
	makers       map[string]*Node
	initializers map[string]*Tensor
	inputs       map[string]bool
	outer        *known
}

func newKnown(g *Graph, outer *known) *known {
	k := &known{makers: map[string]*Node{}, initializers: map[string]*Tensor{}, inputs: map[string]bool{}, outer: outer}
	for _, t := range g.Initializers {
		k.initializers[t.Name] = t
	}
	for _, v := range g.Inputs {
		k.inputs[v.Name] = true
	}
	return k
}

// find returns what makes name: a tensor, a node, or neither.
func (k *known) find(name string) (*Tensor, *Node) {
	for ; k != nil && name != ""; k = k.outer {
		if t := k.initializers[name]; t != nil {
			return t, nil
		}
		if n := k.makers[name]; n != nil {
			if a := n.Attr("value"); n.Is("Constant") && a != nil && a.Tensor != nil {
				return a.Tensor, nil
			}
			return nil, n
		}
		if k.inputs[name] {
			return nil, nil
		}
	}
	return nil, nil
}

// simplify makes the nodes of g and its subgraphs plainer. They are in order,
// so that what a node reads is known before it.
func (z *normalizer) simplify(g *Graph, outer *known) error {
	nodes := g.Nodes
	g.Nodes = make([]*Node, 0, len(nodes))
	return z.simplifyNodes(g, newKnown(g, outer), nodes)
}

// simplifyNodes appends nodes, or what they come to, to those of g.
func (z *normalizer) simplifyNodes(g *Graph, k *known, nodes []*Node) error {
	for _, n := range nodes {
		if branch := k.branch(n); branch != nil {
			body, err := z.takeBranch(g, k, n, branch)
			if err != nil {
				return err
			}
			if err := z.simplifyNodes(g, k, body); err != nil {
				return err
			}
			continue
		}
		plainConstant(n)
		k.plainReshape(n)
		for _, a := range n.Attributes {
			for _, sub := range a.Subgraphs() {
				if err := z.simplify(sub, k); err != nil {
					return err
				}
			}
		}
		g.Nodes = append(g.Nodes, n)
		for _, name := range n.Outputs {
			k.makers[name] = n
		}
	}
	return nil
}

// branch returns the branch that n takes every time, nil where n is no If or
// its condition is not a constant.
func (k *known) branch(n *Node) *Graph {
	if !n.Is("If") {
		return nil
	}
	condition, ok := k.truth(n.Input(0))
	if !ok {
		return nil
	}
	name := "else_branch"
	if condition {
		name = "then_branch"
	}
	a := n.Attr(name)
	if a == nil || a.Graph == nil || len(a.Graph.Inputs) > 0 || len(a.Graph.Outputs) < len(n.Outputs) {
		return nil
	}
	return a.Graph
}

// truth returns the value of a condition that is a constant, or made of one by
// Identity, Cast and Not.
func (k *known) truth(name string) (value, ok bool) {
	not := false
	for range maxCondition {
		t, n := k.find(name)
		switch {
		case t != nil:
			value, ok = t.truth()
			return value != not, ok
		case n.Is("Not"):
			not = !not
		case n.Is("Cast") && DataType(n.Int("to", 0)) == Bool, n.Is("Identity"):
		default:
			return false, false
		}
		name = n.Input(0)
	}
	return false, false
}

// truth returns what a tensor of one element is as a bool.
func (t *Tensor) truth() (value, ok bool) {
	if t.Len() != 1 || t.size() > 16 {
		return false, false
	}
	if list, err := t.Int64s(); err == nil {
		return list[0] != 0, true
	}
	if t.DataType == Float64 { // rounding could make it 0
		return false, false
	}
	if list, err := t.Float32s(); err == nil {
		return list[0] != 0, true
	}
	return false, false
}

// size returns the bytes that hold the elements.
func (t *Tensor) size() int {
	return len(t.raw) + len(t.floats) + len(t.doubles) + len(t.ints) + len(t.longs) + len(t.ulongs)
}

// takeBranch returns the nodes of the branch that an If always takes, to stand
// in its place. What else the branch holds moves to g.
func (z *normalizer) takeBranch(g *Graph, k *known, n *Node, branch *Graph) ([]*Node, error) {
	for _, a := range n.Attributes {
		for _, sub := range a.Subgraphs() {
			z.count(sub, -1)
			for g := range sub.graphs() {
				z.nodes -= len(g.Nodes)
			}
		}
	}
	z.nodes--
	inner, results := made(branch.Nodes), outputsOf(branch)
	s := &scope{names: map[string]string{}}
	for _, t := range branch.Initializers {
		s.define(z.names, []string{t.Name})
	}
	repeats, err := z.deliver(s, results, n.Outputs, inner)
	if err != nil {
		return nil, err
	}
	s.define(z.names, inner)
	var body Graph
	if err := z.copyBody(&body, branch, s, nil); err != nil {
		return nil, err
	}
	for _, t := range body.Initializers {
		k.initializers[t.Name] = t
	}
	g.Initializers = append(g.Initializers, body.Initializers...)
	g.ValueInfo = append(g.ValueInfo, body.ValueInfo...)
	return append(body.Nodes, repeats...), nil
}

func outputsOf(g *Graph) []string {
	var list []string
	for _, v := range g.Outputs {
		list = append(list, v.Name)
	}
	return list
}

// plainConstant gives a Constant its number or numbers as a tensor.
func plainConstant(n *Node) {
	if !n.Is("Constant") || len(n.Attributes) != 1 {
		return
	}
	var t *Tensor
	switch a := n.Attributes[0]; a.Name {
	case "value_int":
		t = NewInt64s("", nil, []int64{a.Int})
	case "value_ints":
		t = NewInt64s("", []int64{int64(len(a.Ints))}, a.Ints)
	case "value_float":
		t = NewFloat32s("", nil, []float32{a.Float})
	case "value_floats":
		t = NewFloat32s("", []int64{int64(len(a.Floats))}, a.Floats)
	default:
		return
	}
	n.Attributes = []*Attribute{TensorAttr("value", t)}
}

// plainReshape drops allowzero, which says what a 0 in the shape means, where
// there is none.
func (k *known) plainReshape(n *Node) {
	if !n.Is("Reshape") || n.Attr("allowzero") == nil {
		return
	}
	t, _ := k.find(n.Input(1))
	if t == nil || t.Len() > maxShapeItems || t.size() > 16*maxShapeItems {
		return
	}
	shape, err := t.Int64s()
	if err != nil {
		return
	}
	for _, d := range shape {
		if d == 0 {
			return
		}
	}
	n.DropAttr("allowzero")
}
