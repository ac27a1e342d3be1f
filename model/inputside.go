package model

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// side is what the graph does to its input before the network begins, per
// channel of the input: y = x*scale + shift.
type side struct {
	scale, shift [3]float64
	reversed     bool // the channels come out in the other order
	bytes        bool // the input was uint8: a white pixel is 255
}

// readSide follows the graph from the input to the network's first layer: Cast,
// Transpose, arithmetic with constants, the order of channels. An input of
// bytes, or one with its channels last, is replaced by (B, 3, H, W) of floats
// with the same numbers, which every runtime and kernel takes.
func readSide(m *onnx.Model, input *onnx.ValueInfo) (*onnx.ValueInfo, *side, error) {
	x, err := onnx.NewIndex(m.Graph)
	if err != nil {
		return nil, nil, err
	}
	w := &sideWalk{model: m, index: x, input: input, at: input.Name, side: &side{scale: [3]float64{1, 1, 1}}}
	w.last = lastIsChannels(input)
	w.float = input.ElemType != onnx.Uint8
	w.side.bytes = !w.float
	w.typ = input.ElemType
	for w.step() {
	}
	if w.last || !w.float {
		what := "has its channels last"
		if !w.float {
			what = "is " + input.ElemType.String()
		}
		return nil, nil, fmt.Errorf("%w: input %.80q %s, and what the graph makes of it cannot be followed; export with a float input (B, 3, H, W)", ErrNotDetector, input.Name, what)
	}
	if input.ElemType != onnx.Uint8 && !lastIsChannels(input) {
		return input, w.side, nil
	}
	return w.replace(), w.side, nil
}

// lastIsChannels reports whether an input is (B, H, W, 3).
func lastIsChannels(v *onnx.ValueInfo) bool {
	second, last := v.Shape[1], v.Shape[3]
	return last.Known && last.Value == 3 && !(second.Known && second.Value == 3)
}

// sideWalk goes from the input on, node by node, as long as it understands.
type sideWalk struct {
	model *onnx.Model
	index *onnx.Index
	input *onnx.ValueInfo
	side  *side
	at    string            // the tensor it has come to
	typ   onnx.DataType     // of the float input that takes the input's place
	float bool              // it holds floats
	last  bool              // its channels are last
	moves []*onnx.Node      // Cast and Transpose on the way
	sums  []*onnx.Node      // arithmetic on the way
	order []int             // where each channel now comes from, nil for 0, 1, 2
	first map[string]string // constants that were made for channels that come first, by what they replace
	early []*onnx.Node      // that turned the order of channels that were last
}

// step goes over one node, or several that together turn the channels' order.
func (w *sideWalk) step() bool {
	readers := w.index.Consumers(w.at)
	if w.index.IsOutput(w.at) {
		return false
	}
	if len(readers) == 1 {
		switch n := readers[0]; {
		case n.Is("Identity"):
			return w.over(n)
		case n.Is("Cast"):
			return w.cast(n)
		case n.Is("Transpose"):
			return w.transpose(n)
		case n.Is("Mul", "Div", "Add", "Sub"):
			return w.arithmetic(n)
		case n.Is("Gather"):
			return w.gather(n)
		case n.Is("Slice"):
			return w.backwards(n)
		case n.Is("Split"):
			return w.joined(n.Outputs)
		}
	}
	return w.slices(readers)
}

func (w *sideWalk) over(n *onnx.Node) bool {
	w.at = n.Outputs[0]
	w.moves = append(w.moves, n)
	return true
}

func (w *sideWalk) cast(n *onnx.Node) bool {
	to := onnx.DataType(n.Int("to", 0))
	switch {
	case to != onnx.Float32 && to != onnx.Float16:
		return false
	case !w.float:
		w.float, w.typ = true, to
		return w.over(n)
	}
	w.at = n.Outputs[0] // between floats: it stays
	return true
}

func (w *sideWalk) transpose(n *onnx.Node) bool {
	want := []int64{0, 3, 1, 2}
	if !w.last || !slices.Equal(n.Ints("perm"), want) {
		return false
	}
	w.last = false
	return w.over(n)
}

// arithmetic is with one constant, a number or one for each channel.
func (w *sideWalk) arithmetic(n *onnx.Node) bool {
	if len(n.Inputs) != 2 || !w.float {
		return false
	}
	place := 1
	if n.Inputs[1] == w.at {
		place = 0
	}
	v, ok := w.perChannel(n.Inputs[place])
	if !ok || n.Inputs[1-place] != w.at {
		return false
	}
	for c := range 3 {
		scale, shift := &w.side.scale[w.source(c)], &w.side.shift[w.source(c)]
		switch {
		case n.Is("Mul"):
			*scale, *shift = *scale*v[c], *shift*v[c]
		case n.Is("Div") && place == 1:
			*scale, *shift = *scale/v[c], *shift/v[c]
		case n.Is("Add"):
			*shift += v[c]
		case n.Is("Sub") && place == 1:
			*shift -= v[c]
		case n.Is("Sub"):
			*scale, *shift = -*scale, v[c]-*shift
		default:
			return false
		}
	}
	w.sums = append(w.sums, n)
	w.at = n.Outputs[0]
	return true
}

// source is the channel of the input that channel c now holds.
func (w *sideWalk) source(c int) int {
	if w.order == nil {
		return c
	}
	return w.order[c]
}

// perChannel returns a constant of one number, or of three along the channels.
func (w *sideWalk) perChannel(name string) (v [3]float64, ok bool) {
	t := w.index.Constant(name)
	if t == nil || t.Len() != 1 && t.Len() != 3 {
		return v, false
	}
	numbers, err := t.Float32s()
	if err != nil {
		return v, false
	}
	if len(numbers) == 1 {
		return [3]float64{float64(numbers[0]), float64(numbers[0]), float64(numbers[0])}, true
	}
	axis := len(t.Dims) - 3 // of (3, 1, 1) and (1, 3, 1, 1)
	if w.last {
		axis = len(t.Dims) - 1
	}
	if axis < 0 || t.Dims[axis] != 3 {
		return v, false
	}
	return [3]float64{float64(numbers[0]), float64(numbers[1]), float64(numbers[2])}, true
}

func (w *sideWalk) channelAxis() int64 {
	if w.last {
		return 3
	}
	return 1
}

// isChannels reports whether an axis of rank 4 is that of the channels.
func (w *sideWalk) isChannels(axis int64) bool {
	return axis == w.channelAxis() || axis == w.channelAxis()-4
}

// turn goes over the nodes that turned the channels' order, to the last one's
// output.
func (w *sideWalk) turn(nodes ...*onnx.Node) bool {
	if w.order == nil {
		w.order = []int{2, 1, 0}
	} else {
		w.order = nil
	}
	w.side.reversed = w.order != nil
	if w.last {
		w.early = append(w.early, nodes...)
	}
	w.at = nodes[len(nodes)-1].Outputs[0]
	return true
}

// gather turns the order of channels by the indices 2, 1, 0.
func (w *sideWalk) gather(n *onnx.Node) bool {
	t := w.index.Constant(n.Input(1))
	if t == nil || t.Len() != 3 || n.Inputs[0] != w.at || !w.isChannels(n.Int("axis", 0)) {
		return false
	}
	indices, err := t.Int64s()
	return err == nil && slices.Equal(indices, []int64{2, 1, 0}) && w.turn(n)
}

// backwards is a Slice of the channels with a step of -1.
func (w *sideWalk) backwards(n *onnx.Node) bool {
	var v [4]int64 // start, end, axis, step
	for i := range v {
		var ok bool
		if v[i], ok = w.whole(n.Input(1 + i)); !ok {
			return false
		}
	}
	return v[3] == -1 && w.isChannels(v[2]) && (v[0] == -1 || v[0] >= 2) && v[1] < -3 && w.turn(n)
}

// slices is a Slice or Gather for each channel, joined in the other order.
func (w *sideWalk) slices(readers []*onnx.Node) bool {
	if len(readers) != 3 {
		return false
	}
	parts := make([]string, 3)
	for _, n := range readers {
		c, ok := w.channelOf(n)
		if !ok {
			return false
		}
		parts[c] = n.Outputs[0]
	}
	return !slices.Contains(parts, "") && w.joined(parts)
}

// channelOf returns the one channel that a Slice takes.
func (w *sideWalk) channelOf(n *onnx.Node) (c int64, ok bool) {
	if !n.Is("Slice") || len(n.Inputs) < 4 {
		return 0, false
	}
	from, hasFrom := w.whole(n.Input(1))
	to, hasTo := w.whole(n.Input(2))
	axis, hasAxis := w.whole(n.Input(3))
	if step, known := w.whole(n.Input(4)); len(n.Inputs) == 5 && (!known || step != 1) {
		return 0, false
	}
	return from, hasFrom && hasTo && hasAxis && w.isChannels(axis) && from >= 0 && from < 3 && to == from+1
}

// whole returns a constant of one whole number.
func (w *sideWalk) whole(name string) (v int64, ok bool) {
	t := w.index.Constant(name)
	if t == nil || t.Len() != 1 {
		return 0, false
	}
	numbers, err := t.Int64s()
	if err != nil {
		return 0, false
	}
	return numbers[0], true
}

// joined is the Concat of the three channels' parts, from the last to the first.
func (w *sideWalk) joined(parts []string) bool {
	if len(parts) != 3 {
		return false
	}
	n := w.index.Producer(parts[0])
	if n.Is("Split") && (!w.isChannels(n.Int("axis", 0)) || len(n.Inputs) == 1 && n.Ints("split") != nil && !slices.Equal(n.Ints("split"), []int64{1, 1, 1})) {
		return false
	}
	var cat *onnx.Node
	var nodes []*onnx.Node
	for _, part := range parts {
		if from := w.index.Producer(part); !slices.Contains(nodes, from) {
			nodes = append(nodes, from)
		}
		users := w.index.Consumers(part)
		if len(users) != 1 || !users[0].Is("Concat") || cat != nil && users[0] != cat {
			return false
		}
		cat = users[0]
	}
	if !w.isChannels(cat.Int("axis", 0)) || !slices.Equal(cat.Inputs, []string{parts[2], parts[1], parts[0]}) {
		return false
	}
	return w.turn(append(nodes, cat)...)
}

// replace gives the graph a float input (B, 3, H, W) in place of its own and
// drops the Casts and Transposes that made one of it. Arithmetic on the way, and
// what turns the channels' order, stay: their constants and axes become those of
// channels that come first.
func (w *sideWalk) replace() *onnx.ValueInfo {
	g := w.model.Graph
	if lastIsChannels(w.input) {
		for _, n := range w.sums {
			w.turnConstants(n)
		}
		for _, n := range w.early {
			w.turnAxis(n)
		}
	}
	for _, n := range w.moves {
		from, to := n.Outputs[0], n.Inputs[0]
		g.Nodes = slices.DeleteFunc(g.Nodes, func(other *onnx.Node) bool { return other == n })
		rename(g, from, to)
		g.ValueInfo = without(g.ValueInfo, []string{from})
	}
	s := w.input.Shape
	own := &onnx.ValueInfo{Name: w.input.Name, ElemType: w.typ, HasShape: true, Shape: []onnx.Dim{s[0], {Known: true, Value: 3}, s[1], s[2]}}
	if !lastIsChannels(w.input) {
		own.Shape = slices.Clone(s)
	}
	for i, v := range g.Inputs {
		if v == w.input {
			g.Inputs[i] = own
		}
	}
	// what the file declared about values on the way holds for its own input
	g.ValueInfo = nil
	return own
}

// turnAxis has a node work along channels that come first.
func (w *sideWalk) turnAxis(n *onnx.Node) {
	if !n.Is("Slice") {
		n.SetAttr(onnx.IntAttr("axis", 1))
		return
	}
	n.Inputs[3] = w.turned(n.Inputs[3], func(own string) *onnx.Tensor { return onnx.NewInt64s(own, []int64{1}, []int64{1}) })
}

// turned is the name of what stands in a constant's place where channels come
// first; it is made once.
func (w *sideWalk) turned(name string, constant func(own string) *onnx.Tensor) string {
	if own := w.first[name]; own != "" {
		return own
	}
	own := name + "_first"
	for w.index.Known(own) {
		own += "_"
	}
	if w.first == nil {
		w.first = map[string]string{}
	}
	w.first[name] = own
	w.model.Graph.Initializers = append(w.model.Graph.Initializers, constant(own))
	return own
}

// turnConstants gives a constant of one number a channel, last, the shape
// (1, 3, 1, 1).
func (w *sideWalk) turnConstants(n *onnx.Node) {
	for i, name := range n.Inputs {
		t := w.index.Constant(name)
		if t == nil || t.Len() != 3 {
			continue
		}
		numbers, err := t.Float32s()
		if err != nil {
			continue
		}
		n.Inputs[i] = w.turned(name, func(own string) *onnx.Tensor {
			if t.DataType == onnx.Float16 {
				return onnx.NewHalfs(own, []int64{1, 3, 1, 1}, numbers)
			}
			return onnx.NewFloat32s(own, []int64{1, 3, 1, 1}, numbers)
		})
	}
}

// pixelRange returns the value of a white pixel that the graph expects, 0 where
// nothing in it says so. A network works on numbers around 1: what divides by
// 255, or by the deviation of pixels of 0 to 255, gets such pixels.
func (s *side) pixelRange() float32 {
	if s.bytes {
		return 255
	}
	scale, mean := math.Abs(s.scale[0]), 0.0
	if s.shift[0] != 0 && s.scale[0] != 0 {
		mean = -s.shift[0] / s.scale[0]
	}
	switch {
	case mean > 1.5:
		return 255
	case mean > 0:
		return 1
	case scale < 0.1:
		return 255
	case scale > 1.5:
		return 1
	}
	return 0
}

// imageNet are the means by which people shift channels, red first.
var imageNet = [3]float64{0.485, 0.456, 0.406}

// channelOrder returns the order of the input's channels that the graph
// expects, "" where nothing in it says so. A network whose own order is known
// turns the channels of the other one.
func (s *side) channelOrder(family decode.ChannelOrder) decode.ChannelOrder {
	turned := map[decode.ChannelOrder]decode.ChannelOrder{decode.RGB: decode.BGR, decode.BGR: decode.RGB}
	// means say which channel of the input is which
	if s.scale[0] != 0 && s.shift[0] != 0 {
		var means [3]float64
		for c := range means {
			means[c] = -s.shift[c] / s.scale[c]
			if means[c] > 1.5 {
				means[c] /= 255
			}
		}
		close := func(a, b, c int) bool {
			return math.Abs(means[a]-imageNet[0]) < 0.005 && math.Abs(means[b]-imageNet[1]) < 0.005 && math.Abs(means[c]-imageNet[2]) < 0.005
		}
		switch {
		case close(0, 1, 2):
			return decode.RGB
		case close(2, 1, 0):
			return decode.BGR
		}
	}
	if s.reversed {
		return turned[family]
	}
	return ""
}
