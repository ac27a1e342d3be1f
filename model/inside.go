package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/internal/probe"
	"github.com/trtdet/trtdet/model/onnx"
)

// maxTensors bounds the tensors within a graph that are compared with rows.
const maxTensors = 16

// inside looks within the graph for predictions that trtdet decodes and cuts
// there, whatever the graph does to them afterwards: moves them about, which is
// checked, or selects boxes, which trtdet then does itself. seen says in an
// error what the outputs look like.
func (r *reading) inside(outputs []string, seen string) (*found, error) {
	levels, err := r.headLevels(outputs)
	if err != nil {
		return nil, err
	}
	var why error
	if r.boxAndLabels(levels) {
		f, err := r.distancesInside(levels, outputs)
		if f != nil {
			return f, nil
		}
		why = err
	}
	f, rows, err := r.decodes(levels)
	if f != nil {
		if err := r.sameBehind(levels, f, outputs); err != nil {
			return nil, fmt.Errorf("%w: %s: %s decodes predictions, and what the graph makes of them is not known here (%w)",
				ErrUnknownHead, seen, r.index.Producer(rows).Label(), err)
		}
		return r.cutRows(levels, f, r.kind(levels), r.shape(rows))
	}
	if err != nil {
		why = err
	}
	if !slices.ContainsFunc(outputs, r.mayHoldBoxes) {
		return nil, fmt.Errorf("%w: %s, none of them a map or rows of predictions", ErrNotDetector, seen)
	}
	if errors.Is(why, ErrAmbiguous) || errors.Is(why, ErrHint) {
		return nil, why
	}
	if why != nil {
		return nil, fmt.Errorf("%w: %s, and what the graph does to get there cannot be followed (%w)", ErrUnknownHead, seen, why)
	}
	return nil, fmt.Errorf("%w: %s, and nothing in the graph is decoded by a formula of YOLOv5's, YOLOX's or YOLOv8's: behind them %s",
		ErrUnknownHead, seen, r.standing(levels))
}

// decodes finds the rows within the graph that hold the levels' predictions decoded;
// nil where there are none, or none that can be followed, and then why.
func (r *reading) decodes(levels []*level) (f *fit, rows string, why error) {
	for depth := range r.joints(levels) {
		for _, l := range levels {
			r.findRaw(l)
			if depth > 0 {
				l.raw, l.sigmoid = []string{l.joints[depth-1]}, false
			}
		}
		for _, rows := range r.rowTensors(levels) {
			f, err := r.fitRows(levels, rows)
			if err != nil {
				why = err
			}
			if f != nil && f.decoded {
				return f, rows, nil
			}
		}
	}
	return nil, "", why
}

// standing words what the outputs are made of: "stand 3 scales, the largest with
// convolutions of 64, 80 and 32 channels".
func (r *reading) standing(levels []*level) string {
	var channels []string
	for _, c := range levels[0].convs {
		channels = append(channels, strconv.Itoa(r.channels(c)))
	}
	list := strings.Join(channels[:len(channels)-1], ", ")
	if list != "" {
		list += " and "
	}
	list += channels[len(channels)-1]
	if len(levels) == 1 {
		return "stands one scale with convolutions of " + list + " channels"
	}
	return fmt.Sprintf("stand %d scales, the largest with convolutions of %s channels", len(levels), list)
}

// mayHoldBoxes reports whether an output has a shape that boxes could have.
func (r *reading) mayHoldBoxes(output string) bool {
	s := r.shape(output)
	return s == nil || len(s) > 2 || len(s) == 2 && s[1] > 3 && s[0] > r.batch
}

// headLevels returns the levels of the convs behind all of the outputs.
func (r *reading) headLevels(outputs []string) ([]*level, error) {
	var convs []*onnx.Node
	for _, name := range outputs {
		for _, c := range r.terminals(name) {
			if !contains(convs, c) {
				convs = append(convs, c)
			}
		}
	}
	if len(convs) == 0 {
		return nil, fmt.Errorf("%w: no convolution stands behind its outputs", ErrNotDetector)
	}
	levels, err := r.levels(convs)
	if err != nil {
		return nil, err
	}
	for _, l := range levels {
		if l.stride == 0 {
			return nil, fmt.Errorf("%w: behind its outputs stands a map of %dx%d cells, which is no scale of an input of %dx%d",
				ErrNotDetector, l.ny, l.nx, r.height, r.width)
		}
	}
	return levels, nil
}

// rowTensors lists the tensors within the graph, in its order, that could hold
// every prediction of the levels as rows (B, N, 5+nc) or (N, 5+nc).
func (r *reading) rowTensors(levels []*level) []string {
	var list []string
	for _, n := range r.model.Graph.Nodes {
		for _, name := range n.Outputs {
			s := r.shape(name)
			if len(s) == 2 && r.batch == 1 {
				s = append([]int{1}, s...)
			}
			if len(s) == 3 && s[0] == r.batch && r.isRows(levels, s) && len(list) < maxTensors {
				list = append(list, name)
			}
		}
	}
	return list
}

// sameBehind checks that the outputs hold the predictions that fit decodes and
// nothing else, wherever they put them; raw maps may stand beside them. What a
// graph selects by itself is not looked at.
func (r *reading) sameBehind(levels []*level, f *fit, outputs []string) error {
	if r.suppression(outputs) != nil {
		return nil
	}
	outputs = slices.DeleteFunc(slices.Clone(outputs), func(name string) bool { return r.isRaw(levels, f, name) })
	list, byName, err := r.feeds(levels)
	if err != nil {
		return err
	}
	values, err := r.probe.Numbers(r.shapes, byName, outputs)
	if err != nil {
		return err
	}
	_, err = r.decodedBy(f, list, false).hold(outputs, values)
	return err
}

// isRaw reports whether an output is one level's raw predictions, in any order.
func (r *reading) isRaw(levels []*level, f *fit, output string) bool {
	for i, l := range levels {
		if !r.predictions(l, output) {
			continue
		}
		na := 0
		if f.anchors != nil {
			na = len(f.anchors[i])
		}
		same, err := r.fitMap(l, output, na)
		return contains(l.raw, output) || err == nil && same != nil
	}
	return false
}

// hold checks that the outputs hold the predictions and nothing else, and returns
// what their channels are.
func (d *decoded) hold(outputs []string, values map[string]*probe.Value) ([]role, error) {
	var all []role
	for _, name := range outputs {
		roles, err := d.roles(values[name])
		if err != nil {
			return nil, fmt.Errorf("output %.80q: %w", name, err)
		}
		all = append(all, roles...)
	}
	return all, d.whole(all)
}

// decodedBy decodes the feeds' predictions as a fit says, a sample of them or
// every one.
func (r *reading) decodedBy(f *fit, list []*feed, every bool) *decoded {
	d := &decoded{width: float64(r.width), height: float64(r.height)}
	for i, feed := range list {
		na, n := feed.anchors(f), feed.ny*feed.nx
		no := feed.total() / na
		for a := range na {
			for _, cell := range feed.sample(every) {
				p := func(c int) float64 { return float64(feed.at(f.layout, na, no, a, c, cell)) }
				d.rows = append(d.rows, d.total+a*n+cell)
				var anchor [2]float32
				if f.anchors != nil {
					anchor = f.anchors[i][a]
				}
				d.boxes = append(d.boxes, feed.box(f, anchor, p, cell))
				probability := func(c int) float64 {
					if feed.sigmoid {
						return p(c)
					}
					return logistic(float32(p(c)))
				}
				d.conf = append(d.conf, probability(4))
				if d.labels == nil {
					d.labels = make([][]float64, no-5)
				}
				for class := range min(len(d.labels), no-5) {
					d.labels[class] = append(d.labels[class], probability(5+class))
				}
			}
		}
		d.total += na * n
	}
	return d
}

// anchors returns the number of anchors that a fit found in a level.
func (f *feed) anchors(found *fit) int {
	if found.anchors == nil {
		return 1
	}
	return len(found.anchors[0])
}

func (f *feed) total() (sum int) {
	for _, c := range f.channels {
		sum += c
	}
	return sum
}

// sample lists the cells to look at.
func (f *feed) sample(every bool) []int {
	if !every {
		return f.cells()
	}
	list := make([]int, f.ny*f.nx)
	for i := range list {
		list[i] = i
	}
	return list
}

// box decodes a box to its center and size in input pixels.
func (f *feed) box(found *fit, anchor [2]float32, p func(c int) float64, cell int) [4]float64 {
	x, y, stride := float64(cell%f.nx), float64(cell/f.nx), float64(f.stride)
	if found.family == decode.YOLOX {
		return [4]float64{(p(0) + x) * stride, (p(1) + y) * stride, math.Exp(p(2)) * stride, math.Exp(p(3)) * stride}
	}
	s := func(c int) float64 { return logistic(float32(p(c))) }
	offset := 0.5
	if found.twice {
		offset = 1
	}
	return [4]float64{
		(2*s(0) - offset + x) * stride, (2*s(1) - offset + y) * stride,
		4 * s(2) * s(2) * float64(anchor[0]), 4 * s(3) * s(3) * float64(anchor[1]),
	}
}

// joints finds, for each level, the single tensors between its convs and the
// outputs that could be its raw predictions, nearest to the convs first: all of
// the level's convs have a part in them and nothing but constants was added or
// multiplied since. It returns how many places there are to try, the convs
// themselves included.
func (r *reading) joints(levels []*level) int {
	least := maxTensors
	for _, l := range levels {
		l.joints = r.jointsOf(l)
		least = min(least, len(l.joints))
	}
	return 1 + least
}

func (r *reading) jointsOf(l *level) []string {
	// which of the level's convs have a part in a tensor
	parts := map[string]map[*onnx.Node]bool{}
	for _, c := range l.convs {
		parts[c.Outputs[0]] = map[*onnx.Node]bool{c: true}
	}
	r.findRaw(l)
	var list []string
	for _, n := range r.model.Graph.Nodes {
		if contains(l.convs, n) || !linear(n) {
			continue
		}
		own := map[*onnx.Node]bool{}
		for _, name := range n.Inputs {
			for c := range parts[name] {
				own[c] = true
			}
			if parts[name] == nil && r.index.Producer(name) != nil && !r.constant(name) {
				own = nil // something else has a part in it
				break
			}
		}
		if len(own) == 0 {
			continue
		}
		for _, name := range n.Outputs {
			parts[name] = own
			if len(own) == len(l.convs) && r.predictions(l, name) && !slices.Contains(l.raw, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// linear are operators that leave raw predictions raw: they add and multiply
// constants, or move numbers about.
func linear(n *onnx.Node) bool {
	return transparent(n) || n.Is("Add", "Sub", "Mul", "Div", "Concat", "Reshape", "Transpose", "BatchNormalization")
}

// constant reports whether a tensor is the same whatever the image is.
func (r *reading) constant(name string) bool {
	v := r.shapes.Values[name]
	return v != nil && v.Known
}

// predictions reports whether a tensor could hold a level's raw predictions:
// (B, C, ny, nx), or (B, na, ny, nx, no).
func (r *reading) predictions(l *level, name string) bool {
	s := r.shape(name)
	switch len(s) {
	case 4:
		return s[0] == r.batch && s[2] == l.ny && s[3] == l.nx && s[1] >= 6
	case 5:
		return s[0] == r.batch && s[2] == l.ny && s[3] == l.nx && s[4] >= 6
	}
	return false
}
