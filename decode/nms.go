package decode

import "strconv"

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
	// Selected is set for boxes that the graph has selected: none suppresses
	// another.
	Selected bool
}

// YOLOv5's constants (utils/general.py, non_max_suppression).
const (
	maxNMS      = 30000 // boxes that take part, the best
	classOffset = 7680  // pixels between the classes' boxes
)

// NMS drops the boxes that a better one of their class overlaps, as YOLOv5's
// non_max_suppression and torchvision's nms do, in their float32 arithmetic and
// order: classes are kept apart by adding 7680 px per class to the boxes, the
// best 30,000 take part, equal scores keep the order of their anchors, then of
// their classes. It reorders candidates in place and returns the part of them
// that is left, best score first. Boxes have to be finite.
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
	if o.Selected {
		s.indices = append(s.indices[:0], s.order[:limit]...)
		return s.take(candidates)
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
