package onnx

import (
	"slices"
	"strconv"
	"strings"
)

// names hands out names that nothing has.
type names struct {
	taken map[string]int // how many values have the name
	last  int
}

func newNames() *names { return &names{taken: map[string]int{}} }

// count takes down what g and its subgraphs name, by times each; with -1 it
// gives the names of a graph that goes away back.
func (z *normalizer) count(g *Graph, by int) {
	for g := range g.graphs() {
		for _, name := range g.defines() {
			z.names.taken[name] += by
		}
		for _, n := range g.Nodes {
			z.labels.taken[n.Name] += by
		}
	}
}

// defines lists the names that g itself gives to values, each once.
func (g *Graph) defines() []string {
	var list []string
	for _, v := range g.Inputs {
		list = append(list, v.Name)
	}
	for _, t := range g.Initializers {
		list = append(list, t.Name)
	}
	list = append(list, made(g.Nodes)...)
	slices.Sort(list)
	return slices.Compact(list)
}

// made lists the outputs of nodes.
func made(nodes []*Node) []string {
	var list []string
	for _, n := range nodes {
		for _, name := range n.Outputs {
			if name != "" {
				list = append(list, name)
			}
		}
	}
	return list
}

// make takes name, or one like it where it is taken.
func (s *names) make(name string) string {
	unique := name
	for s.taken[unique] > 0 {
		s.last++
		unique = clip(name) + "_" + strconv.Itoa(s.last)
	}
	s.taken[unique]++
	return unique
}

// clip bounds a name that others are made of.
func clip(name string) string {
	if len(name) > maxNameBytes {
		return strings.ToValidUTF8(name[:maxNameBytes], "")
	}
	return name
}

// scope says what the names in a copied body become.
type scope struct {
	names  map[string]string
	outer  *scope
	closed bool // nothing outside can be read
}

// define gives the names of a body new ones where they are taken. A name that
// has its place already keeps it.
func (s *scope) define(from *names, list []string) {
	for _, name := range list {
		if _, ok := s.names[name]; !ok {
			s.names[name] = from.make(name)
		}
	}
}

// rename returns what name becomes.
func (s *scope) rename(name string) (string, error) {
	for ; s != nil && name != ""; s = s.outer {
		if to, ok := s.names[name]; ok {
			return to, nil
		}
		if s.closed {
			return "", invalid("a local function uses %s, which nothing in it makes", quote(name))
		}
	}
	return name, nil
}

func (s *scope) renameAll(list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, name := range list {
		to, err := s.rename(name)
		if err != nil {
			return nil, err
		}
		out[i] = to
	}
	return out, nil
}

// copyNode copies n with other names; within is the call whose function n
// stands in, nil outside of functions.
func (z *normalizer) copyNode(n *Node, s *scope, within *call) (*Node, error) {
	if err := z.take(1 + len(n.Inputs) + len(n.Outputs) + len(n.Attributes)); err != nil {
		return nil, err
	}
	if err := z.grow(1); err != nil {
		return nil, err
	}
	c := *n
	if within != nil {
		if err := z.agree(within.callee, n); err != nil {
			return nil, err
		}
	}
	if n.Name != "" {
		if within != nil && within.node.Name != "" {
			c.Name = clip(within.node.Name) + "/" + clip(n.Name)
		}
		c.Name = z.labels.make(c.Name)
	}
	var err error
	if c.Inputs, err = s.renameAll(n.Inputs); err != nil {
		return nil, err
	}
	for k := len(c.Inputs); k > 0 && c.Inputs[k-1] == ""; k-- {
		c.Inputs = c.Inputs[:k-1] // what the call leaves out
	}
	if c.Outputs, err = s.renameAll(n.Outputs); err != nil {
		return nil, err
	}
	c.Attributes = nil
	for _, a := range n.Attributes {
		if a, err = z.copyAttribute(a, s, within); err != nil {
			return nil, err
		}
		if a != nil {
			c.Attributes = append(c.Attributes, a)
		}
	}
	return &c, nil
}

// copyAttribute copies a, or what it refers to; it returns nil for an attribute
// that the call leaves out.
func (z *normalizer) copyAttribute(a *Attribute, s *scope, within *call) (*Attribute, error) {
	name := a.Name
	if within != nil && a.Ref != "" {
		// what the call gives belongs to the caller: its names are kept
		if a, s, within = within.argument(a.Ref), nil, nil; a == nil {
			return nil, nil
		}
	}
	if err := z.take(len(a.Ints) + len(a.Floats) + len(a.Strings) + len(a.Tensors)); err != nil {
		return nil, err
	}
	c := *a
	c.Name = name
	if a.Tensor != nil {
		c.Tensor = a.Tensor.Rename(a.Tensor.Name)
	}
	c.Tensors, c.Graphs = nil, nil
	for _, t := range a.Tensors {
		c.Tensors = append(c.Tensors, t.Rename(t.Name))
	}
	var err error
	if a.Graph != nil {
		if c.Graph, err = z.copyGraph(a.Graph, s, within); err != nil {
			return nil, err
		}
	}
	for _, g := range a.Graphs {
		if g, err = z.copyGraph(g, s, within); err != nil {
			return nil, err
		}
		c.Graphs = append(c.Graphs, g)
	}
	return &c, nil
}

// copyGraph copies a subgraph; what it defines gets names of its own.
func (z *normalizer) copyGraph(g *Graph, outer *scope, within *call) (*Graph, error) {
	s := &scope{names: map[string]string{}, outer: outer}
	s.define(z.names, g.defines())
	c := *g
	if err := z.copyBody(&c, g, s, within); err != nil {
		return nil, err
	}
	var err error
	if c.Inputs, err = z.copyInfo(g.Inputs, s); err != nil {
		return nil, err
	}
	c.Outputs, err = z.copyInfo(g.Outputs, s)
	return &c, err
}

// copyBody puts copies of what g holds, but for its inputs and outputs, into c.
func (z *normalizer) copyBody(c, g *Graph, s *scope, within *call) error {
	c.Nodes, c.Initializers = nil, nil
	for _, n := range g.Nodes {
		n, err := z.copyNode(n, s, within)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
	}
	for _, t := range g.Initializers {
		name, err := s.rename(t.Name)
		if err != nil {
			return err
		}
		c.Initializers = append(c.Initializers, t.Rename(name))
	}
	if err := z.take(len(g.Initializers)); err != nil {
		return err
	}
	var err error
	c.ValueInfo, err = z.copyInfo(g.ValueInfo, s)
	return err
}

func (z *normalizer) copyInfo(list []*ValueInfo, s *scope) ([]*ValueInfo, error) {
	var out []*ValueInfo
	for _, v := range list {
		if err := z.take(1 + len(v.Shape)); err != nil {
			return nil, err
		}
		c := *v
		var err error
		if c.Name, err = s.rename(v.Name); err != nil {
			return nil, err
		}
		c.Shape = append([]Dim{}, v.Shape...)
		out = append(out, &c)
	}
	return out, nil
}
