package model

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/internal/probe"
)

// yolov8RegMax is reg_max of YOLOv8 to YOLO11: a distance's bins.
const yolov8RegMax = 16

// boxAndLabels reports whether each level has two convs, as YOLOv8's have.
func (r *reading) boxAndLabels(levels []*level) bool {
	for _, l := range levels {
		if len(l.convs) != 2 {
			return false
		}
	}
	return len(levels) > 0
}

// distances is a level pair's reading as YOLOv8's: which conv gives boxes.
type distances struct {
	box    int // 0 or 1, of each level's convs
	regMax int
	nc     int
}

// asDistances lists the ways in which levels of two convs each can be boxes and
// labels.
func (r *reading) asDistances(levels []*level) []distances {
	var list []distances
	for box := range 2 {
		bins, nc := r.channels(levels[0].convs[box]), r.channels(levels[0].convs[1-box])
		if bins%4 != 0 || bins == 0 || nc == 0 {
			continue
		}
		same := true
		for _, l := range levels {
			same = same && r.channels(l.convs[box]) == bins && r.channels(l.convs[1-box]) == nc
		}
		if same {
			list = append(list, distances{box: box, regMax: bins / 4, nc: nc})
		}
	}
	return list
}

// decodedBy decodes the feeds as YOLOv8 does (tal.py, dist2bbox): the sides lie
// a distance, in cells, from the middle of the cell.
func (o distances) decodedBy(r *reading, list []*feed, every bool) *decoded {
	d := &decoded{width: float64(r.width), height: float64(r.height), labels: make([][]float64, o.nc), logits: true, coarse: r.quantizedBehind(list)}
	for _, f := range list {
		n := f.ny * f.nx
		d.stride = max(d.stride, float64(f.stride))
		box, labels := f.maps[0].F, []float32(nil)
		if len(f.maps) == 2 {
			box, labels = f.maps[o.box].F, f.maps[1-o.box].F
		} else if o.box == 0 {
			labels = box[4*o.regMax*n:]
		} else {
			box, labels = box[o.nc*n:], box
		}
		for _, cell := range f.sample(every) {
			var side [4]float64
			for k := range side {
				side[k] = o.mean(func(bin int) float64 { return float64(box[(k*o.regMax+bin)*n+cell]) })
			}
			x, y, stride := float64(cell%f.nx)+0.5, float64(cell/f.nx)+0.5, float64(f.stride)
			d.rows = append(d.rows, d.total+cell)
			d.boxes = append(d.boxes, [4]float64{
				(x + (side[2]-side[0])/2) * stride, (y + (side[3]-side[1])/2) * stride, (side[0] + side[2]) * stride, (side[1] + side[3]) * stride,
			})
			for class := range d.labels {
				d.labels[class] = append(d.labels[class], logistic(labels[class*n+cell]))
			}
		}
		d.total += n
	}
	return d
}

// quantizedBehind reports whether something between the feeds and the outputs is
// dequantized.
func (r *reading) quantizedBehind(list []*feed) bool {
	behind := map[string]bool{}
	for _, f := range list {
		for _, name := range f.raw {
			behind[name] = true
		}
	}
	for _, n := range r.model.Graph.Nodes {
		if slices.ContainsFunc(n.Inputs, func(name string) bool { return behind[name] }) {
			if n.Is("DequantizeLinear") {
				return true
			}
			for _, name := range n.Outputs {
				behind[name] = true
			}
		}
	}
	return false
}

// mean is the mean of a distribution over bins, or the one number there is.
func (o distances) mean(bin func(int) float64) float64 {
	if o.regMax == 1 {
		return bin(0)
	}
	sum, mean := 0.0, 0.0
	for i := range o.regMax {
		weight := math.Exp(bin(i))
		sum += weight
		mean += weight * float64(i)
	}
	return mean / sum
}

// distancesInside reads outputs behind which levels of two convs stand, as
// YOLOv8's; nil where they are not.
func (r *reading) distancesInside(levels []*level, outputs []string) (*found, error) {
	r.findRaws(levels)
	list, byName, err := r.feeds(levels)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownHead, err)
	}
	if r.suppression(outputs) != nil {
		return r.distancesBeforeNMS(levels, list, byName)
	}
	values, err := r.probe.Numbers(r.shapes, byName, outputs)
	if err != nil {
		ways := ""
		if s := r.shape(outputs[0]); len(outputs) == 1 && len(s) == 3 {
			ways = r.onWord(levels, s, nil)
		}
		return nil, fmt.Errorf("%w: what the graph does to get output %.80q cannot be followed (%w)%s", ErrAmbiguous, outputs[0], err, ways)
	}
	for _, o := range r.asDistances(levels) {
		d := o.decodedBy(r, list, false)
		roles, err := d.hold(outputs, values)
		if err != nil {
			continue
		}
		if s := r.shape(outputs[0]); len(outputs) == 1 && d.asColumns(roles) && len(s) == 3 && s[1] == 4+o.nc {
			return r.columns(decode.YOLOv8, outputs[0], o.nc)
		}
		return r.cutDistances(levels, o, true)
	}
	return nil, nil
}

// distancesBeforeNMS looks for tensors that hold the predictions, in one or boxes
// and scores apart, before the graph selects from them.
func (r *reading) distancesBeforeNMS(levels []*level, list []*feed, byName map[string]*probe.Value) (*found, error) {
	cells, tried := cellCount(levels), 0
	ways := r.asDistances(levels)
	all, known := make([]*decoded, len(ways)), make([][]role, len(ways))
	for i, o := range ways {
		all[i] = o.decodedBy(r, list, false)
	}
	for _, n := range r.model.Graph.Nodes {
		for _, name := range n.Outputs {
			s := r.shape(name)
			if len(s) != 3 || s[0] != r.batch || s[1] != cells && s[2] != cells || tried == maxTensors {
				continue
			}
			values, err := r.probe.Numbers(r.shapes, byName, []string{name})
			if err != nil {
				continue
			}
			tried++
			for i, o := range ways {
				roles, err := all[i].roles(values[name])
				if err != nil {
					continue
				}
				if known[i] = append(known[i], roles...); all[i].whole(known[i]) == nil {
					return r.cutDistances(levels, o, true)
				}
			}
		}
	}
	return nil, nil
}

// cutDistances makes the head of YOLOv8's raw outputs.
func (r *reading) cutDistances(levels []*level, o distances, cut bool) (*found, error) {
	if r.said.family != "" && r.said.family != decode.YOLOv8 {
		return nil, fmt.Errorf("%w: family %s, but the graph decodes as %s", ErrHint, r.said.family, decode.YOLOv8)
	}
	if l := r.said.layout; l != "" && l != decode.Split {
		return nil, fmt.Errorf("%w: --head %s, but the graph decodes distances as YOLOv8 does; leave it out", ErrHint, l)
	}
	classes, err := r.classes(o.nc)
	if err != nil {
		return nil, err
	}
	h := decode.Head{Family: decode.YOLOv8, Kind: r.said.kind, Layout: decode.Split, Classes: classes, RegMax: o.regMax}
	got := &found{cut: cut}
	for _, l := range levels {
		outputs := l.raw
		if len(outputs) == 2 || o.box == 1 {
			outputs = []string{r.rawOf(l.convs[o.box]), r.rawOf(l.convs[1-o.box])}
		}
		h.Levels = append(h.Levels, decode.Level{Stride: l.stride, Outputs: outputs})
		got.outputs = append(got.outputs, outputs...)
	}
	got.head = h
	return got, nil
}

// distanceMaps reads raw maps of two convs a level: YOLOv8's, where its sixteen
// bins or the user say so. Detectors of other families have two convs as well.
func (r *reading) distanceMaps(levels []*level) (*found, error) {
	for _, o := range r.asDistances(levels) {
		if r.said.family != decode.YOLOv8 && o.regMax != yolov8RegMax {
			continue
		}
		if !r.joinedByChannel(levels) {
			return nil, fmt.Errorf("%w: something is done to the predictions in outputs %s, which could be YOLOv8's", ErrUnknownHead, r.list(levels[0].outputs))
		}
		return r.cutDistances(levels, o, false)
	}
	return nil, nil
}

// joinedByChannel reports whether the outputs are the convs themselves or their
// concatenation: with two of them, none of YOLOv5's heads.
func (r *reading) joinedByChannel(levels []*level) bool {
	r.findRaws(levels)
	for _, l := range levels {
		for _, name := range l.outputs {
			if !contains(l.raw, r.ahead(name)) && !contains([]string{l.convs[0].Outputs[0], l.convs[1].Outputs[0]}, r.back(name)) {
				return false
			}
		}
	}
	return true
}

// end2end takes boxes that the graph has selected, (B, K, 6).
func (r *reading) end2end(output string) (*found, error) {
	seen := fmt.Sprintf("output %s", r.list([]string{output}))
	levels, err := r.headLevels([]string{output})
	if err != nil {
		return nil, err
	}
	classes := len(r.said.names)
	if r.said.classes != 0 {
		classes = r.said.classes
	}
	family := decode.YOLOv8
	if r.said.layout == decode.End2End {
		if f, err := r.unselected(levels, output, seen); f != nil || err != nil {
			return f, err
		}
		if classes > 0 {
			if family, err = r.familyOnWord(levels, output, 5+classes); err != nil {
				return nil, err
			}
		}
	} else {
		if !r.boxAndLabels(levels) {
			return r.inside([]string{output}, seen)
		}
		nc, err := r.selects(levels, output)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: how its boxes are selected cannot be followed (%w); say --head end2end if they are x1, y1, x2, y2 in pixels, score and class",
				ErrAmbiguous, seen, err)
		}
		if nc == 0 {
			return nil, fmt.Errorf("%w: %s holds no boxes that trtdet works out from the predictions behind it; say --head end2end if they are x1, y1, x2, y2 in pixels, score and class",
				ErrUnknownHead, seen)
		}
		classes = nc
	}
	if classes == 0 {
		return nil, fmt.Errorf("%w: %s does not say how many classes there are; name them with --data", ErrAmbiguous, seen)
	}
	if classes, err = r.classes(classes); err != nil {
		return nil, err
	}
	return &found{outputs: []string{output}, head: decode.Head{
		Family: family, Kind: r.said.kind, Layout: decode.End2End, Classes: classes, SigmoidApplied: true,
		Levels: []decode.Level{{Outputs: []string{output}}},
	}}, nil
}

// unselected refuses the word end2end for an output that is known to hold anything
// but selected boxes; nil and no error where nothing is known.
func (r *reading) unselected(levels []*level, output, seen string) (*found, error) {
	s := r.shape(output)
	if s != nil && (len(s) != 3 || s[2] != 6) {
		return nil, fmt.Errorf("%w: --head end2end, but %s is not (B, K, 6)", ErrHint, seen)
	}
	if s != nil && r.isRows(levels, s) {
		r.findRaws(levels)
		if f, err := r.fitRows(levels, output); err == nil && f != nil {
			return nil, fmt.Errorf("%w: --head end2end, but %s is rows", ErrHint, seen)
		}
	}
	// predictions that can be followed to the output were not selected from each other
	if r.suppression([]string{output}) == nil {
		if f, err := r.inside([]string{output}, seen); f != nil || errors.Is(err, ErrHint) {
			return f, err
		}
	}
	return nil, nil
}

// selects returns the number of classes of a head from whose predictions output
// selects, 0 where it holds anything else.
func (r *reading) selects(levels []*level, output string) (int, error) {
	r.findRaws(levels)
	list, byName, err := r.feeds(levels)
	if err != nil {
		return 0, err
	}
	values, err := r.probe.Numbers(r.shapes, byName, []string{output})
	if err != nil {
		return 0, err
	}
	for _, o := range r.asDistances(levels) {
		if o.decodedBy(r, list, true).selected(values[output]) {
			return o.nc, nil
		}
	}
	return 0, nil
}
