package decode

import (
	"math"
	"strconv"
	"sync"
)

// NMSOptions are the rules of a suppression.
type NMSOptions struct {
	// IoU is the overlap, 0 to 1, above which a box suppresses the boxes of
	// its class that score less. It is taken for the decimal number it was
	// written as (0.6 is six tenths, not the nearest float32), as YOLOv5's is.
	IoU float32
	// MaxDet is how many boxes are kept at most; 0 or less keeps all.
	MaxDet int
	// Classes are the classes to keep; none given keeps all.
	Classes []int
	// Agnostic lets boxes suppress boxes of other classes.
	Agnostic bool
}

// YOLOv5's constants (utils/general.py, non_max_suppression).
const (
	maxNMS      = 30000 // boxes that take part, the best
	classOffset = 7680  // pixels between the classes' boxes
)

// NMS drops the boxes that a better one of their class overlaps, as YOLOv5's
// non_max_suppression with multi_label off and torchvision's nms do, in their
// float32 arithmetic and order: classes are kept apart by adding 7680 px per
// class to the boxes, the best 30,000 take part, equal scores keep the order
// of their anchors. It reorders candidates in place and returns the part of
// them that is left, best score first. Boxes have to be finite.
func NMS(candidates []Candidate, o NMSOptions) []Candidate {
	candidates = keepClasses(candidates, o.Classes)
	if len(candidates) == 0 {
		return candidates
	}
	s := suppressors.Get().(*suppressor)
	defer suppressors.Put(s)
	s.sort(candidates)
	if len(s.order) > maxNMS {
		s.order = s.order[:maxNMS]
	}
	limit := len(s.order)
	if o.MaxDet > 0 {
		limit = min(limit, o.MaxDet)
	}
	return s.suppress(candidates, decimal(o.IoU), limit, o.Agnostic)
}

// keepClasses moves the candidates of the wanted classes to the front.
func keepClasses(candidates []Candidate, classes []int) []Candidate {
	if len(classes) == 0 {
		return candidates
	}
	n := 0
	for _, c := range candidates {
		for _, class := range classes {
			if int(c.Class) == class {
				candidates[n] = c
				n++
				break
			}
		}
	}
	return candidates[:n]
}

// decimal is the float64 nearest to the shortest decimal number that x is the
// float32 of.
func decimal(x float32) float64 {
	var text [32]byte
	v, err := strconv.ParseFloat(string(strconv.AppendFloat(text[:0], float64(x), 'g', -1, 32)), 64)
	if err != nil {
		return float64(x) // x is NaN or infinite
	}
	return v
}

// suppressor is the memory of one suppression, kept from one to the next.
type suppressor struct {
	order   []uint32 // candidates from the best to the worst
	spare   []uint32
	sorted  []Candidate
	first   []int32 // first[class] is where the class's boxes begin in boxes
	kept    []int32 // kept[class] counts its boxes that were kept
	boxes   []offsetBox
	indices []uint32
}

var suppressors = sync.Pool{New: func() any { return new(suppressor) }}

// offsetBox is a box moved by its class, with its area.
type offsetBox struct {
	x1, y1, x2, y2, area float32
}

// suppress walks the order from the best on and keeps what no kept box of its
// class overlaps.
func (s *suppressor) suppress(candidates []Candidate, iou float64, limit int, agnostic bool) []Candidate {
	classes := s.plan(candidates, agnostic)
	s.indices = s.indices[:0]
	for _, at := range s.order {
		c := &candidates[at]
		class, offset := 0, float32(0)
		if !agnostic {
			offset = float32(c.Class) * classOffset
		}
		if classes > 1 {
			class = int(c.Class)
		}
		b := offsetBox{x1: c.Box.X1 + offset, y1: c.Box.Y1 + offset, x2: c.Box.X2 + offset, y2: c.Box.Y2 + offset}
		b.area = (b.x2 - b.x1) * (b.y2 - b.y1)
		first := s.first[class]
		if overlaps(s.boxes[first:first+s.kept[class]], b, iou) {
			continue
		}
		s.boxes[first+s.kept[class]] = b
		s.kept[class]++
		s.indices = append(s.indices, at)
		if len(s.indices) == limit {
			break
		}
	}
	s.sorted = s.sorted[:0]
	for _, at := range s.indices {
		s.sorted = append(s.sorted, candidates[at])
	}
	return candidates[:copy(candidates, s.sorted)]
}

// plan lays out one list of boxes per class and returns the number of lists:
// one for all where classes may overlap. That is so when the boxes spread over
// as many pixels as lie between two classes: YOLOv5 compares them then.
// Classes that no head has, below 0 or in the thousands, go to one list too.
func (s *suppressor) plan(candidates []Candidate, agnostic bool) int {
	low, high, classes := float32(math.MaxFloat32), float32(-math.MaxFloat32), 1
	for _, at := range s.order {
		c := &candidates[at]
		low = min(low, c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2)
		high = max(high, c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2)
		classes = max(classes, int(c.Class)+1)
		agnostic = agnostic || c.Class < 0
	}
	// the margin is more than a float32 is off at any class's offset
	if agnostic || classes > maxClassLists || high-low > classOffset-64 {
		classes = 1
	}
	s.first = resize(s.first, classes+1)
	s.kept = resize(s.kept, classes)
	clear(s.first)
	clear(s.kept)
	if classes > 1 {
		for _, at := range s.order {
			s.first[candidates[at].Class+1]++
		}
		for i := range classes {
			s.first[i+1] += s.first[i]
		}
	}
	s.boxes = resize(s.boxes, len(s.order))
	return classes
}

// maxClassLists bounds the lists, and with them the offset whose rounding
// plan's margin covers; above it every box is compared with every other.
const maxClassLists = 10000

// overlaps reports whether a kept box has more than iou in common with b, in
// torchvision's arithmetic (ops/cpu/nms_kernel.cpp).
func overlaps(kept []offsetBox, b offsetBox, iou float64) bool {
	for i := range kept {
		k := &kept[i]
		if k.x1 >= b.x2 || k.x2 <= b.x1 || k.y1 >= b.y2 || k.y2 <= b.y1 {
			continue
		}
		w := min(k.x2, b.x2) - max(k.x1, b.x1)
		h := min(k.y2, b.y2) - max(k.y1, b.y1)
		inter := w * h
		if float64(inter/(k.area+b.area-inter)) > iou {
			return true
		}
	}
	return false
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
