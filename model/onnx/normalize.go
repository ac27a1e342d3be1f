package onnx

import "iter"

// Limits of Normalize, beside its caller's limit of nodes.
const (
	maxCalls      = 64 // local functions inside local functions
	maxNameBytes  = 200
	maxCondition  = 64 // nodes followed from an If to its constant condition
	maxShapeItems = 64 // elements of a constant that is read as a shape
)

// Normalize rewrites the model so that it computes the same in plainer terms,
// which every runtime and every reader of the graph understands:
//
//   - local functions are replaced by their nodes,
//   - nodes stand in topological order,
//   - an If with a constant condition is replaced by the branch it takes,
//   - the numbers of a Constant are a tensor,
//   - a Reshape has no allowzero where its shape is a constant without a 0,
//   - a negative dimension is an unknown one,
//   - no two dimensions of an input share a name.
//
// A model that is normal already is not changed. The errors wrap ErrInvalid: a
// model of more than maxNodes nodes, its functions' included, or functions that
// cannot be put in the place of their calls. What is wrong with names, NewIndex
// says.
func (m *Model) Normalize(maxNodes int) error {
	z := &normalizer{model: m, maxNodes: maxNodes, names: newNames(), labels: newNames()}
	if err := z.start(); err != nil {
		return err
	}
	if err := z.inlineFunctions(); err != nil {
		return err
	}
	sortNodes(m.Graph)
	if err := z.simplify(m.Graph, nil); err != nil {
		return err
	}
	declareFreely(m.Graph)
	return nil
}

// normalizer is one run of Normalize.
type normalizer struct {
	model     *Model
	maxNodes  int
	nodes     int    // nodes of the graph and its subgraphs
	parts     int    // nodes, names, attributes and tensors that were copied
	names     *names // of values
	labels    *names // of nodes: ONNX Runtime wants those to differ too
	functions map[functionID]*callee
	opsets    map[string]int64 // the model's, by domain
}

// start counts the nodes and takes down every name.
func (z *normalizer) start() error {
	for g := range z.model.Graph.graphs() {
		if err := z.grow(len(g.Nodes)); err != nil {
			return err
		}
	}
	z.count(z.model.Graph, 1)
	return nil
}

// grow counts n new nodes.
func (z *normalizer) grow(n int) error {
	if z.nodes += n; z.nodes > z.maxNodes {
		return invalid("it has more than %d nodes; no detector has, and TensorRT's parser would not come back", z.maxNodes)
	}
	return nil
}

// take counts n copied parts, so that no small file grows without bound.
func (z *normalizer) take(n int) error {
	if z.parts += n; z.parts > maxItems {
		return invalid("it has more than %d parts with its functions inlined", maxItems)
	}
	return nil
}

// graphs visits a graph and its subgraphs.
func (g *Graph) graphs() iter.Seq[*Graph] {
	return func(yield func(*Graph) bool) { g.visit(yield) }
}

func (g *Graph) visit(yield func(*Graph) bool) bool {
	if !yield(g) {
		return false
	}
	for _, n := range g.Nodes {
		for _, a := range n.Attributes {
			for _, sub := range a.Subgraphs() {
				if !sub.visit(yield) {
					return false
				}
			}
		}
	}
	return true
}

// sortNodes puts the nodes of g and its subgraphs in topological order: each
// node stays where it is, but for those it needs, which come before it. A graph
// with a cycle is left as it is.
func sortNodes(g *Graph) {
	makers := map[string]int{}
	for i, n := range g.Nodes {
		for _, a := range n.Attributes {
			for _, sub := range a.Subgraphs() {
				sortNodes(sub)
			}
		}
		for _, name := range n.Outputs {
			if _, twice := makers[name]; !twice && name != "" {
				makers[name] = i
			}
		}
	}
	const open, placed = 1, 2
	state := make([]int, len(g.Nodes))
	sorted := make([]*Node, 0, len(g.Nodes))
	var place func(i int) bool
	place = func(i int) bool {
		if state[i] != 0 {
			return state[i] == placed
		}
		state[i] = open
		for _, name := range g.Nodes[i].uses() {
			if maker, ok := makers[name]; ok && !place(maker) {
				return false
			}
		}
		state[i] = placed
		sorted = append(sorted, g.Nodes[i])
		return true
	}
	for i := range g.Nodes {
		if !place(i) {
			return
		}
	}
	g.Nodes = sorted
}

// declareFreely takes back what a graph declares about dimensions and cannot
// hold: numbers below 0, which exporters write for "unknown", and one name for
// two dimensions of a tensor, which runtimes take as a promise that they are
// equal. Of an input's dimensions the first keeps the name and the others get
// names of their own; elsewhere nothing says which of them was meant.
func declareFreely(g *Graph) {
	shared, taken := map[string]bool{}, map[string]int{}
	for g := range g.graphs() {
		g.eachShape(func(shape []Dim) {
			seen := map[string]bool{}
			for i := range shape {
				d := &shape[i]
				if d.Known && d.Value < 0 {
					d.Known, d.Value = false, 0
				}
				shared[d.Param] = shared[d.Param] || d.Param != "" && seen[d.Param]
				seen[d.Param] = true
				taken[d.Param]++
			}
		})
	}
	fresh := &names{taken: taken}
	inputs := map[*Dim]string{}
	for _, v := range g.Inputs {
		seen := map[string]bool{}
		for i := range v.Shape {
			d := &v.Shape[i]
			inputs[d] = d.Param
			if d.Param != "" && seen[d.Param] {
				inputs[d] = fresh.make(d.Param)
			}
			seen[d.Param] = true
		}
	}
	for g := range g.graphs() {
		g.eachShape(func(shape []Dim) {
			for i := range shape {
				if shared[shape[i].Param] {
					shape[i].Param = inputs[&shape[i]]
				}
			}
		})
	}
}

// eachShape visits the shapes that g declares.
func (g *Graph) eachShape(fn func([]Dim)) {
	for _, list := range [][]*ValueInfo{g.Inputs, g.Outputs, g.ValueInfo} {
		for _, v := range list {
			fn(v.Shape)
		}
	}
}
