package model

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtdet/trtdet/model/internal/probe"
)

// decoded holds predictions of the first image as trtdet decodes them, a sample
// of all rows: what the numbers in a graph's outputs may be.
type decoded struct {
	total  int   // rows of the head
	rows   []int // the sampled ones, ascending
	width  float64
	height float64
	boxes  [][4]float64 // center x, center y, width, height in input pixels
	conf   []float64    // nil where the head has no confidence
	labels [][]float64  // labels[class][i], probabilities
	logits bool         // the labels may come out before their sigmoid
	// coarse is set where constants on the way are quantized: grid, strides and
	// bins are then off by a 250th of their range
	coarse bool
	stride float64 // the largest level's
}

// near reports whether a channel may hold what k has worked out.
func (d *decoded) near(got float32, k *knownRole, i int) bool {
	want := k.value(i)
	if !d.coarse || k.what == bestClass {
		return near(got, want)
	}
	slack := 0.02 // of a score, or of a box of 0 to 1
	switch {
	case k.what == logit:
		slack = 0.2
	case k.box && !k.unit: // less than half a cell of the largest, which would be another formula
		slack = min(0.02*max(d.width, d.height), d.stride/4)
	}
	return math.Abs(float64(got)-want) <= slack
}

// role is what one channel of an output holds for every prediction.
type role struct {
	what  string // one of the words below
	class int    // of label, score and logit
	unit  bool   // a box in 0 to 1, not in pixels
}

const (
	centerX, centerY, boxWidth, boxHeight = "cx", "cy", "w", "h"
	left, top, right, bottom              = "x1", "y1", "x2", "y2"
	confidence                            = "conf"
	label                                 = "label"
	logit                                 = "logit"
	score                                 = "score" // confidence x label
	bestScore                             = "best score"
	bestClass                             = "best class"
)

// roles says what each channel of an output holds; ok is false where one holds
// something else, and that one is named in why. v is (B, N, C), (B, C, N),
// (N, C) or (B, N) for the N predictions of the head.
func (d *decoded) roles(v *probe.Value) (list []role, why error) {
	shape := v.Shape
	if len(shape) == 3 {
		shape = shape[1:] // the first image
	} else if len(shape) == 2 && shape[0] != d.total && shape[1] == d.total {
		shape = []int{shape[1], 1}
	}
	why = fmt.Errorf("its shape %v does not hold the %d predictions behind it", v.Shape, d.total)
	if len(shape) != 2 || v.F == nil && v.I == nil {
		return nil, why
	}
	for axis := range 2 {
		if shape[axis] != d.total {
			continue
		}
		number := func(channel, row int) float64 {
			at := row*shape[1] + channel
			if axis == 1 {
				at = channel*shape[1] + row
			}
			if v.F != nil {
				return float64(v.F[at])
			}
			return float64(v.I[at])
		}
		if list, why = d.rolesOf(shape[1-axis], number); why == nil {
			return list, nil
		}
	}
	return nil, why
}

func (d *decoded) rolesOf(channels int, number func(channel, row int) float64) ([]role, error) {
	var list []role
	known := d.known()
	for c := range channels {
		i := slices.IndexFunc(known, func(k knownRole) bool {
			for i, row := range d.rows {
				if !d.near(float32(number(c, row)), &k, i) {
					return false
				}
			}
			return true
		})
		if i < 0 {
			return nil, fmt.Errorf("channel %d of it is nothing that trtdet works out from the predictions behind it", c)
		}
		list = append(list, known[i].role)
	}
	return list, nil
}

type knownRole struct {
	role
	box   bool // it is a coordinate or a side
	value func(i int) float64
}

// known lists everything that a channel may hold.
func (d *decoded) known() []knownRole {
	var list []knownRole
	for _, unit := range []bool{false, true} {
		w, h := 1.0, 1.0
		if unit {
			w, h = d.width, d.height
		}
		for _, k := range []struct {
			what  string
			value func(b [4]float64) float64
		}{
			{centerX, func(b [4]float64) float64 { return b[0] / w }},
			{centerY, func(b [4]float64) float64 { return b[1] / h }},
			{boxWidth, func(b [4]float64) float64 { return b[2] / w }},
			{boxHeight, func(b [4]float64) float64 { return b[3] / h }},
			{left, func(b [4]float64) float64 { return (b[0] - b[2]/2) / w }},
			{top, func(b [4]float64) float64 { return (b[1] - b[3]/2) / h }},
			{right, func(b [4]float64) float64 { return (b[0] + b[2]/2) / w }},
			{bottom, func(b [4]float64) float64 { return (b[1] + b[3]/2) / h }},
		} {
			list = append(list, knownRole{role{what: k.what, unit: unit}, true, func(i int) float64 { return k.value(d.boxes[i]) }})
		}
	}
	if d.conf != nil {
		list = append(list, knownRole{role{what: confidence}, false, func(i int) float64 { return d.conf[i] }})
	}
	for class := range d.labels {
		list = append(list, knownRole{role{what: label, class: class}, false, func(i int) float64 { return d.labels[class][i] }})
	}
	for class := range d.labels {
		if d.conf != nil {
			list = append(list, knownRole{role{what: score, class: class}, false, func(i int) float64 { return d.score(class, i) }})
		}
		if d.logits {
			list = append(list, knownRole{role{what: logit, class: class}, false, func(i int) float64 {
				p := d.labels[class][i]
				return math.Log(p / (1 - p))
			}})
		}
	}
	return append(list,
		knownRole{role{what: bestScore}, false, func(i int) float64 { return d.score(d.best(i), i) }},
		knownRole{role{what: bestClass}, false, func(i int) float64 { return float64(d.best(i)) }})
}

func (d *decoded) score(class, i int) float64 {
	if d.conf == nil {
		return d.labels[class][i]
	}
	return d.conf[i] * d.labels[class][i]
}

func (d *decoded) best(i int) int {
	best := 0
	for class := range d.labels {
		if d.score(class, i) > d.score(best, i) {
			best = class
		}
	}
	return best
}

// whole reports whether the channels of all outputs together are a detector's
// predictions and nothing else: one box, and the scores of all classes.
func (d *decoded) whole(list []role) error {
	has := func(what string) bool {
		return slices.ContainsFunc(list, func(r role) bool { return r.what == what })
	}
	all := func(what string) bool {
		for class := range d.labels {
			if !slices.ContainsFunc(list, func(r role) bool { return r.what == what && r.class == class }) {
				return false
			}
		}
		return true
	}
	box := func(what ...string) bool {
		for _, unit := range []bool{false, true} {
			if !slices.ContainsFunc(what, func(w string) bool { return !slices.Contains(list, role{what: w, unit: unit}) }) {
				return true
			}
		}
		return false
	}
	switch {
	case !box(centerX, centerY, boxWidth, boxHeight) && !box(left, top, right, bottom):
		return fmt.Errorf("they hold no whole box")
	case d.conf != nil && has(label) && !has(confidence):
		return fmt.Errorf("they hold the classes' scores without the confidence")
	case all(label), all(logit), all(score), has(bestScore) && has(bestClass):
		return nil
	}
	return fmt.Errorf("they do not hold the scores of all %d classes", len(d.labels))
}

// asColumns reports whether channels are those of layout columns, as they are.
func (d *decoded) asColumns(list []role) bool {
	if d.conf != nil || len(list) != 4+len(d.labels) {
		return false
	}
	for c, r := range list {
		want := role{what: label, class: c - 4}
		if c < 4 {
			want = role{what: [4]string{centerX, centerY, boxWidth, boxHeight}[c]}
		}
		if r != want {
			return false
		}
	}
	return true
}

// selected reports whether every row of v (B, K, 6) is a prediction: x1, y1,
// x2, y2 in input pixels, one of its scores and the class of that.
func (d *decoded) selected(v *probe.Value) bool {
	if len(v.Shape) != 3 || v.Shape[2] != 6 || v.F == nil || len(d.rows) != d.total {
		return false
	}
	for k := range v.Shape[1] {
		row := v.F[6*k:][:6]
		class := int(row[5])
		if class < 0 || class >= len(d.labels) || float32(class) != row[5] {
			return false
		}
		found := slices.ContainsFunc(d.rows, func(i int) bool {
			b := d.boxes[i]
			return near(row[4], d.score(class, i)) && near(row[0], b[0]-b[2]/2) && near(row[1], b[1]-b[3]/2) &&
				near(row[2], b[0]+b[2]/2) && near(row[3], b[1]+b[3]/2)
		})
		if !found {
			return false
		}
	}
	return v.Shape[1] > 0
}
