package model

import "github.com/trtdet/trtdet/model/onnx"

// FloatIO makes float16 inputs and outputs float32, with a Cast behind the
// input and before each output, for hosts that do not compute in halves. The
// arithmetic in between stays as it is.
func (n *Network) FloatIO() error {
	g := n.model.Graph
	if n.input.ElemType == onnx.Float16 {
		half := n.fresh(n.input.Name + "_half")
		rename(g, n.input.Name, half)
		g.Nodes = append([]*onnx.Node{castNode(n.input.Name, half, onnx.Float16)}, g.Nodes...)
		n.input.ElemType = onnx.Float32
	}
	for _, o := range g.Outputs {
		if o.ElemType == onnx.Float16 {
			n.castOutput(o.Name)
			o.ElemType = onnx.Float32
		}
	}
	return n.refresh()
}

// castOutput gives a half output back as float32 under its own name.
func (n *Network) castOutput(name string) {
	half := n.fresh(name + "_half")
	rename(n.model.Graph, name, half)
	n.model.Graph.Nodes = append(n.model.Graph.Nodes, castNode(half, name, onnx.Float32))
}

// rename gives a tensor another name wherever a node reads or writes it, also
// in the subgraphs that take it from outside.
func rename(g *onnx.Graph, from, to string) {
	for _, node := range g.Nodes {
		for i := range node.Inputs {
			if node.Inputs[i] == from {
				node.Inputs[i] = to
			}
		}
		for i := range node.Outputs {
			if node.Outputs[i] == from {
				node.Outputs[i] = to
			}
		}
		for _, a := range node.Attributes {
			for _, sub := range a.Subgraphs() {
				rename(sub, from, to)
				for _, o := range sub.Outputs {
					if o.Name == from {
						o.Name = to
					}
				}
			}
		}
	}
}
