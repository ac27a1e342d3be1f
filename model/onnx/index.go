package onnx

// Index answers who makes and who uses a name of a graph. It is a snapshot:
// make a new one after an edit.
type Index struct {
	graph        *Graph
	producers    map[string]*Node
	consumers    map[string][]*Node
	initializers map[string]*Tensor
	inputs       map[string]*ValueInfo
	outputs      map[string]*ValueInfo
	info         map[string]*ValueInfo
}

// NewIndex indexes g. It returns an error that wraps ErrInvalid where a name is
// made twice, used before it is made, or never made.
func NewIndex(g *Graph) (*Index, error) {
	x := &Index{
		graph: g, producers: map[string]*Node{}, consumers: map[string][]*Node{},
		initializers: map[string]*Tensor{}, inputs: map[string]*ValueInfo{},
		outputs: map[string]*ValueInfo{}, info: map[string]*ValueInfo{},
	}
	for _, t := range g.Initializers {
		if x.initializers[t.Name] != nil {
			return nil, invalid("initializer %s is there twice", quote(t.Name))
		}
		x.initializers[t.Name] = t
	}
	for _, v := range g.Inputs {
		if x.inputs[v.Name] != nil {
			return nil, invalid("input %s is there twice", quote(v.Name))
		}
		x.inputs[v.Name] = v
	}
	for _, n := range g.Nodes {
		for _, name := range n.uses() {
			if !x.Known(name) {
				return nil, invalid("%s uses %s, which nothing before it makes", n.Label(), quote(name))
			}
			if c := x.consumers[name]; len(c) == 0 || c[len(c)-1] != n {
				x.consumers[name] = append(c, n)
			}
		}
		for _, name := range n.Outputs {
			if name == "" {
				continue
			}
			if x.Known(name) {
				return nil, invalid("%s makes %s, which is already made", n.Label(), quote(name))
			}
			x.producers[name] = n
		}
	}
	for _, v := range g.ValueInfo {
		x.info[v.Name] = v
	}
	for _, v := range g.Outputs {
		if !x.Known(v.Name) {
			return nil, invalid("nothing makes output %s", quote(v.Name))
		}
		x.outputs[v.Name], x.info[v.Name] = v, v
	}
	for name, v := range x.inputs {
		x.info[name] = v
	}
	return x, nil
}

// uses lists the names that a node reads, those that its subgraphs take from
// outside included.
func (n *Node) uses() []string {
	var names []string
	for _, name := range n.Inputs {
		if name != "" {
			names = append(names, name)
		}
	}
	for _, a := range n.Attributes {
		for _, sub := range a.Subgraphs() {
			names = append(names, captured(sub)...)
		}
	}
	return names
}

// captured lists the names a subgraph reads and does not make.
func captured(g *Graph) []string {
	made := map[string]bool{"": true}
	for _, v := range g.Inputs {
		made[v.Name] = true
	}
	for _, t := range g.Initializers {
		made[t.Name] = true
	}
	var names []string
	use := func(name string) {
		if !made[name] {
			names = append(names, name)
			made[name] = true
		}
	}
	for _, n := range g.Nodes {
		for _, name := range n.Inputs {
			use(name)
		}
		for _, a := range n.Attributes {
			for _, sub := range a.Subgraphs() {
				for _, name := range captured(sub) {
					use(name)
				}
			}
		}
		for _, name := range n.Outputs {
			made[name] = true
		}
	}
	for _, v := range g.Outputs {
		use(v.Name)
	}
	return names
}

// Known reports whether something makes name.
func (x *Index) Known(name string) bool {
	return x.producers[name] != nil || x.initializers[name] != nil || x.inputs[name] != nil
}

// Producer returns the node that makes name, nil for inputs and initializers.
func (x *Index) Producer(name string) *Node { return x.producers[name] }

// Consumers returns the nodes that read name, in graph order.
func (x *Index) Consumers(name string) []*Node { return x.consumers[name] }

// Initializer returns the initializer of that name, nil where there is none.
func (x *Index) Initializer(name string) *Tensor { return x.initializers[name] }

// IsOutput reports whether name is an output of the graph.
func (x *Index) IsOutput(name string) bool { return x.outputs[name] != nil }

// Info returns what the file declares about name, nil where it says nothing.
func (x *Index) Info(name string) *ValueInfo { return x.info[name] }

// Constant returns the tensor behind a name that is an initializer or the
// output of a Constant node with a tensor; nil otherwise.
func (x *Index) Constant(name string) *Tensor {
	if t := x.initializers[name]; t != nil {
		return t
	}
	n := x.producers[name]
	if !n.Is("Constant") {
		return nil
	}
	if a := n.Attr("value"); a != nil {
		return a.Tensor
	}
	return nil
}

// RealInputs returns the graph's inputs that are not initializers: up to IR
// version 3 every initializer is listed as an input as well.
func (g *Graph) RealInputs() []*ValueInfo {
	initial := map[string]bool{}
	for _, t := range g.Initializers {
		initial[t.Name] = true
	}
	var list []*ValueInfo
	for _, v := range g.Inputs {
		if !initial[v.Name] {
			list = append(list, v)
		}
	}
	return list
}

// Prune drops every node, initializer and value_info that the graph's outputs
// do not need. Inputs that are no initializers stay.
func (g *Graph) Prune() error {
	if _, err := NewIndex(g); err != nil {
		return err
	}
	need := map[string]bool{}
	for _, v := range g.Outputs {
		need[v.Name] = true
	}
	keep := make([]bool, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		for _, name := range g.Nodes[i].Outputs {
			keep[i] = keep[i] || name != "" && need[name]
		}
		if keep[i] {
			for _, name := range g.Nodes[i].uses() {
				need[name] = true
			}
		}
	}
	g.Nodes = filter(g.Nodes, func(i int, _ *Node) bool { return keep[i] })
	initial := map[string]bool{}
	for _, t := range g.Initializers {
		initial[t.Name] = true
	}
	g.Initializers = filter(g.Initializers, func(_ int, t *Tensor) bool { return need[t.Name] })
	g.Inputs = filter(g.Inputs, func(_ int, v *ValueInfo) bool { return need[v.Name] || !initial[v.Name] })
	g.ValueInfo = filter(g.ValueInfo, func(_ int, v *ValueInfo) bool { return need[v.Name] })
	return nil
}

func filter[T any](list []T, keep func(int, T) bool) []T {
	var out []T
	for i, v := range list {
		if keep(i, v) {
			out = append(out, v)
		}
	}
	return out
}
