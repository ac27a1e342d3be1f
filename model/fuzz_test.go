package model

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/model/onnx"
)

// smallNet makes a detector for one test, with what its user has to say.
type smallNet struct {
	make  func() *small
	hints *Hints
}

// smallNets are detectors of each way of building that the little builder
// knows.
func smallNets() []smallNet {
	two := &Hints{Anchors: twoAnchors}
	nets := []smallNet{
		{func() *small { return heads(true, 1, 3, 64, 96) }, two},
		{func() *small { return heads(false, 1, 3, 64, 64) }, two},
		{func() *small { return heads(false, "b", 3, "h", "w") }, two},
		{func() *small { return fiveD(1, 2, 8, 16, 16) }, oneLevel},
		{func() *small { return fiveD(-1, 2, 8, 16, 16) }, oneLevel},
		{resized, oneLevel},
		{quantized, two},
		{func() *small { return mixed(1, "b", 3, "h", "w") }, two},
		{func() *small { return mixed(2, 1, 3, 64, 96) }, two},
	}
	// one head behind each of the tails
	for i, way := range tails {
		nets = append(nets, smallNet{func() *small {
			net := heading(rand.New(rand.NewPCG(uint64(i), 11)))
			outputs, _ := way.make(net)
			for _, name := range outputs {
				net.output(name)
			}
			return net.small
		}, nil})
	}
	return nets
}

// mixed makes a head in every odd way at once.
func mixed(seed uint64, input ...any) *small {
	o := &odd{rng: rand.New(rand.NewPCG(seed, 0)), s: heads(true, input...)}
	o.s.m.SetOpset("", 18)
	for _, i := range []int{5, 7, 6, 4, 7, 3, 2, 1, 0} {
		oddities[i].edit(o)
	}
	return o.s
}

// resized makes a head behind a Resize to a constant size, which names the
// batch.
func resized() *small {
	s := newSmall(1, 3, 64, 64)
	x := s.node("Resize", []string{s.backbone()[1], "", "", s.ints(1, 8, 16, 16)}, onnx.TextAttr("mode", "nearest"))
	s.output(s.conv(x, 8, 16, 1, 1))
	return s
}

// quantized makes a head whose maps went through Q/DQ.
func quantized() *small {
	s := heads(true, 1, 3, 64, 96)
	s.m.Graph.Initializers = append(s.m.Graph.Initializers, onnx.NewFloat32s("scale", nil, []float32{0.1}))
	for i, o := range s.m.Graph.Outputs {
		q := s.node("QuantizeLinear", []string{o.Name, "scale"})
		s.m.Graph.Outputs[i] = &onnx.ValueInfo{Name: s.node("DequantizeLinear", []string{q, "scale"}), ElemType: onnx.Float32}
	}
	return s
}

// mutate changes the graph as program says, three bytes a change, and gives
// the model's bytes.
func mutate(t *testing.T, m *onnx.Model, program []byte) []byte {
	g := m.Graph
	for ; len(program) >= 3 && len(g.Nodes) > 0; program = program[3:] {
		change, at, value := program[0], int(program[1]), program[2]
		n, other := g.Nodes[at%len(g.Nodes)], g.Nodes[int(value)%len(g.Nodes)]
		number := []int64{0, 1, -1, 2, 3, 8, 16, 64, 1 << 31, math.MaxInt64, math.MinInt64}[value%11]
		switch change % 14 {
		case 0:
			n.Outputs = n.Outputs[:min(len(n.Outputs), int(value%2))]
		case 1:
			n.Outputs = append(n.Outputs, fmt.Sprint("extra", len(program)))
		case 2:
			if len(n.Inputs) > 0 && len(other.Outputs) > 0 {
				n.Inputs[at%len(n.Inputs)] = other.Outputs[0]
			}
		case 3:
			n.Inputs = append(n.Inputs, "images")
		case 4:
			n.Inputs = n.Inputs[:min(len(n.Inputs), int(value%4))]
		case 5:
			n.OpType = []string{"Reshape", "Resize", "Concat", "Transpose", "Cast", "Shape", "Split", "TopK", "Constant", "Gather", "If", "Where", "ReduceMax", "Range"}[value%14]
		case 6:
			for _, a := range n.Attributes {
				a.Int = number
				if len(a.Ints) > 0 {
					a.Ints[at%len(a.Ints)] = number
				}
			}
		case 7:
			for _, a := range n.Attributes {
				a.Ints = a.Ints[:min(len(a.Ints), int(value%5))]
			}
		case 8:
			if len(g.Initializers) > 0 {
				w := g.Initializers[at%len(g.Initializers)]
				if values, err := w.Int64s(); err == nil && len(values) > 0 {
					values[int(value)%len(values)] = number
					w.SetInt64s(w.Dims, values)
				} else {
					slices.Reverse(w.Dims)
				}
			}
		case 9:
			g.Nodes = slices.Delete(g.Nodes, at%len(g.Nodes), at%len(g.Nodes)+1)
		case 10:
			if s := g.Inputs[0].Shape; len(s) > 0 {
				s[at%len(s)] = onnx.Dim{Known: value%2 == 0, Value: number}
			}
		case 11:
			if len(other.Outputs) > 0 {
				g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: other.Outputs[0], ElemType: onnx.Float32})
			}
		case 12:
			g.Outputs = slices.Delete(g.Outputs, 0, min(1, len(g.Outputs)))
		case 13:
			g.ValueInfo = append(g.ValueInfo, &onnx.ValueInfo{Name: "t" + fmt.Sprint(at), ElemType: onnx.DataType(value % 24),
				HasShape: true, Shape: dims(int(value), at)})
		}
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzEdit takes small nets through changes of their graphs and then through
// every edit: cut, batch, half, float inputs and outputs.
func FuzzEdit(f *testing.F) {
	for i := range smallNets() {
		for order := range uint8(6) {
			f.Add(uint8(i), order, []byte{})
		}
		f.Add(uint8(i), uint8(0), []byte{2, 7, 3, 11, 0, 9})
	}
	f.Add(uint8(3), uint8(0), []byte{8, 40, 1, 6, 22, 2})
	f.Fuzz(func(t *testing.T, net, order uint8, program []byte) {
		nets := smallNets()
		c := nets[int(net)%len(nets)]
		if b := mutate(t, c.make().m, program[:min(len(program), 60)]); len(b) > 0 {
			checkEdits(t, b, c.hints, order)
		}
	})
}

// FuzzLoad takes any bytes through reading and every edit.
func FuzzLoad(f *testing.F) {
	for i, c := range smallNets() {
		b, err := c.make().m.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, order uint8) { checkEdits(t, b, &Hints{Anchors: twoAnchors}, order) })
}

// checkEdits reads a network and edits it in one of six orders. Whatever the
// network is, an edit is refused with an error of its kind, or leaves a sound
// graph with the same head; a refused batch leaves it as it was.
func checkEdits(t *testing.T, b []byte, h *Hints, order uint8) {
	n, err := parse(b, "", h)
	if err != nil {
		for _, known := range []error{ErrInvalid, ErrNotDetector, ErrUnknownHead, ErrAmbiguous, ErrHint} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("an error of no kind: %v", err)
	}
	head := fmt.Sprintf("%+v", n.Head)
	sound(t, n)
	batch := func() bool {
		before := marshalled(t, n)
		if err := n.MakeBatchDynamic(); err != nil {
			if !errors.Is(err, ErrBatch) {
				t.Fatalf("batch: an error of another kind: %v", err)
			}
			if string(marshalled(t, n)) != string(before) {
				t.Fatalf("a refused edit left its mark: %v", err)
			}
			return true
		}
		if _, dynamic := n.Batch(); !dynamic {
			t.Fatal("the batch is as fixed as before")
		}
		if err := n.OutputsFollowBatch(); err != nil {
			t.Fatalf("it was made dynamic: %v", err)
		}
		return true
	}
	half := func() bool {
		if err := n.Half(); err != nil {
			if !errors.Is(err, ErrHalf) {
				t.Fatalf("half: an error of another kind: %v", err)
			}
			return false // it must not be used any further
		}
		once := marshalled(t, n)
		if n.Precision == FP16 {
			if err := n.Half(); err != nil || string(marshalled(t, n)) != string(once) {
				t.Fatalf("half a second time: %v", err)
			}
		}
		return true
	}
	floatIO := func() bool { return n.FloatIO() == nil }
	orders := [][]func() bool{
		{batch, half, floatIO}, {half, batch, floatIO}, {floatIO, batch, half}, {batch, floatIO, half}, {half, floatIO, batch}, {floatIO, half, batch},
	}
	for _, edit := range orders[int(order)%len(orders)] {
		if !edit() {
			return
		}
		sound(t, n)
		if got := fmt.Sprintf("%+v", n.Head); got != head {
			t.Fatalf("the head became\n%s from\n%s", got, head)
		}
	}
}

// sound wants a network that can be written, read again, and has what its head
// reads.
func sound(t *testing.T, n *Network) {
	t.Helper()
	if err := n.Head.Validate(); err != nil {
		t.Fatalf("a head that does not fit itself: %v", err)
	}
	if len(n.Names) != n.Head.Classes {
		t.Fatalf("%d names for %d classes", len(n.Names), n.Head.Classes)
	}
	m, err := onnx.Parse(marshalled(t, n), "")
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	x, err := onnx.NewIndex(m.Graph)
	if err != nil {
		t.Fatalf("the graph is broken: %v", err)
	}
	if inputs := m.Graph.RealInputs(); len(inputs) != 1 || inputs[0].Name != n.Inputs[0].Name {
		t.Fatalf("%d inputs", len(inputs))
	}
	for _, l := range n.Head.Levels {
		for _, name := range l.Outputs {
			if !x.IsOutput(name) {
				t.Fatalf("the head reads %q, which is no output", name)
			}
		}
	}
}
