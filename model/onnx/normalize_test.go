package onnx

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// node makes a node of names apart by spaces.
func node(op, inputs, outputs string, attributes ...*Attribute) *Node {
	return &Node{OpType: op, Inputs: strings.Fields(inputs), Outputs: strings.Fields(outputs), Attributes: attributes}
}

// called makes a node that calls a local function.
func called(name, inputs, outputs string, attributes ...*Attribute) *Node {
	n := node(name, inputs, outputs, attributes...)
	n.Domain = "f"
	return n
}

func function(name, inputs, outputs string, nodes ...*Node) *Function {
	return &Function{Domain: "f", Name: name, Inputs: strings.Fields(inputs), Outputs: strings.Fields(outputs), Nodes: nodes, Opsets: []Opset{{Version: 18}}}
}

// model makes a model of x and y.
func model(nodes []*Node, functions ...*Function) *Model {
	return &Model{
		IRVersion: 10, Opsets: []Opset{{Version: 18}, {Domain: "f", Version: 1}}, Functions: functions,
		Graph: &Graph{Name: "g", Nodes: nodes, Inputs: []*ValueInfo{{Name: "x", ElemType: Float32}}, Outputs: []*ValueInfo{{Name: "y", ElemType: Float32}}},
	}
}

func branches(then, or *Graph) []*Attribute {
	return []*Attribute{{Name: "then_branch", Type: AttrGraph, Graph: then}, {Name: "else_branch", Type: AttrGraph, Graph: or}}
}

func graph(output string, nodes ...*Node) *Graph {
	return &Graph{Nodes: nodes, Outputs: []*ValueInfo{{Name: output}}}
}

// normal reads what m is written as and makes it normal.
func normal(t testing.TB, m *Model, maxNodes int) (*Model, error) {
	t.Helper()
	m, err := Parse(marshal(t, m), "")
	if err != nil {
		t.Fatal(err)
	}
	return m, m.Normalize(maxNodes)
}

// text lists the nodes of a graph, those of branches in brackets.
func text(g *Graph) string {
	var list []string
	for _, n := range g.Nodes {
		s := fmt.Sprintf("%s=%s(%s)", strings.Join(n.Outputs, ","), n.OpType, strings.Join(n.Inputs, ","))
		for _, a := range n.Attributes {
			for _, sub := range a.Subgraphs() {
				s += "[" + text(sub) + "]"
			}
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

func TestSortedNodes(t *testing.T) {
	branch := graph("r", node("B", "q", "r"), node("A", "x late", "q"))
	for want, nodes := range map[string][]*Node{
		"a=A(x) b=B(x) y=C(a,b)": {node("A", "x", "a"), node("B", "x", "b"), node("C", "a b", "y")},
		"b=B(x) a=A(x) y=C(b)":   {node("B", "x", "b"), node("A", "x", "a"), node("C", "b", "y")},
		// a node comes as late as it can: in front of the one that needs it
		"a=A(x) c=C(a) d=D(c) b=B(x) y=E(d,b)": {node("A", "x", "a"), node("D", "c", "d"), node("E", "d b", "y"), node("C", "a", "c"), node("B", "x", "b")},
		// branches are in order, and what they read comes before them
		"late=A(x) y=If(x)[q=A(x,late) r=B(q)][r=Neg(x)]": {node("If", "x", "y", branches(branch, graph("r", node("Neg", "x", "r")))...), node("A", "x", "late")},
	} {
		m, err := normal(t, model(nodes), 100)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(m.Graph); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if _, err := NewIndex(m.Graph); err != nil {
			t.Error(err)
		}
	}
	for words, nodes := range map[string][]*Node{
		`B "b" uses "a", which nothing before it makes`: {node("B", "a", "b"), node("A", "b", "a")},
		`A "a" uses "q", which nothing before it makes`: {node("B", "a", "y"), node("A", "q", "a")},
		`A "a" makes "a", which is already made`:        {node("B", "a", "y"), node("A", "x", "a"), node("A", "x", "a")},
	} {
		m, err := normal(t, model(nodes), 100)
		if err == nil {
			_, err = NewIndex(m.Graph)
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %s", err, words)
		}
	}
}

func TestInlinedFunctions(t *testing.T) {
	ints := function("F", "a", "b", node("Constant", "", "s", &Attribute{Name: "value_ints", Type: AttrInts, Ref: "shape"}), node("Reshape", "a s", "b"))
	twice := function("F", "a", "b", node("A", "a", "m"), node("B", "m", "b"))
	outer := function("G", "a", "b", called("F", "a", "m"), called("F", "m", "b"))
	for want, m := range map[string]*Model{
		"s=Constant() y=Reshape(x,s)":         model([]*Node{called("F", "x", "y", IntsAttr("shape", 3, -1))}, ints),
		"m=A(x) q=B(m) m_1=A(q) y=B(m_1)":     model([]*Node{called("F", "x", "q"), called("F", "q", "y")}, twice),
		"m_1=A(x) m=B(m_1) m_2=A(m) y=B(m_2)": model([]*Node{called("G", "x", "y")}, outer, twice),
		"y=Identity(x)":                       model([]*Node{called("F", "x", "y")}, function("F", "a", "a")),
		"y=A(x) z=Identity(y)":                model([]*Node{called("F", "x", "y z")}, function("F", "a", "b b", node("A", "a", "b"))),
		"y=A(x)":                              model([]*Node{called("F", "x", "y")}, function("F", "a b c", "d", node("A", "a b c", "d"))),
		"r=A(x) y=If(x)[m_2=A(x) q=B(m_2)][m=Neg(x) q_1=A(r)]": model([]*Node{node("A", "x", "r"), called("H", "x r", "y")}, twice, function("H", "a c", "b", node("If", "a", "b", branches(graph("q", called("F", "a", "q")), graph("q", node("Neg", "a", "m"), node("A", "c", "q")))...))),
	} {
		m, err := normal(t, m, 100)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := text(m.Graph); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if len(m.Functions) > 0 || m.Opset("f") != 0 {
			t.Errorf("%s: functions or their operator set are left", want)
		}
	}
	m, err := normal(t, model([]*Node{called("F", "x", "y", IntsAttr("shape", 3, -1))}, ints), 100)
	if err != nil {
		t.Fatal(err)
	}
	if shape, err := m.Graph.Nodes[0].Attr("value").Tensor.Int64s(); err != nil || !slices.Equal(shape, []int64{3, -1}) {
		t.Errorf("the shape of the call is %v, %v", shape, err)
	}
}

// growing is a small file of very many nodes: each function calls the next one
// twice.
func growing(depth int) *Model {
	m := model([]*Node{called("F0", "x", "y")})
	for i := range depth {
		next := fmt.Sprint("F", i+1)
		m.Functions = append(m.Functions, function(fmt.Sprint("F", i), "a", "b", called(next, "a", "m"), called(next, "m", "b")))
	}
	m.Functions = append(m.Functions, function(fmt.Sprint("F", depth), "a", "b", node("A", "a", "b")))
	return m
}

// hostile are functions that no runtime could inline, by a word of the error.
func hostile() map[string]*Model {
	chain := model([]*Node{called("F0", "x", "y")})
	for i := range 2 * maxCalls {
		chain.Functions = append(chain.Functions, function(fmt.Sprint("F", i), "a", "b", called(fmt.Sprint("F", i+1), "a", "b")))
	}
	chain.Functions = append(chain.Functions, function(fmt.Sprint("F", 2*maxCalls), "a", "b", node("A", "a", "b")))
	// 2^30 calls of no node
	nothing := model([]*Node{called("F0", "x", ""), node("A", "x", "y")}, function("F30", "a", ""))
	for i := range 30 {
		next := fmt.Sprint("F", i+1)
		nothing.Functions = append(nothing.Functions, function(fmt.Sprint("F", i), "a", "", called(next, "a", ""), called(next, "a", "")))
	}
	broad := node("A", strings.Repeat("a ", 5000), "b")
	numbers := node("A", "a", "b", IntsAttr("long", make([]int64, 10_000)...))
	many := func(n *Node) *Model {
		m := model(nil, function("F", "a", "b", n))
		for i := range 1000 {
			m.Graph.Nodes = append(m.Graph.Nodes, called("F", "x", fmt.Sprint("y", i)))
		}
		return m
	}
	older := function("F", "a", "b", node("A", "a", "b"))
	older.Opsets[0].Version = 11
	builtin := function("Relu", "a", "b", node("Neg", "a", "b"))
	builtin.Domain = "ai.onnx"
	simple := function("F", "a", "b", node("A", "a", "b"))
	call := []*Node{called("F", "x", "y")}
	return map[string]*Model{
		`local function "F" calls itself`:                         model(call, function("F", "a", "b", called("F", "a", "b"))),
		`local function "F" calls itself;`:                        model(call, function("F", "a", "b", called("G", "a", "b")), function("G", "a", "b", called("F", "a", "b"))),
		`local function "F" calls itself; twice`:                  model(call, function("F", "a", "b", node("If", "a", "b", branches(graph("q", called("F", "a", "q")), graph("q", node("A", "a", "q")))...))),
		"deeper than 64":                                          chain,
		"more than 10000 nodes":                                   growing(30),
		"parts with its functions inlined":                        nothing,
		"parts with its functions inlined;":                       many(broad),
		"parts with its functions inlined; many":                  many(numbers),
		`version 11 of operator set "", the model for version 18`: model(call, older),
		"among ONNX's own operators":                              model([]*Node{node("Relu", "x", "y")}, builtin),
		"is there twice":                                          model(call, simple, simple),
		"has 2 inputs and 1 outputs":                              model([]*Node{called("F", "x x", "y")}, simple),
		"has 1 inputs and 2 outputs":                              model([]*Node{called("F", "x", "y z")}, simple),
		`uses "x", which nothing in it makes`:                     model(call, function("F", "a", "b", node("A", "x", "b"))),
		`uses "b", which nothing in it makes`:                     model(call, function("F", "a", "b")),
		"is an input that is left out":                            model([]*Node{called("F", "", "y")}, function("F", "a", "a")),
		"stands in none":                                          model([]*Node{node("A", "x", "y", &Attribute{Name: "a", Ref: "b"})}),
	}
}

func TestHostileFunctions(t *testing.T) {
	for name, m := range hostile() {
		words, _, _ := strings.Cut(name, ";")
		if _, err := normal(t, m, 10_000); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBranchesTaken(t *testing.T) {
	number := func(name string, v int64) *Tensor { return NewInt64s(name, nil, []int64{v}) }
	toBool := IntAttr("to", int64(Bool))
	truth := func(typ DataType, raw ...byte) *Tensor { return &Tensor{Name: "c", DataType: typ, raw: raw} }
	choose := node("If", "c", "y", branches(graph("q", node("A", "x", "q")), graph("q", node("B", "x", "q")))...)
	for want, tensors := range map[string][]*Tensor{
		"y=A(x)": {truth(Bool, 1), number("c", 3), truth(Float32, 0, 0, 0, 63), truth(Float32, 0, 0, 192, 127), truth(Float16, 0, 60)},
		"y=B(x)": {truth(Bool, 0), number("c", 0), truth(Float32, 0, 0, 0, 0)},
		// not one element, or one that is not known to survive rounding
		"y=If(c)[q=A(x)][q=B(x)]": {NewInt64s("c", []int64{2}, []int64{1, 1}), truth(Float64, 1, 0, 0, 0, 0, 0, 0, 0), truth(Int4, 1)},
	} {
		for _, c := range tensors {
			m := model([]*Node{choose})
			m.Graph.Initializers = []*Tensor{c}
			m, err := normal(t, m, 100)
			if err != nil {
				t.Fatal(err)
			}
			if got := text(m.Graph); got != want {
				t.Errorf("%s %v: got %s, want %s", c.DataType, c.Dims, got, want)
			}
		}
	}
	for want, nodes := range map[string][]*Node{
		"c=Constant() y=A(x)":                             {node("Constant", "", "c", IntAttr("value_int", 1)), choose},
		"d=Constant() e=Cast(d) f=Not(e) c=Not(f) y=A(x)": {node("Constant", "", "d", FloatAttr("value_float", 0.5)), node("Cast", "d", "e", toBool), node("Not", "e", "f"), node("Not", "f", "c"), choose},
		// a Cast to whole numbers makes 0 of 0.5
		"d=Constant() c=Cast(d) y=If(c)[q=A(x)][q=B(x)]": {node("Constant", "", "d", FloatAttr("value_float", 0.5)), node("Cast", "d", "c", IntAttr("to", int64(Int64))), choose},
		"c=ReduceSum(x) y=If(c)[q=A(x)][q=B(x)]":         {node("ReduceSum", "x", "c"), choose},
		"c=Constant() q=A(x) q_1=B(x) z=C(q_1) y=D(q,z)": {node("Constant", "", "c", IntAttr("value_int", 0)), node("A", "x", "q"), node("If", "c", "z", branches(graph("r", node("A", "x", "r")), graph("r", node("B", "x", "q"), node("C", "q", "r")))...), node("D", "q z", "y")},
	} {
		m, err := normal(t, model(nodes), 100)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(m.Graph); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// shapes lists what a graph declares.
func shapes(g *Graph) string {
	var list []string
	g.eachShape(func(shape []Dim) {
		for _, d := range shape {
			switch {
			case d.Known:
				list = append(list, fmt.Sprint(d.Value))
			case d.Param != "":
				list = append(list, d.Param)
			default:
				list = append(list, "?")
			}
		}
		list = append(list, "|")
	})
	return strings.Join(list, " ")
}

func TestDeclaredDimensions(t *testing.T) {
	value := func(name string, sizes ...any) *ValueInfo {
		v := &ValueInfo{Name: name, ElemType: Float32, HasShape: true}
		for _, s := range sizes {
			switch s := s.(type) {
			case int:
				v.Shape = append(v.Shape, Dim{Known: true, Value: int64(s)})
			case string:
				v.Shape = append(v.Shape, Dim{Param: s})
			}
		}
		return v
	}
	for want, g := range map[string]*Graph{
		"? 3 ? ? | ? 8 | ? 4 |":            {Inputs: []*ValueInfo{value("x", -1, 3, -7, -1<<40)}, Outputs: []*ValueInfo{value("y", -1, 8)}, ValueInfo: []*ValueInfo{value("v", -1, 4)}},
		"1 3 0 64 | |":                     {Inputs: []*ValueInfo{value("x", 1, 3, 0, 64)}, Outputs: []*ValueInfo{value("y")}},
		"b 3 h w | b h w |":                {Inputs: []*ValueInfo{value("x", "b", 3, "h", "w")}, Outputs: []*ValueInfo{value("y", "b", "h", "w")}},
		"b 3 size size_1 | b ? ? | ? |":    {Inputs: []*ValueInfo{value("x", "b", 3, "size", "size")}, Outputs: []*ValueInfo{value("y", "b", "size", "size")}, ValueInfo: []*ValueInfo{value("v", "size")}},
		"n 3 n_2 n_3 | n_1 ? |":            {Inputs: []*ValueInfo{value("x", "n", 3, "n", "n")}, Outputs: []*ValueInfo{value("y", "n_1", "n")}},
		"b 3 s h | b ? ? | b 8 |":          {Inputs: []*ValueInfo{value("x", "b", 3, "s", "h")}, Outputs: []*ValueInfo{value("y", "b", "g", "g")}, ValueInfo: []*ValueInfo{value("v", "b", 8)}},
		"b s t | s |":                      {Inputs: []*ValueInfo{value("x", "b", "s", "t")}, Outputs: []*ValueInfo{value("y", "s")}},
		"b 3 s w | ? ? |":                  {Inputs: []*ValueInfo{value("x", "b", 3, "s", "w")}, Outputs: []*ValueInfo{value("y", "r", "r")}},
		"b 3 size size_1 | b size w | ? |": {Inputs: []*ValueInfo{value("x", "b", 3, "size", "size"), value("z", "b", "size", "w")}, Outputs: []*ValueInfo{value("y", "size")}},
	} {
		declareFreely(g)
		if got := shapes(g); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAllowZero(t *testing.T) {
	for _, c := range []struct {
		shape []int64
		left  bool
	}{{[]int64{1, -1}, false}, {[]int64{1, 0, 3}, true}, {nil, false}, {make([]int64, 1000), true}} {
		m := model([]*Node{node("Reshape", "x s", "y", IntAttr("allowzero", 1))})
		m.Graph.Initializers = []*Tensor{NewInt64s("s", []int64{int64(len(c.shape))}, c.shape)}
		m, err := normal(t, m, 100)
		if err != nil {
			t.Fatal(err)
		}
		if left := m.Graph.Nodes[0].Attr("allowzero") != nil; left != c.left {
			t.Errorf("%v: allowzero is left: %v", c.shape, left)
		}
	}
	// what is not a constant may hold a 0
	m, err := normal(t, model([]*Node{node("Shape", "x", "s"), node("Reshape", "x s", "y", IntAttr("allowzero", 1))}), 100)
	if err != nil || m.Graph.Nodes[1].Attr("allowzero") == nil {
		t.Errorf("allowzero of a computed shape is gone: %v", err)
	}
}

// A model that is plain already is written as it was read.
func TestNormalIsNotChanged(t *testing.T) {
	m := sample()
	m.Functions = nil
	want := marshal(t, m)
	if m, err := normal(t, m, 100); err != nil || !bytes.Equal(marshal(t, m), want) {
		t.Errorf("it changed: %v", err)
	}
}

// odd models have something of everything that Normalize changes.
func odd() []*Model {
	toBool := IntAttr("to", int64(Bool))
	inner := function("F", "a", "b", node("A", "a", "m", &Attribute{Name: "alpha", Type: AttrFloat, Ref: "steep"}), node("B", "m", "b"))
	inner.Defaults = []*Attribute{FloatAttr("steep", 2)}
	first := model([]*Node{
		node("Reshape", "q s", "y", IntAttr("allowzero", 1)), called("F", "x", "p"), called("F", "p", "q", FloatAttr("steep", 1)),
		node("If", "c", "i", branches(graph("m", node("B", "n", "m"), node("A", "p", "n")), graph("m", called("F", "p", "m")))...),
		node("Cast", "s1", "c", toBool),
	}, inner)
	first.Graph.Initializers = []*Tensor{NewInt64s("s", []int64{2}, []int64{1, -1}), NewInt64s("s1", nil, []int64{1})}
	first.Graph.Inputs[0].HasShape, first.Graph.Inputs[0].Shape = true, []Dim{{Known: true, Value: -1}, {Param: "size"}, {Param: "size"}}
	list := []*Model{first, growing(5)}
	for _, m := range hostile() {
		list = append(list, m)
	}
	return list
}

// checkNormalize wants an error of its kind, or a model that is plain and
// stays as it is a second time.
func checkNormalize(t *testing.T, m *Model) {
	const maxNodes = 2000
	if err := m.Normalize(maxNodes); err != nil {
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("error of another kind: %v", err)
		}
		return
	}
	nodes := 0
	for g := range m.Graph.graphs() {
		nodes += len(g.Nodes)
	}
	if nodes > maxNodes || len(m.Functions) > 0 {
		t.Fatalf("%d nodes and %d functions are left", nodes, len(m.Functions))
	}
	if _, err := NewIndex(m.Graph); err != nil {
		return
	}
	once := marshal(t, m)
	again, err := Parse(once, "")
	if err == nil {
		err = again.Normalize(maxNodes)
	}
	if err != nil {
		t.Fatalf("what was made normal is refused: %v", err)
	}
	if !bytes.Equal(marshal(t, again), once) {
		t.Fatal("a second time gives another model")
	}
}

func TestNormalizeTwice(t *testing.T) {
	for _, m := range odd() {
		checkNormalize(t, m)
	}
}
