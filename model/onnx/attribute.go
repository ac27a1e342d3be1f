package onnx

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// AttributeType says which of an Attribute's values counts.
type AttributeType int32

// The attribute types that are read; others are carried along.
const (
	AttrFloat   AttributeType = 1
	AttrInt     AttributeType = 2
	AttrString  AttributeType = 3
	AttrTensor  AttributeType = 4
	AttrGraph   AttributeType = 5
	AttrFloats  AttributeType = 6
	AttrInts    AttributeType = 7
	AttrStrings AttributeType = 8
	AttrTensors AttributeType = 9
	AttrGraphs  AttributeType = 10
)

// Attribute is one named constant of a node.
type Attribute struct {
	Name      string
	Type      AttributeType
	Float     float32
	Int       int64
	Bytes     []byte // a string
	Tensor    *Tensor
	Graph     *Graph
	Floats    []float32
	Ints      []int64
	Strings   [][]byte
	Tensors   []*Tensor
	Graphs    []*Graph
	DocString string
	// Ref, inside a function, names the attribute of the call whose value
	// counts here.
	Ref     string
	unknown []byte
}

func (r *reader) attribute(b []byte, depth int) (*Attribute, error) {
	a := &Attribute{}
	if err := r.take(1); err != nil {
		return nil, err
	}
	err := eachField("an attribute", b, func(f field) (err error) {
		switch {
		case f.num == 1 && f.isBytes():
			a.Name = string(f.bytes)
		case f.num == 2 && f.typ == protowire.Fixed32Type:
			a.Float = math.Float32frombits(uint32(f.num64))
		case f.num == 3 && f.isVarint():
			a.Int = int64(f.num64)
		case f.num == 4 && f.isBytes():
			a.Bytes = f.bytes
		case f.num == 5 && f.isBytes():
			a.Tensor, err = r.tensor(f.bytes)
		case f.num == 6 && f.isBytes():
			a.Graph, err = r.graph(f.bytes, depth+1)
		case f.num == 7 && f.typ == protowire.Fixed32Type:
			a.Floats = append(a.Floats, math.Float32frombits(uint32(f.num64)))
			err = r.take(1)
		case f.num == 7 && f.isBytes():
			for b := f.bytes; len(b) > 0; b = b[4:] {
				if len(b) < 4 {
					return invalid("attribute %q has a broken list of floats", a.Name)
				}
				v, _ := protowire.ConsumeFixed32(b)
				a.Floats = append(a.Floats, math.Float32frombits(v))
				if err := r.take(1); err != nil {
					return err
				}
			}
		case f.num == 8 && (f.isVarint() || f.isBytes()):
			a.Ints, err = r.appendVarints(a.Ints, f)
		case f.num == 9 && f.isBytes():
			a.Strings = append(a.Strings, f.bytes)
			err = r.take(1)
		case f.num == 10 && f.isBytes():
			var t *Tensor
			t, err = r.tensor(f.bytes)
			a.Tensors = append(a.Tensors, t)
		case f.num == 11 && f.isBytes():
			var g *Graph
			g, err = r.graph(f.bytes, depth+1)
			a.Graphs = append(a.Graphs, g)
		case f.num == 13 && f.isBytes():
			a.DocString = string(f.bytes)
		case f.num == 20 && f.isVarint():
			a.Type = AttributeType(f.num64)
		case f.num == 21 && f.isBytes():
			a.Ref = string(f.bytes)
		default:
			a.unknown = append(a.unknown, f.raw...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Attribute) write() *writer {
	w := &writer{}
	w.text(1, a.Name)
	if a.Ref == "" && a.Type == AttrFloat || a.Float != 0 {
		w.float(2, a.Float)
	}
	if a.Ref == "" && a.Type == AttrInt || a.Int != 0 {
		w.varint(3, a.Int)
	}
	if a.Ref == "" && a.Type == AttrString || len(a.Bytes) > 0 {
		w.blob(4, a.Bytes)
	}
	if a.Tensor != nil {
		w.message(5, a.Tensor.write())
	}
	if a.Graph != nil {
		w.message(6, a.Graph.write())
	}
	for _, v := range a.Floats {
		w.float(7, v)
	}
	for _, v := range a.Ints {
		w.varint(8, v)
	}
	writeStrings(w, 9, a.Strings)
	for _, t := range a.Tensors {
		w.message(10, t.write())
	}
	for _, g := range a.Graphs {
		w.message(11, g.write())
	}
	w.text(13, a.DocString)
	w.nonzero(20, int64(a.Type))
	w.text(21, a.Ref)
	w.raw(a.unknown)
	return w
}

// Subgraphs returns the graphs an attribute holds (If, Loop, Scan).
func (a *Attribute) Subgraphs() []*Graph {
	if a.Graph != nil {
		return append([]*Graph{a.Graph}, a.Graphs...)
	}
	return a.Graphs
}

// Attr returns the attribute of that name, nil where the node has none.
func (n *Node) Attr(name string) *Attribute {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Int returns an integer attribute, def where the node has none.
func (n *Node) Int(name string, def int64) int64 {
	if a := n.Attr(name); a != nil {
		return a.Int
	}
	return def
}

// Ints returns a list of integers, nil where the node has none.
func (n *Node) Ints(name string) []int64 {
	if a := n.Attr(name); a != nil {
		return a.Ints
	}
	return nil
}

// Text returns a string attribute, def where the node has none.
func (n *Node) Text(name, def string) string {
	if a := n.Attr(name); a != nil {
		return string(a.Bytes)
	}
	return def
}

// SetAttr adds a, in place of an attribute of the same name.
func (n *Node) SetAttr(a *Attribute) {
	for i, old := range n.Attributes {
		if old.Name == a.Name {
			n.Attributes[i] = a
			return
		}
	}
	n.Attributes = append(n.Attributes, a)
}

// IntAttr makes an integer attribute.
func IntAttr(name string, v int64) *Attribute {
	return &Attribute{Name: name, Type: AttrInt, Int: v}
}

// IntsAttr makes an attribute that is a list of integers.
func IntsAttr(name string, v ...int64) *Attribute {
	return &Attribute{Name: name, Type: AttrInts, Ints: v}
}

// FloatAttr makes a float attribute.
func FloatAttr(name string, v float32) *Attribute {
	return &Attribute{Name: name, Type: AttrFloat, Float: v}
}

// TextAttr makes a string attribute.
func TextAttr(name, v string) *Attribute {
	return &Attribute{Name: name, Type: AttrString, Bytes: []byte(v)}
}

// TensorAttr makes a tensor attribute.
func TensorAttr(name string, t *Tensor) *Attribute {
	return &Attribute{Name: name, Type: AttrTensor, Tensor: t}
}

// quote shortens a name from a file so that it fits an error line.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return strconv.Quote(s)
}

// DropAttr removes the attribute of that name.
func (n *Node) DropAttr(name string) {
	n.Attributes = filter(n.Attributes, func(_ int, a *Attribute) bool { return a.Name != name })
}
