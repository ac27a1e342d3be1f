package decode

import (
	"errors"
	"fmt"
)

// ErrHead is wrapped by every error about a head that contradicts itself.
var ErrHead = errors.New("head does not fit")

// Family is the line of detectors whose decode formula a head follows.
type Family string

// The families trtdet decodes.
const (
	YOLOv5 Family = "yolov5" // xy = (2s - 0.5 + grid) * stride, wh = (2s)^2 * anchor
	YOLOX  Family = "yolox"  // xy = (p + grid) * stride, wh = exp(p) * stride
	YOLOv8 Family = "yolov8" // distances to the four sides, no objectness; v8 to 26
)

// Kind is how a head is built between the feature map and its predictions.
type Kind string

// The kinds of head. KindUnknown is a graph whose head cannot be told, for
// example decoded rows with nothing behind them that looks like a head.
const (
	KindUnknown   Kind = ""
	Coupled       Kind = "coupled"        // one 1x1 conv, the stock YOLOv5 head
	DecoupledBase Kind = "decoupled-base" // 1x1 base conv, then one 3x3 conv per branch
	Decoupled     Kind = "decoupled"      // one 3x3 conv per branch, no base conv
	KindYOLOX     Kind = "yolox"          // 1x1 stem, two 3x3 convs per branch, anchor-free
)

// Layout is how predictions lie in the network's output tensors. B is the
// batch, na the anchors per cell, nc the classes, no = 5+nc, N all rows.
type Layout string

// The layouts.
const (
	// Fused is one map (B, na*no, ny, nx) per level, taken in channel order:
	// anchor a owns channels a*no to a*no+no-1, whatever conv wrote them.
	Fused Layout = "fused"
	// Split keeps box (B, na*4, ny, nx), conf (B, na, ny, nx) and labels
	// (B, na*nc, ny, nx) apart: three outputs per level in that order, or one
	// output that is their concatenation. Box is a*4+k, conf a, label a*nc+k.
	// YOLOv8 has two, box (B, 4*RegMax, ny, nx) and labels (B, nc, ny, nx).
	Split Layout = "split"
	// FiveD is one map (B, na, ny, nx, no) per level.
	FiveD Layout = "5d"
	// Rows is one tensor (B, N, 5+nc), decoded in the graph: center x, center
	// y, width, height in pixels of the network's input, conf, labels.
	Rows Layout = "rows"
	// RowsGrid is (B, N, 5+nc) as YOLOX writes it: the rows of all levels,
	// which still need grid and stride.
	RowsGrid Layout = "rows-grid"
	// Columns is (B, 4+nc, N) as YOLOv8 writes it: decoded, score = label. Another
	// family's are those of a graph that has multiplied confidence and labels.
	Columns Layout = "columns"
	// End2End is (B, K, 6), the boxes that the graph has selected, as YOLOv10
	// and YOLO26 write them: x1, y1, x2, y2 in pixels of the network's input,
	// score, class id. NMS is not for them.
	End2End Layout = "end2end"
)

// Level is one scale of the head.
type Level struct {
	// Stride is the number of input pixels per cell; 0 where the graph has
	// already decoded (Rows, Columns).
	Stride int `json:"stride,omitempty"`
	// Anchors are width and height in pixels of the network's input, one per
	// anchor of the level; empty for anchor-free heads and decoded rows.
	Anchors [][2]float32 `json:"anchors,omitempty"`
	// Outputs names the tensors that hold this level's predictions. The levels
	// of a RowsGrid head all name the same one.
	Outputs []string `json:"outputs"`
}

// Head says how a network's outputs become boxes.
type Head struct {
	Family  Family  `json:"family"`
	Kind    Kind    `json:"kind,omitempty"`
	Layout  Layout  `json:"layout"`
	Classes int     `json:"classes"`
	Levels  []Level `json:"levels"`
	// SigmoidApplied is set where the graph has already put confidence and
	// labels through a sigmoid (YOLOX's export, everything decoded), and in
	// YOLOv5's raw maps the box with them: y = sigmoid(p) of the whole map.
	SigmoidApplied bool `json:"sigmoid_applied"`
	// RegMax is YOLOv8's reg_max in its raw outputs: how many numbers each of
	// the four distances has. Their softmax weighs 0, 1, ... RegMax-1; a single
	// number is the distance itself. 0 in every other head.
	RegMax int `json:"reg_max,omitempty"`
}

// maxRegMax bounds RegMax; YOLOv8's is 16.
const maxRegMax = 256

// Thresholds are the defaults of a run.
type Thresholds struct {
	Conf float32 `json:"conf"` // least score of a detection, 0 to 1
	IoU  float32 `json:"iou"`  // overlap above which NMS suppresses, 0 to 1
}

// DefaultThresholds returns the kind's thresholds. The decoupled heads score
// high, and their author's values differ from YOLOv5's 0.25: 0.5 with a base
// conv, 0.4 without.
func (h *Head) DefaultThresholds() Thresholds {
	t := Thresholds{Conf: 0.25, IoU: 0.45}
	switch h.Kind {
	case DecoupledBase:
		t.Conf = 0.5
	case Decoupled:
		t.Conf = 0.4
	}
	return t
}

// AnchorsPerCell returns na of the first level: 1 for anchor-free heads.
func (h *Head) AnchorsPerCell() int {
	if len(h.Levels) == 0 || len(h.Levels[0].Anchors) == 0 {
		return 1
	}
	return len(h.Levels[0].Anchors)
}

// Decoded reports whether the graph has already turned predictions into boxes
// in pixels of its input.
func (h *Head) Decoded() bool {
	return h.Layout == Rows || h.Layout == Columns || h.Layout == End2End
}

// Selected reports whether the graph has selected the boxes, so that none
// suppresses another.
func (h *Head) Selected() bool { return h.Layout == End2End }

// distances reports whether boxes are YOLOv8's raw distances.
func (h *Head) distances() bool { return h.Family == YOLOv8 && h.Layout == Split }

// Formula is how the four numbers of a prediction become a box.
type Formula int

// The formulas.
const (
	FormulaYOLOv5  Formula = iota // xy = (2s - 0.5 + grid) * stride, wh = (2s)^2 * anchor
	FormulaYOLOX                  // xy = (p + grid) * stride, wh = exp(p) * stride
	FormulaYOLOv8                 // sides = (grid + 0.5 -+ distance) * stride
	FormulaDecoded                // center and size in pixels of the input
	FormulaCorners                // corners in pixels of the input
)

// Formula returns how the head's boxes are decoded.
func (h *Head) Formula() Formula {
	switch {
	case h.Layout == End2End:
		return FormulaCorners
	case h.Decoded():
		return FormulaDecoded
	case h.Family == YOLOX:
		return FormulaYOLOX
	case h.Family == YOLOv8:
		return FormulaYOLOv8
	}
	return FormulaYOLOv5
}

// Validate reports the first contradiction in the head as an error that wraps
// ErrHead and names the field.
func (h *Head) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrHead, fmt.Sprintf(format, args...))
	}
	switch h.Family {
	case YOLOv5, YOLOX, YOLOv8:
	default:
		return bad("family %q is none of yolov5, yolox, yolov8", h.Family)
	}
	switch h.Kind {
	case KindUnknown, Coupled, DecoupledBase, Decoupled, KindYOLOX:
	default:
		return bad("kind %q is none of coupled, decoupled-base, decoupled, yolox", h.Kind)
	}
	if h.Classes < 1 {
		return bad("classes is %d, want at least 1", h.Classes)
	}
	if len(h.Levels) == 0 {
		return bad("it has no levels")
	}
	outputs := 1
	switch h.Layout {
	case Fused, FiveD:
	case Split:
		outputs = 3
		if h.Family == YOLOv8 {
			outputs = 2
		}
	case Rows, Columns, End2End:
		if len(h.Levels) != 1 {
			return bad("layout %s has one level, not %d", h.Layout, len(h.Levels))
		}
	case RowsGrid:
		if h.Family != YOLOX {
			return bad("layout rows-grid is YOLOX's, not %s's", h.Family)
		}
	default:
		return bad("layout %q is none of fused, split, 5d, rows, rows-grid, columns, end2end", h.Layout)
	}
	if h.Family == YOLOv8 && h.Layout != Columns && h.Layout != End2End && !h.distances() {
		return bad("family %s does not come in layout %s", h.Family, h.Layout)
	}
	if h.distances() != (h.RegMax > 0) || h.RegMax < 0 || h.RegMax > maxRegMax {
		return bad("reg_max is %d, want 1 to %d in yolov8's raw outputs and 0 elsewhere", h.RegMax, maxRegMax)
	}
	if h.Decoded() && !h.SigmoidApplied {
		return bad("layout %s is decoded, so sigmoid_applied has to be true", h.Layout)
	}
	for i, l := range h.Levels {
		if n := len(l.Outputs); n != outputs && !(h.Layout == Split && n == 1) {
			return bad("level %d names %d outputs, layout %s has %d", i, n, h.Layout, outputs)
		}
		for k, name := range l.Outputs {
			if owner := h.owner(name); h.Layout != RowsGrid && owner != [2]int{i, k} {
				return bad("levels %d and %d both name output %q", owner[0], i, name)
			}
		}
		if h.Layout == RowsGrid && l.Outputs[0] != h.Levels[0].Outputs[0] {
			return bad("level %d names output %q, level 0 %q: in layout rows-grid they share one", i, l.Outputs[0], h.Levels[0].Outputs[0])
		}
		if h.Decoded() {
			continue
		}
		if l.Stride < 1 {
			return bad("level %d has stride %d, want at least 1", i, l.Stride)
		}
		if h.Family == YOLOv5 && len(l.Anchors) == 0 {
			return bad("level %d has no anchors", i)
		}
		if h.Family != YOLOv5 && len(l.Anchors) != 0 {
			return bad("level %d has %d anchors, but %s is anchor-free", i, len(l.Anchors), h.Family)
		}
		if len(l.Anchors) != len(h.Levels[0].Anchors) {
			return bad("level %d has %d anchors, level 0 has %d", i, len(l.Anchors), len(h.Levels[0].Anchors))
		}
		for _, a := range l.Anchors {
			// the negated form refuses NaN as well
			if !(a[0] > 0) || !(a[1] > 0) || !finite(a[0]) || !finite(a[1]) {
				return bad("level %d has anchor %gx%g, want positive sizes", i, a[0], a[1])
			}
		}
	}
	return nil
}

// owner returns the first level, and the place in it, that names an output.
func (h *Head) owner(output string) [2]int {
	for i, l := range h.Levels {
		for k, name := range l.Outputs {
			if name == output {
				return [2]int{i, k}
			}
		}
	}
	return [2]int{-1, -1}
}
