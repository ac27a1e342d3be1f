package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/internal/probe"
	"github.com/trtdet/trtdet/model/onnx"
)

// fit is what the graph behind the raw maps was found to do to them.
type fit struct {
	layout  decode.Layout // fused or split: how the graph takes the raw maps apart
	family  decode.Family // of the decode formula, empty where nothing is decoded
	decoded bool          // boxes come out in pixels
	twice   bool          // YOLOv5's formula, with half a cell taken off twice
	sigmoid bool          // everything, boxes too, went through a sigmoid and nothing else
	anchors [][][2]float32
}

// feed is a level's raw maps, filled with numbers.
type feed struct {
	*level
	maps     []*probe.Value // as level.raw
	channels []int
	fiveD    bool // the one map is (B, na, ny, nx, no)
}

// feeds fills every level's raw maps with numbers between -2 and 2 that look
// random and are the same every time. Cell 0,0 is all zeros, unless it is the
// only one: there sigmoid is exactly 1/2 and exp exactly 1, and the decoded box
// is the anchor itself.
func (r *reading) feeds(levels []*level) ([]*feed, map[string]*probe.Value, error) {
	var list []*feed
	byName := map[string]*probe.Value{}
	seed := uint32(1)
	for _, l := range levels {
		f := &feed{level: l}
		for _, name := range l.raw {
			s := r.shape(name)
			f.fiveD = len(s) == 5 && len(l.raw) == 1
			if len(s) != 4 && !f.fiveD || s[0] < 1 || s[2] != l.ny || s[3] != l.nx || l.ny < 1 || l.nx < 1 {
				return nil, nil, fmt.Errorf("%q has shape %v", name, s)
			}
			size, inner := 1, 1 // inner numbers lie side by side for one cell
			for _, d := range s {
				size *= d
			}
			if size > 1<<25 {
				return nil, nil, fmt.Errorf("%q of shape %v is too large", name, s)
			}
			channels := s[1]
			if f.fiveD {
				inner, channels = s[4], s[1]*s[4]
			}
			v := &probe.Value{Type: onnx.Float32, Shape: s, Known: true, F: make([]float32, size)}
			for i := range v.F {
				seed = seed*1664525 + 1013904223
				if cells := l.ny * l.nx; cells == 1 || i/inner%cells != 0 {
					v.F[i] = float32(seed>>8)/(1<<22) - 2
				}
			}
			f.maps, f.channels = append(f.maps, v), append(f.channels, channels)
			byName[name] = v
		}
		list = append(list, f)
	}
	return list, byName, nil
}

// at returns prediction c (box 0-3, conf 4, labels from 5) of anchor a in the
// cell with number cell, of the first picture.
func (f *feed) at(layout decode.Layout, na, no, a, c, cell int) float32 {
	m, channel := 0, 0
	switch {
	case layout == decode.FiveD:
		return f.maps[0].F[(a*f.ny*f.nx+cell)*no+c]
	case layout == decode.Fused:
		channel = a*no + c
	case c < 4:
		channel = a*4 + c
	case c == 4:
		m, channel = 1, a
	default:
		m, channel = 2, a*(no-5)+c-5
	}
	if layout == decode.Split && len(f.maps) == 1 {
		channel += []int{0, 4 * na, 5 * na}[m]
		m = 0
	}
	return f.maps[m].F[channel*f.ny*f.nx+cell]
}

// layouts lists the ways in which raw maps can be taken apart.
func (f *feed) layouts(na, no int) []decode.Layout {
	switch sum := f.total(); {
	case sum != na*no || no < 6:
		return nil
	case f.fiveD:
		if f.maps[0].Shape[1] != na {
			return nil
		}
		return []decode.Layout{decode.FiveD}
	case len(f.maps) == 1 && na == 1:
		return []decode.Layout{decode.Fused}
	case len(f.maps) == 1:
		return []decode.Layout{decode.Fused, decode.Split}
	case len(f.maps) == 3 && f.channels[0] == 4*na && f.channels[1] == na:
		return []decode.Layout{decode.Split}
	}
	return nil
}

// common lists the ways in which the raw maps of every level can be taken
// apart: a hostile graph's levels need not have the same channels.
func common(list []*feed, na, no int) []decode.Layout {
	layouts := list[0].layouts(na, no)
	for _, f := range list[1:] {
		own := f.layouts(na, no)
		layouts = slices.DeleteFunc(layouts, func(l decode.Layout) bool { return !slices.Contains(own, l) })
	}
	return layouts
}

func logistic(x float32) float64 { return 1 / (1 + math.Exp(-float64(x))) }

// near allows for the rounding of half-precision constants.
func near(got float32, want float64) bool {
	return math.Abs(float64(got)-want) <= 2e-3*max(1, math.Abs(want))
}

// cells picks the cells to compare: all of a small map, and a spread over a
// large one.
func (f *feed) cells() []int {
	n := f.ny * f.nx
	step := max(1, n/256)
	var list []int
	for i := 0; i < n-1; i += step {
		list = append(list, i)
	}
	return append(list, n-1)
}

// fitRows compares rows (B, N, 5+nc), computed from raw maps, with every way of
// decoding that trtdet knows.
func (r *reading) fitRows(levels []*level, output string) (*fit, error) {
	list, byName, err := r.feeds(levels)
	if err != nil {
		return nil, err
	}
	values, err := r.probe.Numbers(r.shapes, byName, []string{output})
	if err != nil {
		return nil, err
	}
	rows := values[output]
	cells := cellCount(levels)
	shape := rows.Shape
	if len(shape) == 2 {
		shape = append([]int{1}, shape...)
	}
	if len(shape) != 3 || rows.F == nil || shape[1]%cells != 0 {
		return nil, fmt.Errorf("it has shape %v", rows.Shape)
	}
	na, no := shape[1]/cells, shape[2]
	for _, layout := range common(list, na, no) {
		for _, try := range []func([]*feed, decode.Layout, []float32, int, int) *fit{asYOLOv5, asYOLOX, asGrid, asYOLOv5Twice} {
			if f := try(list, layout, rows.F, na, no); f != nil {
				f.layout = layout
				return f, nil
			}
		}
	}
	return nil, nil
}

// eachRow calls fn for a selection of rows; it stops at the first false.
func eachRow(list []*feed, rows []float32, na, no int, fn func(f *feed, level, a, cell int, row []float32) bool) bool {
	start := 0
	for i, f := range list {
		n := f.ny * f.nx
		for a := range na {
			for _, cell := range f.cells() {
				at := (start + a*n + cell) * no
				if !fn(f, i, a, cell, rows[at:at+no]) {
					return false
				}
			}
		}
		start += na * n
	}
	return true
}

// sixDigits rounds to six significant digits: a side worked out of float32
// arithmetic is the number that somebody wrote, not its neighbor.
func sixDigits(v float64) float32 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 32)
	return float32(rounded)
}

func asYOLOv5(list []*feed, layout decode.Layout, rows []float32, na, no int) *fit {
	return asAnchored(&fit{}, list, layout, rows, na, no)
}

// asYOLOv5Twice is what the article's Detect does in YOLOv5 7.0 and later, whose
// grid has had half a cell taken off already.
func asYOLOv5Twice(list []*feed, layout decode.Layout, rows []float32, na, no int) *fit {
	return asAnchored(&fit{twice: true}, list, layout, rows, na, no)
}

// asAnchored fits YOLOv5's formula, with the anchors that it finds.
func asAnchored(out *fit, list []*feed, layout decode.Layout, rows []float32, na, no int) *fit {
	out.family, out.decoded, out.anchors = decode.YOLOv5, true, make([][][2]float32, len(list))
	ok := eachRow(list, rows, na, no, func(f *feed, level, a, cell int, row []float32) bool {
		raw := func(c int) float64 { return float64(f.at(layout, na, no, a, c, cell)) }
		p := func(c int) float64 { return logistic(f.at(layout, na, no, a, c, cell)) }
		if cell == 0 {
			side := func(c int) float32 {
				if factor := 4 * p(c) * p(c); factor != 1 {
					return sixDigits(float64(row[c]) / factor)
				}
				return row[c]
			}
			out.anchors[level] = append(out.anchors[level], [2]float32{side(2), side(3)})
		}
		anchor := out.anchors[level][a]
		if !(anchor[0] > 0 && anchor[1] > 0) || !f.boxMatches(out, anchor, raw, cell, row) {
			return false
		}
		for c := 4; c < no; c++ {
			if !near(row[c], p(c)) {
				return false
			}
		}
		return true
	})
	if !ok {
		return nil
	}
	return out
}

func asYOLOX(list []*feed, layout decode.Layout, rows []float32, na, no int) *fit {
	out := &fit{family: decode.YOLOX, decoded: true}
	ok := na == 1 && eachRow(list, rows, na, no, func(f *feed, _, a, cell int, row []float32) bool {
		raw := func(c int) float64 { return float64(f.at(layout, na, no, a, c, cell)) }
		return f.boxMatches(out, [2]float32{}, raw, cell, row) && scoresMatch(f, layout, a, cell, row)
	})
	if !ok {
		return nil
	}
	return out
}

// boxMatches reports whether a row begins with the box that a fit's formula gives.
func (f *feed) boxMatches(found *fit, anchor [2]float32, raw func(c int) float64, cell int, row []float32) bool {
	if f.stride == 0 {
		return false
	}
	for c, want := range f.box(found, anchor, raw, cell) {
		if !near(row[c], want) {
			return false
		}
	}
	return true
}

// asGrid is YOLOX without decoding: boxes stand as they come out of the conv.
func asGrid(list []*feed, layout decode.Layout, rows []float32, na, no int) *fit {
	ok := na == 1 && eachRow(list, rows, na, no, func(f *feed, _, a, cell int, row []float32) bool {
		for c := range 4 {
			if !near(row[c], float64(f.at(layout, na, no, a, c, cell))) {
				return false
			}
		}
		return scoresMatch(f, layout, a, cell, row)
	})
	if !ok {
		return nil
	}
	return &fit{family: decode.YOLOX}
}

// scoresMatch reports whether conf and labels are the map's, as they are or
// past a sigmoid that the cut takes away.
func scoresMatch(f *feed, layout decode.Layout, a, cell int, row []float32) bool {
	for c := 4; c < len(row); c++ {
		v := f.at(layout, 1, len(row), a, c, cell)
		if !near(row[c], float64(v)) && (f.sigmoid || !near(row[c], logistic(v))) {
			return false
		}
	}
	return true
}

// fitMap compares one level's output, (B, na, ny, nx, no) or (B, na*no, ny,
// nx), with its raw maps: the same numbers in another order, or their sigmoid.
// na is 0 where it is not known, and then only an unchanged order is found.
func (r *reading) fitMap(l *level, output string, na int) (*fit, error) {
	list, byName, err := r.feeds([]*level{l})
	if err != nil {
		return nil, err
	}
	values, err := r.probe.Numbers(r.shapes, byName, []string{output})
	if err != nil {
		return nil, err
	}
	v, f := values[output], list[0]
	sum := f.total()
	if v.F == nil || v.Len() != r.batch*sum*l.ny*l.nx {
		return nil, fmt.Errorf("it has shape %v", v.Shape)
	}
	fiveD := len(v.Shape) == 5
	if fiveD {
		na = v.Shape[1]
	}
	var layouts []decode.Layout
	switch {
	case na > 0 && sum%na == 0:
		layouts = f.layouts(na, sum/na)
	case len(f.maps) == 1:
		layouts, na = []decode.Layout{decode.Fused}, 1
	default: // maps apart can only be put together by a number of anchors
		return nil, nil
	}
	no := sum / na
	if fiveD && (v.Shape[2] != l.ny || v.Shape[3] != l.nx || v.Shape[4] != no) ||
		!fiveD && (len(v.Shape) != 4 || v.Shape[1] != sum || v.Shape[2] != l.ny || v.Shape[3] != l.nx) {
		return nil, fmt.Errorf("it has shape %v", v.Shape)
	}
	for _, layout := range layouts {
		for _, sigmoid := range []bool{false, true} {
			if mapMatches(f, v.F, layout, na, no, fiveD, sigmoid) {
				return &fit{layout: layout, sigmoid: sigmoid}, nil
			}
		}
	}
	return nil, nil
}

func mapMatches(f *feed, out []float32, layout decode.Layout, na, no int, fiveD, sigmoid bool) bool {
	n := f.ny * f.nx
	for a := range na {
		for _, cell := range f.cells() {
			for c := range no {
				want := float64(f.at(layout, na, no, a, c, cell))
				if sigmoid {
					want = logistic(float32(want))
				}
				at := (a*no+c)*n + cell
				if fiveD {
					at = (a*n+cell)*no + c
				}
				if !near(out[at], want) {
					return false
				}
			}
		}
	}
	return true
}
