package trt

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message being written: just enough of ONNX to make
// small networks without a file of anybody's.
type message []byte

func (m message) str(field protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), s)
}

func (m message) num(field protowire.Number, v int) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m message) sub(field protowire.Number, sub message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), sub)
}

// ONNX's TensorProto.DataType.
const (
	onnxFloat32  = 1
	onnxInt8     = 3
	onnxInt32    = 6
	onnxFloat16  = 10
	onnxBFloat16 = 16
	onnxFloat8   = 17 // E4M3FN
)

// graph is a network being written.
type graph struct {
	nodes, initializers, inputs, outputs []message
}

// attr is an INTS attribute.
type attr struct {
	name string
	ints []int
}

func (g *graph) node(op string, inputs []string, output string, attrs ...attr) {
	var m message
	for _, in := range inputs {
		m = m.str(1, in)
	}
	m = m.str(2, output).str(3, op+"_"+output).str(4, op)
	for _, a := range attrs {
		sub := message{}.str(1, a.name)
		for _, v := range a.ints {
			sub = sub.num(8, v)
		}
		m = m.sub(5, sub.num(20, 7)) // AttributeProto.INTS
	}
	g.nodes = append(g.nodes, m)
}

// weights adds an initializer whose raw data repeats one element.
func (g *graph) weights(name string, dtype int, element []byte, dims ...int) {
	count := 1
	m := message{}
	for _, d := range dims {
		m = m.num(1, d)
		count *= d
	}
	raw := make([]byte, 0, count*len(element))
	for range count {
		raw = append(raw, element...)
	}
	m = m.num(2, dtype).str(8, name)
	m = protowire.AppendBytes(protowire.AppendTag(m, 9, protowire.BytesType), raw)
	g.initializers = append(g.initializers, m)
}

func float32Bytes(v float32) []byte {
	return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
}

// valueInfo describes an input or output; -1 is a dynamic dimension.
func valueInfo(name string, dtype int, dims ...int) message {
	shape := message{}
	for _, d := range dims {
		if d < 0 {
			shape = shape.sub(1, message{}.str(2, "n"))
		} else {
			shape = shape.sub(1, message{}.num(1, d))
		}
	}
	tensor := message{}.num(1, dtype).sub(2, shape)
	return message{}.str(1, name).sub(2, message{}.sub(1, tensor))
}

func (g *graph) bytes() []byte {
	m := message{}
	for _, n := range g.nodes {
		m = m.sub(1, n)
	}
	m = m.str(2, "test")
	for _, t := range g.initializers {
		m = m.sub(5, t)
	}
	for _, v := range g.inputs {
		m = m.sub(11, v)
	}
	for _, v := range g.outputs {
		m = m.sub(12, v)
	}
	opset := message{}.str(1, "").num(2, 19)
	return message{}.num(1, 9).sub(7, m).sub(8, opset)
}

// write puts the network into a file of its own.
func (g *graph) write(t testing.TB) string {
	t.Helper()
	return writeFile(t, "net.onnx", g.bytes())
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// convNet is images (batch,3,size,size) -> Conv 3x3 to 8 channels -> Relu ->
// Conv 1x1 to 6 -> maps (batch,6,size,size).
func convNet(batch, size int) *graph {
	g := &graph{}
	g.inputs = append(g.inputs, valueInfo("images", onnxFloat32, batch, 3, size, size))
	g.weights("w1", onnxFloat32, float32Bytes(0.25), 8, 3, 3, 3)
	g.weights("w2", onnxFloat32, float32Bytes(-0.5), 6, 8, 1, 1)
	g.node("Conv", []string{"images", "w1"}, "c1", attr{"pads", []int{1, 1, 1, 1}})
	g.node("Relu", []string{"c1"}, "r1")
	g.node("Conv", []string{"r1", "w2"}, "maps")
	g.outputs = append(g.outputs, valueInfo("maps", onnxFloat32, batch, 6, size, size))
	return g
}
