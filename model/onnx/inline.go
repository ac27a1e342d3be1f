package onnx

// functionID is what a node names a local function by.
type functionID struct{ domain, name, overload string }

// callee is a local function, ready to be called.
type callee struct {
	*Function
	opsets map[string]int64
	open   bool // a call of it is being inlined
}

// call is one node that stands for a function's nodes.
type call struct {
	node   *Node
	callee *callee
}

// argument returns the value of the function's attribute in this call, nil
// where there is none.
func (c *call) argument(name string) *Attribute {
	if a := c.node.Attr(name); a != nil {
		return a
	}
	for _, a := range c.callee.Defaults {
		if a.Name == name {
			return a
		}
	}
	return nil
}

func plainDomain(d string) string {
	if isDefaultDomain(d) {
		return ""
	}
	return d
}

func opsetsOf(list []Opset) map[string]int64 {
	versions := map[string]int64{}
	for _, o := range list {
		if d := plainDomain(o.Domain); versions[d] == 0 {
			versions[d] = o.Version
		}
	}
	return versions
}

// inlineFunctions puts the nodes of local functions where they are called.
func (z *normalizer) inlineFunctions() error {
	z.functions, z.opsets = map[functionID]*callee{}, opsetsOf(z.model.Opsets)
	for _, f := range z.model.Functions {
		id := functionID{plainDomain(f.Domain), f.Name, f.Overload}
		if z.functions[id] != nil {
			return invalid("local function %s is there twice", quote(f.Name))
		}
		z.functions[id] = &callee{Function: f, opsets: opsetsOf(f.Opsets)}
	}
	if err := z.inlineGraph(z.model.Graph, 0); err != nil {
		return err
	}
	z.dropFunctions()
	return nil
}

func (z *normalizer) callee(n *Node) *callee {
	return z.functions[functionID{plainDomain(n.Domain), n.OpType, n.Overload}]
}

func (z *normalizer) inlineGraph(g *Graph, depth int) error {
	nodes, err := z.inlineNodes(nil, g.Nodes, depth)
	if err != nil {
		return err
	}
	g.Nodes = nodes
	return nil
}

// inlineNodes appends nodes to out, and in the place of calls what they stand
// for; depth counts the functions around them.
func (z *normalizer) inlineNodes(out, nodes []*Node, depth int) ([]*Node, error) {
	for _, n := range nodes {
		for _, a := range n.Attributes {
			if a.Ref != "" {
				return nil, invalid("%s takes attribute %s from a function and stands in none", n.Label(), quote(a.Ref))
			}
			for _, sub := range a.Subgraphs() {
				if err := z.inlineGraph(sub, depth); err != nil {
					return nil, err
				}
			}
		}
		f := z.callee(n)
		if f == nil {
			out = append(out, n)
			continue
		}
		switch {
		case isDefaultDomain(n.Domain): // in ONNX Runtime an operator of that name comes first
			return nil, invalid("local function %s stands among ONNX's own operators; give it another domain", quote(f.Name))
		case f.open:
			return nil, invalid("local function %s calls itself", quote(f.Name))
		case depth == maxCalls:
			return nil, invalid("local functions call each other deeper than %d", maxCalls)
		}
		body, err := z.body(&call{n, f})
		if err != nil {
			return nil, err
		}
		z.nodes-- // the call itself
		f.open = true
		if out, err = z.inlineNodes(out, body, depth+1); err != nil {
			return nil, err
		}
		f.open = false
	}
	return out, nil
}

// body returns the nodes that a call stands for, with names that nothing else
// in the model has.
func (z *normalizer) body(c *call) ([]*Node, error) {
	n, f := c.node, c.callee
	if err := z.take(1 + len(f.Inputs) + len(f.Outputs)); err != nil {
		return nil, err
	}
	if len(n.Inputs) > len(f.Inputs) || len(n.Outputs) > len(f.Outputs) {
		return nil, invalid("%s has %d inputs and %d outputs, local function %s has %d and %d",
			n.Label(), len(n.Inputs), len(n.Outputs), quote(f.Name), len(f.Inputs), len(f.Outputs))
	}
	s := &scope{names: map[string]string{}, closed: true}
	for i, name := range f.Inputs {
		s.names[name] = n.Input(i) // empty where the call leaves it out
	}
	nodes, err := z.deliver(s, f.Outputs, n.Outputs, made(f.Nodes))
	if err != nil {
		return nil, err
	}
	s.define(z.names, made(f.Nodes))
	for _, n := range f.Nodes {
		copied, err := z.copyNode(n, s, c)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, copied)
	}
	return nodes, nil
}

// deliver makes the outputs of a body, which are called from inside it, those
// that the node has in whose place it stands. A value that nodes of the body
// make, which inner lists, takes the node's name; another one is repeated by an
// Identity, which deliver returns.
func (z *normalizer) deliver(s *scope, from, to, inner []string) ([]*Node, error) {
	free := map[string]bool{}
	for _, name := range inner {
		_, input := s.names[name]
		free[name] = !input
	}
	var repeats []*Node
	for i, name := range to {
		if name == "" {
			continue
		}
		if free[from[i]] {
			free[from[i]], s.names[from[i]] = false, name
			continue
		}
		source, err := s.rename(from[i])
		if err != nil {
			return nil, err
		}
		if source == "" {
			return nil, invalid("output %s is an input that is left out", quote(name))
		}
		if err := z.grow(1); err != nil {
			return nil, err
		}
		repeats = append(repeats, &Node{OpType: "Identity", Inputs: []string{source}, Outputs: []string{name}})
	}
	return repeats, nil
}

// agree holds the operator set that a function's node is written for to the
// model's: there is one for each domain.
func (z *normalizer) agree(f *callee, n *Node) error {
	domain := plainDomain(n.Domain)
	version := f.opsets[domain]
	if version == 0 || z.callee(n) != nil || version == z.opsets[domain] {
		return nil
	}
	if z.opsets[domain] != 0 {
		return invalid("local function %s is written for version %d of operator set %s, the model for version %d",
			quote(f.Name), version, quote(domain), z.opsets[domain])
	}
	z.opsets[domain] = version
	z.model.SetOpset(domain, version)
	return nil
}

// dropFunctions forgets the functions, and the operator sets that nothing but
// them had.
func (z *normalizer) dropFunctions() {
	gone := map[string]bool{}
	for _, f := range z.model.Functions {
		gone[plainDomain(f.Domain)] = true
	}
	gone[""] = false
	for g := range z.model.Graph.graphs() {
		for _, n := range g.Nodes {
			gone[plainDomain(n.Domain)] = false
		}
	}
	z.model.Functions = nil
	z.model.Opsets = filter(z.model.Opsets, func(_ int, o Opset) bool { return !gone[plainDomain(o.Domain)] })
}
