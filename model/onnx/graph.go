package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Graph is a list of nodes in topological order and the values they start from.
type Graph struct {
	Name         string
	Nodes        []*Node
	Initializers []*Tensor
	DocString    string
	Inputs       []*ValueInfo
	Outputs      []*ValueInfo
	ValueInfo    []*ValueInfo
	unknown      []byte
}

// Node applies one operator. An empty input or output name is an optional one
// that is left out.
type Node struct {
	Name       string
	OpType     string
	Domain     string
	Overload   string // of a local function
	Inputs     []string
	Outputs    []string
	Attributes []*Attribute
	DocString  string
	unknown    []byte
}

// Dim is one dimension of a value's shape: a number, a named parameter, or
// neither.
type Dim struct {
	Value      int64 // meaningful where Known
	Known      bool
	Param      string
	Denotation string
}

// ValueInfo declares the type of a graph's input, output or inner value.
type ValueInfo struct {
	Name      string
	ElemType  DataType // 0 where the value is not a dense tensor
	Shape     []Dim
	HasShape  bool // false: not even the rank is known
	DocString string
	other     []byte // the type of a value that is not a dense tensor
	unknown   []byte
}

func (r *reader) graph(b []byte, depth int) (*Graph, error) {
	if depth > maxNesting {
		return nil, invalid("graphs are nested deeper than %d", maxNesting)
	}
	g := &Graph{}
	err := eachField("the graph", b, func(f field) error {
		if !f.isBytes() {
			g.unknown = append(g.unknown, f.raw...)
			return nil
		}
		switch f.num {
		case 1:
			n, err := r.node(f.bytes, depth)
			g.Nodes = append(g.Nodes, n)
			return err
		case 2:
			g.Name = string(f.bytes)
		case 5:
			t, err := r.tensor(f.bytes)
			g.Initializers = append(g.Initializers, t)
			return err
		case 10:
			g.DocString = string(f.bytes)
		case 11, 12, 13:
			v, err := r.valueInfo(f.bytes)
			switch f.num {
			case 11:
				g.Inputs = append(g.Inputs, v)
			case 12:
				g.Outputs = append(g.Outputs, v)
			default:
				g.ValueInfo = append(g.ValueInfo, v)
			}
			return err
		default:
			g.unknown = append(g.unknown, f.raw...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Graph) write() *writer {
	w := &writer{}
	for _, n := range g.Nodes {
		w.message(1, n.write())
	}
	w.text(2, g.Name)
	for _, t := range g.Initializers {
		w.message(5, t.write())
	}
	w.text(10, g.DocString)
	for _, v := range g.Inputs {
		w.message(11, v.write())
	}
	for _, v := range g.Outputs {
		w.message(12, v.write())
	}
	for _, v := range g.ValueInfo {
		w.message(13, v.write())
	}
	w.raw(g.unknown)
	return w
}

func (r *reader) node(b []byte, depth int) (*Node, error) {
	n := &Node{}
	if err := r.take(1); err != nil {
		return nil, err
	}
	err := eachField("a node", b, func(f field) error {
		if !f.isBytes() {
			n.unknown = append(n.unknown, f.raw...)
			return nil
		}
		switch f.num {
		case 1:
			n.Inputs = append(n.Inputs, string(f.bytes))
			return r.take(1)
		case 2:
			n.Outputs = append(n.Outputs, string(f.bytes))
			return r.take(1)
		case 3:
			n.Name = string(f.bytes)
		case 4:
			n.OpType = string(f.bytes)
		case 5:
			a, err := r.attribute(f.bytes, depth)
			n.Attributes = append(n.Attributes, a)
			return err
		case 6:
			n.DocString = string(f.bytes)
		case 7:
			n.Domain = string(f.bytes)
		case 8:
			n.Overload = string(f.bytes)
		default:
			n.unknown = append(n.unknown, f.raw...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Node) write() *writer {
	w := &writer{}
	writeNames(w, 1, n.Inputs)
	writeNames(w, 2, n.Outputs)
	w.text(3, n.Name)
	w.text(4, n.OpType)
	for _, a := range n.Attributes {
		w.message(5, a.write())
	}
	w.text(6, n.DocString)
	w.text(7, n.Domain)
	w.text(8, n.Overload)
	w.raw(n.unknown)
	return w
}

// Is reports whether n is one of ONNX's own operators of the given names.
func (n *Node) Is(ops ...string) bool {
	if n == nil || !isDefaultDomain(n.Domain) {
		return false
	}
	for _, op := range ops {
		if n.OpType == op {
			return true
		}
	}
	return false
}

// Input returns the name of input i, empty where it is left out.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Label names the node for an error message: its operator with its name, or
// with its first output where it has no name.
func (n *Node) Label() string {
	name := n.Name
	if name == "" {
		for _, o := range n.Outputs {
			if o != "" {
				name = o
				break
			}
		}
	}
	return n.OpType + " " + quote(name)
}

func (r *reader) valueInfo(b []byte) (*ValueInfo, error) {
	v := &ValueInfo{}
	if err := r.take(1); err != nil {
		return nil, err
	}
	err := eachField("a value_info", b, func(f field) error {
		switch {
		case f.num == 1 && f.isBytes():
			v.Name = string(f.bytes)
		case f.num == 2 && f.isBytes():
			return r.valueType(v, f.bytes)
		case f.num == 3 && f.isBytes():
			v.DocString = string(f.bytes)
		default:
			v.unknown = append(v.unknown, f.raw...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// valueType reads a TypeProto. What is not a plain tensor is carried along.
func (r *reader) valueType(v *ValueInfo, b []byte) error {
	return eachField("a type", b, func(f field) error {
		if f.num != 1 || !f.isBytes() {
			v.other = append(v.other, f.raw...)
			return nil
		}
		return eachField("a tensor type", f.bytes, func(f field) error {
			switch {
			case f.num == 1 && f.isVarint():
				v.ElemType = DataType(f.num64)
			case f.num == 2 && f.isBytes():
				v.HasShape = true
				return eachField("a shape", f.bytes, func(f field) error {
					if f.num != 1 || !f.isBytes() {
						return nil
					}
					d, err := readDim(f.bytes)
					v.Shape = append(v.Shape, d)
					if err != nil {
						return err
					}
					return r.take(1)
				})
			}
			return nil
		})
	})
}

func readDim(b []byte) (d Dim, err error) {
	err = eachField("a dimension", b, func(f field) error {
		switch {
		case f.num == 1 && f.isVarint():
			d.Value, d.Known, d.Param = int64(f.num64), true, ""
		case f.num == 2 && f.isBytes():
			d.Value, d.Known, d.Param = 0, false, string(f.bytes)
		case f.num == 3 && f.isBytes():
			d.Denotation = string(f.bytes)
		}
		return nil
	})
	return d, err
}

func (v *ValueInfo) write() *writer {
	w := &writer{}
	w.text(1, v.Name)
	if v.ElemType != 0 || v.HasShape || len(v.other) > 0 {
		typ := &writer{}
		if v.ElemType != 0 || v.HasShape {
			tensor := &writer{}
			tensor.nonzero(1, int64(v.ElemType))
			if v.HasShape {
				shape := &writer{}
				for _, d := range v.Shape {
					dim := &writer{}
					switch {
					case d.Known:
						dim.varint(1, d.Value)
					case d.Param != "":
						dim.text(2, d.Param)
					}
					dim.text(3, d.Denotation)
					shape.message(1, dim)
				}
				tensor.message(2, shape)
			}
			typ.message(1, tensor)
		}
		typ.raw(v.other)
		w.message(2, typ)
	}
	w.text(3, v.DocString)
	w.raw(v.unknown)
	return w
}

// writeStrings writes every element, empty ones too.
func writeStrings(w *writer, num protowire.Number, list [][]byte) {
	for _, s := range list {
		w.blob(num, s)
	}
}
