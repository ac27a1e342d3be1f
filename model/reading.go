package model

import (
	"fmt"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/internal/probe"
	"github.com/trtdet/trtdet/model/onnx"
)

// reading is one look at a graph: its connections, and the shapes it takes for
// one size of input.
type reading struct {
	model  *onnx.Model
	index  *onnx.Index
	probe  *probe.Probe
	shapes *probe.Result
	input  *onnx.ValueInfo
	// the size of input that shapes holds for
	batch, height, width int
	said                 *said
	notes                []string
}

// trySizes are tried on a network that takes any size. The first tells height
// from width and suits strides up to 128; the others are there for graphs that
// only say they are dynamic and have the grid of one size baked in.
var trySizes = [][2]int{{256, 384}, {640, 640}, {416, 416}, {320, 320}, {512, 512}, {1280, 1280}}

func newReading(m *onnx.Model, input *onnx.ValueInfo) (*reading, error) {
	x, err := onnx.NewIndex(m.Graph)
	if err != nil {
		return nil, err
	}
	p, err := probe.New(m)
	if err != nil {
		return nil, err
	}
	r := &reading{model: m, index: x, probe: p, input: input}
	for _, size := range trySizes {
		r.measure(1, size[0], size[1])
		if r.shapedOutputs() || input.Shape[2].Known && input.Shape[3].Known {
			return r, nil
		}
	}
	r.measure(1, trySizes[0][0], trySizes[0][1])
	return r, nil
}

// measure works out the shapes for one size of input; what the input declares
// comes first.
func (r *reading) measure(batch, height, width int) {
	pick := func(d onnx.Dim, v int) int {
		if d.Known {
			return int(d.Value)
		}
		return v
	}
	s := r.input.Shape
	r.batch, r.height, r.width = pick(s[0], batch), pick(s[2], height), pick(s[3], width)
	r.shapes = r.probe.Shapes(map[string]*probe.Value{
		r.input.Name: {Type: r.input.ElemType, Shape: []int{r.batch, 3, r.height, r.width}},
	})
}

func (r *reading) shapedOutputs() bool {
	for _, o := range r.model.Graph.Outputs {
		if r.shapes.Shape(o.Name) == nil {
			return false
		}
	}
	return true
}

// shape returns the shape of a tensor: worked out, or declared in full.
func (r *reading) shape(name string) []int {
	if s := r.shapes.Shape(name); s != nil {
		return s
	}
	info := r.index.Info(name)
	if info == nil || !info.HasShape {
		return nil
	}
	shape := []int{}
	for _, d := range info.Shape {
		if !d.Known || d.Value < 0 || d.Value > 1<<31 {
			return nil
		}
		shape = append(shape, int(d.Value))
	}
	return shape
}

// why explains why the shape of name is not known: the first node behind it
// that could not be worked out.
func (r *reading) why(name string) error {
	need := map[string]bool{name: true}
	var first error
	nodes := r.model.Graph.Nodes
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		for _, o := range n.Outputs {
			if need[o] {
				for _, in := range n.Inputs {
					need[in] = true
				}
				if err := r.shapes.Failed[n]; err != nil {
					first = fmt.Errorf("%s: %w", n.Label(), err)
				}
			}
		}
	}
	if first == nil {
		first = fmt.Errorf("nothing says it")
	}
	return first
}

// level is one scale of a head, seen in the graph.
type level struct {
	ny, nx, stride int
	convs          []*onnx.Node // the last convs, in the order the graph reads them
	outputs        []string     // the graph's outputs that hold this level alone
	raw            []string     // the tensors that hold its predictions: one, or one for each conv
	joints         []string     // single tensors further on that could be raw instead
	sigmoid        bool         // conf and labels are past a sigmoid in raw
}

// channels returns the number of channels a conv writes.
func (r *reading) channels(conv *onnx.Node) int {
	if s := r.shape(conv.Outputs[0]); len(s) == 4 {
		return s[1]
	}
	return 0
}

// total returns the channels of a level's predictions: of its raw tensors, once
// they are known, or of all its convs.
func (r *reading) total(l *level) (n int) {
	for _, name := range l.raw {
		switch s := r.shape(name); len(s) {
		case 4:
			n += s[1]
		case 5:
			n += s[1] * s[4]
		}
	}
	if n > 0 {
		return n
	}
	for _, c := range l.convs {
		n += r.channels(c)
	}
	return n
}

// terminals returns the last convs on the ways from the input to name, in the
// order in which the graph reads them. Ways that carry shapes alone do not
// count, and neither does the fixed conv with which YOLOv8 takes the mean of a
// distribution.
func (r *reading) terminals(name string) []*onnx.Node {
	var found []*onnx.Node
	seen := map[*onnx.Node]bool{}
	stack := []string{name}
	for len(stack) > 0 {
		n := r.index.Producer(stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		if n == nil || seen[n] || n.Is("Shape", "Size", "Constant", "ConstantOfShape") {
			continue
		}
		seen[n] = true
		if n.Is("Conv") {
			if s := r.shape(n.Outputs[0]); !(len(s) == 4 && s[1] == 1 && s[2] == 4 && r.behindSoftmax(n)) {
				found = append(found, n)
				continue
			}
		}
		for i := len(n.Inputs) - 1; i >= 0; i-- {
			stack = append(stack, n.Inputs[i])
		}
	}
	return found
}

func (r *reading) behindSoftmax(n *onnx.Node) bool {
	p := r.index.Producer(r.back(n.Input(0)))
	for range 3 {
		if p.Is("Softmax") {
			return true
		}
		if !p.Is("Transpose", "Reshape") {
			return false
		}
		p = r.index.Producer(r.back(p.Input(0)))
	}
	return false
}

// levels groups convs by the size of their maps, in order of appearance.
func (r *reading) levels(convs []*onnx.Node) ([]*level, error) {
	var list []*level
next:
	for _, c := range convs {
		s := r.shape(c.Outputs[0])
		if len(s) != 4 {
			return nil, fmt.Errorf("%w: the shape of %s cannot be worked out (%w)", ErrUnknownHead, c.Label(), r.why(c.Outputs[0]))
		}
		for _, l := range list {
			if l.ny == s[2] && l.nx == s[3] {
				l.convs = append(l.convs, c)
				continue next
			}
		}
		list = append(list, &level{ny: s[2], nx: s[3], stride: strideOf(r.height, r.width, s[2], s[3]), convs: []*onnx.Node{c}})
	}
	return list, nil
}

// strideOf returns the stride that makes a map of ny x nx of an input of h x w,
// 0 where there is none. Padding rounds a map's size up.
func strideOf(h, w, ny, nx int) int {
	fits := func(s int) bool { return (h+s-1)/s == ny && (w+s-1)/s == nx }
	for s := 1; s <= h && s <= w; s *= 2 {
		if fits(s) {
			return s
		}
	}
	if ny > 0 && nx > 0 && h%ny == 0 && fits(h/ny) {
		return h / ny
	}
	return 0
}

// transparent are operators that do not change what a tensor means.
func transparent(n *onnx.Node) bool {
	return n.Is("Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "Dropout")
}

// back goes from a tensor to the one it merely repeats.
func (r *reading) back(name string) string {
	for range len(r.model.Graph.Nodes) {
		n := r.index.Producer(name)
		if !transparent(n) {
			return name
		}
		name = n.Input(0)
	}
	return name
}

// ahead goes from a tensor to its last repetition with only one reader.
func (r *reading) ahead(name string) string {
	for !r.index.IsOutput(name) {
		readers := r.index.Consumers(name)
		if len(readers) != 1 || !transparent(readers[0]) || readers[0].Is("Cast") {
			return name
		}
		name = readers[0].Outputs[0]
	}
	return name
}

// cellCount returns the cells of all levels together.
func cellCount(levels []*level) (n int) {
	for _, l := range levels {
		n += l.ny * l.nx
	}
	return n
}

// findRaws is findRaw of each level.
func (r *reading) findRaws(levels []*level) {
	for _, l := range levels {
		r.findRaw(l)
	}
}

// findRaw fills in where a level's predictions lie before anything is done to
// them: the conv, the Concat of its convs on the channels, or every conv.
func (r *reading) findRaw(l *level) {
	l.raw, l.sigmoid = nil, false
	if len(l.convs) == 1 {
		l.raw = []string{r.ahead(l.convs[0].Outputs[0])}
		return
	}
	var plain, ends []string
	var sigmoids []bool
	for _, c := range l.convs {
		name := r.ahead(c.Outputs[0])
		plain = append(plain, name)
		readers := r.index.Consumers(name)
		past := len(readers) == 1 && readers[0].Is("Sigmoid") && !r.index.IsOutput(name)
		if past {
			name = r.ahead(readers[0].Outputs[0])
		}
		ends, sigmoids = append(ends, name), append(sigmoids, past)
	}
	l.raw = plain
	readers := r.index.Consumers(ends[0])
	if len(readers) == 0 {
		return
	}
	for _, cat := range readers {
		if !cat.Is("Concat") || len(cat.Inputs) != len(ends) || cat.Int("axis", 0) != 1 && cat.Int("axis", 0) != -3 {
			continue
		}
		same := true
		for i := range ends {
			same = same && cat.Inputs[i] == ends[i]
		}
		if !same {
			continue
		}
		switch after := len(sigmoids) == 3 && !sigmoids[0] && sigmoids[1] && sigmoids[2]; {
		case after:
			l.raw, l.sigmoid = []string{r.ahead(cat.Outputs[0])}, true
		case !contains(sigmoids, true):
			l.raw = []string{r.ahead(cat.Outputs[0])}
		}
		return
	}
}

func contains[T comparable](list []T, v T) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// parts puts the three convs of a decoupled level in the order box, conf,
// labels; ok is false where their channels are not those of a head. Box and
// conf sit on the same feature map, labels on another.
func (r *reading) parts(l *level) (box, conf, labels *onnx.Node, ok bool) {
	if len(l.convs) != 3 {
		return nil, nil, nil, false
	}
	fits := func(b, c, n *onnx.Node) bool {
		na := r.channels(c)
		return na > 0 && r.channels(b) == 4*na && r.channels(n)%na == 0 && r.channels(n) > 0
	}
	orders := [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, together := range []bool{true, false} {
		for _, o := range orders {
			b, c, n := l.convs[o[0]], l.convs[o[1]], l.convs[o[2]]
			shared := r.back(b.Input(0)) == r.back(c.Input(0)) && r.back(n.Input(0)) != r.back(b.Input(0))
			if fits(b, c, n) && (shared || !together) {
				return b, c, n, true
			}
		}
	}
	return nil, nil, nil, false
}

// rawOf returns where the raw prediction of one conv of a level lies, for a
// level whose convs are kept apart.
func (r *reading) rawOf(c *onnx.Node) string { return r.ahead(c.Outputs[0]) }

// note keeps a remark for the user.
func (r *reading) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// found is what detection comes to.
type found struct {
	head    decode.Head
	outputs []string // the tensors the head reads
	cut     bool
}
