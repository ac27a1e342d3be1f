package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/model/onnx"
)

// odd writes a detector down in one of the ways that ONNX allows and trtdet's
// own code does not expect.
type odd struct {
	rng *rand.Rand
	s   *small
	n   int // functions and branches so far
}

// oddities change nothing about what a net computes.
var oddities = []struct {
	name string
	edit func(*odd)
}{
	{"unsorted", func(o *odd) {
		nodes := o.s.m.Graph.Nodes
		o.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	}},
	{"negative dimensions", func(o *odd) {
		for _, v := range slices.Concat(o.s.m.Graph.Inputs, o.s.m.Graph.Outputs, o.s.m.Graph.ValueInfo) {
			for i, d := range v.Shape {
				if i == 0 || d.Param != "" {
					v.Shape[i] = onnx.Dim{Known: true, Value: -1 - int64(o.rng.IntN(3))}
				}
			}
		}
	}},
	{"allowzero", func(o *odd) {
		for _, n := range o.s.m.Graph.Nodes {
			if n.Is("Reshape") {
				n.SetAttr(onnx.IntAttr("allowzero", 1))
			}
		}
	}},
	{"shared names", func(o *odd) {
		for _, v := range slices.Concat(o.s.m.Graph.Inputs, o.s.m.Graph.Outputs) {
			for i, d := range v.Shape {
				if d.Param != "" {
					v.Shape[i] = onnx.Dim{Param: "size"}
				}
			}
		}
	}},
	{"a function of each operator", func(o *odd) {
		op := []string{"Conv", "Sigmoid", "Mul", "Concat"}[o.rng.IntN(4)]
		o.outlineAll(op)
	}},
	{"a function of some nodes", (*odd).outline},
	{"functions inside functions", func(o *odd) {
		for range 3 {
			o.outline()
		}
	}},
	{"a constant If", (*odd).branch},
}

// nest visits the subgraphs of nodes.
func (o *odd) nest(nodes []*onnx.Node, fn func(*onnx.Graph)) {
	for _, n := range nodes {
		for _, a := range n.Attributes {
			for _, g := range a.Subgraphs() {
				fn(g)
			}
		}
	}
}

func (o *odd) name(what string) string {
	o.n++
	return fmt.Sprint(what, o.n)
}

// domain is that of the functions made here.
const domain = "tests.functions"

func (o *odd) add(f *onnx.Function) {
	f.Opsets = []onnx.Opset{{Version: o.s.m.Opset("")}, {Domain: domain, Version: 1}}
	f.Domain = domain
	o.s.m.Functions = append(o.s.m.Functions, f)
	o.s.m.SetOpset(domain, 1)
	o.s.m.IRVersion = 10
}

// outlineAll makes one function of an operator and calls it for each node. The
// first node's attributes are the defaults.
func (o *odd) outlineAll(op string) {
	var f *onnx.Function
	for _, n := range o.s.m.Graph.Nodes {
		if !n.Is(op) {
			continue
		}
		if f == nil {
			f = &onnx.Function{Name: o.name(op), Outputs: []string{"out"}}
			inner := &onnx.Node{OpType: op, Outputs: []string{"middle"}}
			for i := range n.Inputs {
				f.Inputs = append(f.Inputs, fmt.Sprint("in", i))
			}
			inner.Inputs = slices.Clone(f.Inputs)
			for _, a := range n.Attributes {
				d := *a
				d.Name = "default_" + a.Name
				f.Defaults = append(f.Defaults, &d)
				inner.Attributes = append(inner.Attributes, &onnx.Attribute{Name: a.Name, Type: a.Type, Ref: d.Name})
			}
			// an attribute that no call gives is left out
			if op == "Conv" {
				f.Attributes = []string{"never"}
				inner.Attributes = append(inner.Attributes, &onnx.Attribute{Name: "auto_pad", Type: onnx.AttrString, Ref: "never"})
			}
			f.Nodes = []*onnx.Node{inner, {OpType: "Identity", Inputs: []string{"middle"}, Outputs: []string{"out"}}}
			o.add(f)
		}
		if op != "Conv" && len(n.Inputs) != len(f.Inputs) || len(n.Inputs) > len(f.Inputs) || len(n.Attributes) != len(f.Defaults) {
			continue
		}
		n.OpType, n.Domain = f.Name, domain
		for i, a := range n.Attributes {
			given := *a
			given.Name = "default_" + a.Name
			n.Attributes[i] = &given
		}
	}
}

// piece takes a run of nodes out of the graph and lists the names that come in
// and go out. The nodes must be in order.
func (o *odd) piece() (nodes []*onnx.Node, in, out []string, at int) {
	g := o.s.m.Graph
	if _, err := onnx.NewIndex(g); err != nil {
		return nil, nil, nil, 0
	}
	at = o.rng.IntN(len(g.Nodes))
	end := min(len(g.Nodes), at+1+o.rng.IntN(6))
	nodes = slices.Clone(g.Nodes[at:end])
	made := map[string]bool{}
	use := func(name string) {
		if name != "" && !made[name] && !contains(in, name) {
			in = append(in, name)
		}
	}
	for _, n := range nodes {
		for _, name := range n.Inputs {
			use(name)
		}
		o.nest([]*onnx.Node{n}, func(g *onnx.Graph) {
			inner := map[string]bool{}
			for _, w := range g.Initializers {
				inner[w.Name] = true
			}
			for _, n := range g.Nodes {
				for _, name := range n.Inputs {
					if !inner[name] {
						use(name)
					}
				}
				for _, name := range n.Outputs {
					inner[name] = true
				}
			}
		})
		for _, name := range n.Outputs {
			made[name] = true
		}
	}
	rest, err := onnx.NewIndex(&onnx.Graph{Inputs: g.Inputs, Initializers: g.Initializers, Nodes: g.Nodes, Outputs: g.Outputs})
	if err != nil {
		return nil, nil, nil, 0
	}
	for _, n := range nodes {
		for _, name := range n.Outputs {
			outside := rest.IsOutput(name)
			for _, c := range rest.Consumers(name) {
				outside = outside || !contains(nodes, c)
			}
			if outside {
				out = append(out, name)
			}
		}
	}
	g.Nodes = slices.Delete(g.Nodes, at, end)
	return nodes, in, out, at
}

// outline makes a function of a piece of the graph; the numbers of its
// attributes come from the call.
func (o *odd) outline() {
	nodes, in, out, at := o.piece()
	if len(nodes) == 0 {
		return
	}
	f := &onnx.Function{Name: o.name("Piece"), Inputs: slices.Clone(in), Outputs: slices.Clone(out), Nodes: nodes}
	call := &onnx.Node{Name: f.Name, OpType: f.Name, Domain: domain, Inputs: in, Outputs: out}
	for i, n := range nodes {
		for k, a := range n.Attributes {
			if len(a.Subgraphs()) > 0 {
				continue
			}
			given := *a
			given.Name = fmt.Sprint("a", i, "_", k)
			f.Attributes = append(f.Attributes, given.Name)
			call.Attributes = append(call.Attributes, &given)
			n.Attributes[k] = &onnx.Attribute{Name: a.Name, Type: a.Type, Ref: given.Name}
		}
	}
	o.add(f)
	o.s.m.Graph.Nodes = slices.Insert(o.s.m.Graph.Nodes, at, call)
}

// branch puts a piece of the graph into the branch of an If that is taken every
// time; the other branch makes zeros of the names that the first one has.
func (o *odd) branch() {
	nodes, _, out, at := o.piece()
	if len(out) == 0 { // nothing reads what the nodes make, such as an If's unused condition
		return
	}
	g := o.s.m.Graph
	rename := map[string]string{}
	for _, name := range out {
		rename[name] = o.name(name + "_inside")
	}
	for _, n := range nodes {
		for i, name := range n.Inputs {
			if to := rename[name]; to != "" {
				n.Inputs[i] = to
			}
		}
		for i, name := range n.Outputs {
			if to := rename[name]; to != "" {
				n.Outputs[i] = to
			}
		}
		o.nest([]*onnx.Node{n}, func(g *onnx.Graph) {
			for _, n := range g.Nodes {
				for i, name := range n.Inputs {
					if to := rename[name]; to != "" {
						n.Inputs[i] = to
					}
				}
			}
		})
	}
	taken, other := &onnx.Graph{Name: "taken", Nodes: nodes}, &onnx.Graph{Name: "other"}
	for _, name := range out {
		v := &onnx.ValueInfo{Name: rename[name], ElemType: onnx.Float32}
		taken.Outputs, other.Outputs = append(taken.Outputs, v), append(other.Outputs, v)
		other.Initializers = append(other.Initializers, onnx.NewFloat32s(rename[name]+"_zero", []int64{1}, []float32{0}))
		other.Nodes = append(other.Nodes, &onnx.Node{OpType: "Identity", Inputs: []string{rename[name] + "_zero"}, Outputs: []string{rename[name]}})
	}
	condition, value := o.condition()
	then, or := taken, other
	if !value {
		then, or = other, taken
	}
	g.Nodes = slices.Insert(g.Nodes, at, &onnx.Node{Name: o.name("if"), OpType: "If", Inputs: []string{condition}, Outputs: out, Attributes: []*onnx.Attribute{
		{Name: "then_branch", Type: onnx.AttrGraph, Graph: then}, {Name: "else_branch", Type: onnx.AttrGraph, Graph: or},
	}})
	// what the condition is made of comes first
	slices.SortStableFunc(g.Nodes, func(a, b *onnx.Node) int { return first(b) - first(a) })
}

func first(n *onnx.Node) int {
	if strings.HasPrefix(n.Name, "condition") {
		return 1
	}
	return 0
}

// condition makes a constant condition.
func (o *odd) condition() (name string, value bool) {
	g := o.s.m.Graph
	number := int64(o.rng.IntN(3))
	name, value = o.name("c"), number != 0
	if o.rng.IntN(2) == 0 {
		g.Initializers = append(g.Initializers, onnx.NewInt64s(name, nil, []int64{number}))
	} else {
		g.Nodes = append(g.Nodes, &onnx.Node{Name: "condition" + name, OpType: "Constant", Outputs: []string{name}, Attributes: []*onnx.Attribute{onnx.IntAttr("value_int", number)}})
	}
	then := func(op string, attributes ...*onnx.Attribute) {
		next := o.name("c")
		g.Nodes = append(g.Nodes, &onnx.Node{Name: "condition" + next, OpType: op, Inputs: []string{name}, Outputs: []string{next}, Attributes: attributes})
		name = next
	}
	then("Cast", onnx.IntAttr("to", int64(onnx.Bool)))
	for range o.rng.IntN(3) {
		then("Not")
		value = !value
	}
	if o.rng.IntN(2) == 0 {
		then("Identity")
	}
	return name, value
}

// oddNets are detectors to write down in odd ways, each with its hints.
func oddNets() map[string]func() (*small, *Hints) {
	newer := func(s *small) *small {
		s.m.SetOpset("", 18)
		return s
	}
	return map[string]func() (*small, *Hints){
		"fused": func() (*small, *Hints) { return newer(heads(true, 1, 3, 64, 96)), &Hints{Anchors: twoAnchors} },
		"free":  func() (*small, *Hints) { return newer(heads(false, "b", 3, "h", "w")), &Hints{Anchors: twoAnchors} },
		"5d":    func() (*small, *Hints) { return newer(fiveD(1, 2, 8, 16, 16)), oneLevel },
	}
}

// holdToFile reads the file and holds its outputs to what ONNX Runtime gives
// for the file as it is, to the bit.
func holdToFile(t *testing.T, file []byte, hints *Hints, height, width int) *Network {
	t.Helper()
	n, err := parse(file, "", hints)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, n)
	var names []string
	for _, o := range n.Outputs {
		names = append(names, o.Name)
	}
	shape, pixels := pictures(n, 1, height, width)
	want := execute(t, file, n.Inputs[0].Name, shape, pixels, names)
	got := execute(t, marshalled(t, n), n.Inputs[0].Name, shape, pixels, names)
	for i, name := range names {
		sameBits(t, name, got[i], want[i])
	}
	return n
}

// holdBatch runs two images at once and each alone. A batch may take another
// path through a kernel, with sums in another order.
func holdBatch(t *testing.T, n *Network, height, width int) {
	t.Helper()
	if err := startRuntime(); err != nil {
		t.Fatalf("no ONNX Runtime: %v; make build brings it", err)
	}
	var names []string
	for _, o := range n.Outputs {
		names = append(names, o.Name)
	}
	shape, pixels := pictures(n, 2, height, width)
	both := execute(t, marshalled(t, n), n.Inputs[0].Name, shape, pixels, names)
	shape[0] = 1
	for i := range 2 {
		half := len(pixels) / 2
		single := execute(t, marshalled(t, n), n.Inputs[0].Name, shape, pixels[i*half:(i+1)*half], names)
		for k, name := range names {
			size := len(both[k].data) / 2
			if both[k].shape[0] != 2 || size != len(single[k].data) {
				t.Fatalf("output %s is %v for two images and %v for one", name, both[k].shape, single[k].shape)
			}
			part := tensor{single[k].shape, both[k].data[i*size : (i+1)*size]}
			if _, relative := compare(t, name, single[k], part); relative > 1e-4 {
				t.Errorf("image %d differs by %g in output %s", i, relative, name)
			}
		}
	}
}

func sameBits(t *testing.T, name string, got, want tensor) {
	t.Helper()
	if fmt.Sprint(got.shape) != fmt.Sprint(want.shape) {
		t.Fatalf("%s is %v, want %v", name, got.shape, want.shape)
	}
	for i := range want.data {
		if math.Float32bits(got.data[i]) != math.Float32bits(want.data[i]) {
			t.Fatalf("%s differs at %d: %g, want %g", name, i, got.data[i], want.data[i])
		}
	}
}

// TestOddNets writes detectors down in each odd way, and in random mixtures of
// them. They have the head of the plain net, and its numbers to the bit.
func TestOddNets(t *testing.T) {
	if err := startRuntime(); err != nil {
		t.Fatalf("no ONNX Runtime: %v; make build brings it", err)
	}
	for name, make := range oddNets() {
		plain, hints := make()
		want, err := parse(plain.bytes(t), "", hints)
		if err != nil {
			t.Fatal(err)
		}
		try := func(t *testing.T, seed uint64, edits []int) {
			s, hints := make()
			o := &odd{rng: rand.New(rand.NewPCG(seed, 1)), s: s}
			for _, i := range edits {
				oddities[i].edit(o)
			}
			height, width, free := want.InputSize()
			if free {
				height, width = 64, 96
			}
			n := holdToFile(t, s.bytes(t), hints, height, width)
			if fmt.Sprintf("%+v", n.Head) != fmt.Sprintf("%+v", want.Head) {
				t.Errorf("the head is\n%+v, want\n%+v", n.Head, want.Head)
			}
			if _, dynamic := n.Batch(); dynamic && name == "5d" {
				return // its batch is declared free, and its Reshape makes it 1
			}
			if err := n.MakeBatchDynamic(); err != nil {
				t.Fatal(err)
			}
			holdBatch(t, n, height, width)
		}
		for i, odd := range oddities {
			t.Run(name+", "+odd.name, func(t *testing.T) { try(t, uint64(i), []int{i}) })
		}
		mixtures := 300
		if testing.Short() {
			mixtures = 5
		}
		for seed := range uint64(mixtures) {
			rng := rand.New(rand.NewPCG(seed, 2))
			edits := rng.Perm(len(oddities))[:2+rng.IntN(6)]
			var words []string
			for _, i := range edits {
				words = append(words, oddities[i].name)
			}
			t.Run(fmt.Sprint(name, ", ", seed, ": ", strings.Join(words, ", ")), func(t *testing.T) { try(t, seed, edits) })
		}
	}
}

// plainCases are models of an input x (2, 3) and an output y, in forms that
// Normalize makes plain.
func plainCases() map[string]*onnx.Model {
	node := func(op, inputs, outputs string, attributes ...*onnx.Attribute) *onnx.Node {
		n := &onnx.Node{OpType: op, Attributes: attributes}
		n.Inputs, n.Outputs = strings.Split(inputs, " "), strings.Split(outputs, " ")
		if inputs == "" {
			n.Inputs = nil
		}
		return n
	}
	called := func(op, inputs, outputs string, attributes ...*onnx.Attribute) *onnx.Node {
		n := node(op, inputs, outputs, attributes...)
		n.Domain = domain
		return n
	}
	function := func(name, inputs, outputs string, nodes ...*onnx.Node) *onnx.Function {
		return &onnx.Function{
			Domain: domain, Name: name, Inputs: strings.Fields(inputs), Outputs: strings.Fields(outputs), Nodes: nodes,
			Opsets: []onnx.Opset{{Version: 18}, {Domain: domain, Version: 1}},
		}
	}
	ref := func(name string, typ onnx.AttributeType, of string) *onnx.Attribute {
		return &onnx.Attribute{Name: name, Type: typ, Ref: of}
	}
	floats := func(name string, v ...float32) *onnx.Tensor { return onnx.NewFloat32s(name, []int64{int64(len(v))}, v) }
	yes := onnx.NewInt64s("yes", nil, []int64{1})
	toBool := onnx.IntAttr("to", int64(onnx.Bool))
	graph := func(output string, nodes ...*onnx.Node) *onnx.Graph {
		return &onnx.Graph{Name: output, Nodes: nodes, Outputs: []*onnx.ValueInfo{{Name: output, ElemType: onnx.Float32}}}
	}
	branches := func(then, or *onnx.Graph) []*onnx.Attribute {
		return []*onnx.Attribute{{Name: "then_branch", Type: onnx.AttrGraph, Graph: then}, {Name: "else_branch", Type: onnx.AttrGraph, Graph: or}}
	}
	model := func(functions []*onnx.Function, weights []*onnx.Tensor, nodes ...*onnx.Node) *onnx.Model {
		g := graph("y", nodes...)
		g.Initializers = weights
		g.Inputs = []*onnx.ValueInfo{{Name: "x", ElemType: onnx.Float32, HasShape: true, Shape: dims(2, 3)}}
		return &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 18}, {Domain: domain, Version: 1}}, Graph: g, Functions: functions}
	}
	overloads := func() *onnx.Model {
		first, second := function("F", "a", "b", node("Neg", "a", "b")), function("F", "a", "b", node("Exp", "a", "b"))
		first.Overload, second.Overload = "first", "second"
		n := called("F", "x", "y")
		n.Overload = "second"
		return model([]*onnx.Function{first, second}, nil, n)
	}
	withDefault := function("F", "a", "b", node("Elu", "a", "b", ref("alpha", onnx.AttrFloat, "steep")))
	withDefault.Defaults = []*onnx.Attribute{onnx.FloatAttr("steep", 3)}
	within := function("G", "a", "b", called("F", "a", "m", ref("steep", onnx.AttrFloat, "outer")), called("F", "m", "b"))
	within.Attributes = []string{"outer"}
	own := function("F", "a", "b", &onnx.Node{OpType: "Gelu", Domain: "com.microsoft", Inputs: []string{"a"}, Outputs: []string{"b"}})
	own.Opsets = append(own.Opsets, onnx.Opset{Domain: "com.microsoft", Version: 1})
	branching := function("F", "a c", "b", node("If", "c", "b", branches(
		graph("r", node("Neg", "a", "q"), node("Exp", "q", "r")), graph("r", node("Exp", "a", "q"), node("Neg", "q", "r")))...))
	listed := node("Reshape", "x s", "y", onnx.IntAttr("allowzero", 1))
	return map[string]*onnx.Model{
		"overload":          overloads(),
		"default attribute": model([]*onnx.Function{withDefault}, nil, called("F", "x", "y")),
		"given attribute":   model([]*onnx.Function{withDefault}, nil, called("F", "x", "y", onnx.FloatAttr("steep", 0.5))),
		"nested attribute":  model([]*onnx.Function{within, withDefault}, nil, called("G", "x", "y", onnx.FloatAttr("outer", 2))),
		"attribute left out": model([]*onnx.Function{within, function("F", "a", "b", node("Elu", "a", "b", ref("alpha", onnx.AttrFloat, "steep")))}, nil,
			called("G", "x", "y")),
		"input left out":     model([]*onnx.Function{function("F", "a low high", "b", node("Clip", "a low high", "b"))}, []*onnx.Tensor{onnx.NewFloat32s("one", nil, []float32{1})}, called("F", "x  one", "y")),
		"inputs left out":    model([]*onnx.Function{function("F", "a low high", "b", node("Clip", "a low high", "b"))}, nil, called("F", "x", "y")),
		"output left out":    model([]*onnx.Function{function("F", "a", "b c", node("Neg", "a", "b"), node("Exp", "a", "c"))}, nil, called("F", "x", " y")),
		"called twice":       model([]*onnx.Function{function("F", "x", "y", node("Exp", "x", "x_"), node("Neg", "x_", "y"))}, nil, called("F", "x", "x_"), called("F", "x_", "y")),
		"operator set added": model([]*onnx.Function{own}, nil, called("F", "x", "y")),
		"never called":       model([]*onnx.Function{within, withDefault}, nil, node("Neg", "x", "y")),
		"branches in a function": model([]*onnx.Function{branching}, []*onnx.Tensor{yes},
			node("Cast", "yes", "c", toBool), node("Not", "c", "d"), called("F", "x c", "m"), called("F", "m d", "y")),
		"a branch that runs by chance": model([]*onnx.Function{branching, function("G", "a", "b", node("Exp", "a", "q"), node("Neg", "q", "b"))}, nil,
			node("ReduceSum", "x", "sum", onnx.IntAttr("keepdims", 0)), node("Cast", "sum", "c", toBool),
			node("If", "c", "y", branches(graph("r", called("G", "x", "q"), called("G", "q", "r")), graph("r", called("G", "x", "r")))...)),
		"an If in an If": model(nil, []*onnx.Tensor{yes}, node("Cast", "yes", "c", toBool), node("Not", "c", "d"),
			node("If", "c", "y", branches(graph("r", node("Exp", "x", "q"), node("If", "d", "r", branches(graph("p", node("Neg", "q", "p")), graph("p", node("Exp", "q", "p")))...)),
				graph("r", node("Exp", "x", "r")))...)),
		"a condition out of an If": model(nil, []*onnx.Tensor{yes}, node("Cast", "yes", "c", toBool),
			node("If", "c", "d", branches(
				&onnx.Graph{Name: "a", Nodes: []*onnx.Node{node("Not", "c", "n")}, Outputs: []*onnx.ValueInfo{{Name: "n", ElemType: onnx.Bool}}},
				&onnx.Graph{Name: "b", Nodes: []*onnx.Node{node("Identity", "c", "n")}, Outputs: []*onnx.ValueInfo{{Name: "n", ElemType: onnx.Bool}}})...),
			node("If", "d", "y", branches(graph("r", node("Neg", "x", "r")), graph("r", node("Exp", "x", "r")))...)),
		"a branch that repeats": model(nil, []*onnx.Tensor{yes}, node("Cast", "yes", "c", toBool), node("Exp", "x", "e"),
			node("If", "c", "y", branches(graph("p", node("Identity", "e", "p")), graph("p", node("Neg", "x", "p")))...)),
		"a branch of a constant": model(nil, []*onnx.Tensor{yes}, node("Cast", "yes", "c", toBool),
			node("If", "c", "m", branches(&onnx.Graph{Name: "w", Initializers: []*onnx.Tensor{floats("w", 1, 2, 3)}, Nodes: []*onnx.Node{node("Identity", "w", "v")},
				Outputs: []*onnx.ValueInfo{{Name: "v", ElemType: onnx.Float32}}}, graph("v", node("Identity", "x", "v")))...),
			node("Add", "x m", "y")),
		"allowzero":        model(nil, []*onnx.Tensor{onnx.NewInt64s("s", []int64{2}, []int64{3, -1})}, listed),
		"constant numbers": model(nil, nil, node("Constant", "", "f", onnx.FloatAttr("value_float", 2)), node("Constant", "", "l", &onnx.Attribute{Name: "value_floats", Type: onnx.AttrFloats, Floats: []float32{1, 2, 3}}), node("Mul", "f l", "m"), node("Add", "x m", "y")),
		"unsorted":         model(nil, nil, node("Exp", "q", "y"), node("Neg", "p", "q"), node("Abs", "x", "p")),
	}
}

// TestPlainCases holds what Normalize gives to ONNX Runtime on the model as it
// was, to the bit. Only what it cannot know while reading is left.
func TestPlainCases(t *testing.T) {
	if err := startRuntime(); err != nil {
		t.Fatalf("no ONNX Runtime: %v; make build brings it", err)
	}
	for name, m := range plainCases() {
		t.Run(name, func(t *testing.T) {
			file, err := m.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if m, err = onnx.Parse(file, ""); err != nil {
				t.Fatal(err)
			}
			if err := m.Normalize(1000); err != nil {
				t.Fatal(err)
			}
			if _, err := onnx.NewIndex(m.Graph); err != nil {
				t.Fatal(err)
			}
			for _, n := range m.Graph.Nodes {
				if n.Domain == domain || n.Is("If") != (name == "a branch that runs by chance" && n.OpType == "If") || n.Attr("allowzero") != nil {
					t.Errorf("%s is left", n.Label())
				}
			}
			if len(m.Functions) > 0 {
				t.Error("functions are left")
			}
			plain, err := m.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			x := []float32{-2.5, -1, 0, 0.25, 1, 3}
			want := execute(t, file, "x", []int64{2, 3}, x, []string{"y"})
			sameBits(t, "y", execute(t, plain, "x", []int64{2, 3}, x, []string{"y"})[0], want[0])
		})
	}
}
