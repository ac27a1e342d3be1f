package decode

import (
	"fmt"
	"math"
)

// View is where the predictions of one anchor of one level lie in a network's
// outputs: of picture b of the batch, channel k of the prediction at position
// p is at b*Next + First + k*Channel + p*Position of its part.
type View struct {
	Box, Conf, Labels Part // Conf.Output is -1 where the head has no confidence
	Channel, Position int
	Count             int   // positions
	Anchor            int32 // Candidate.Anchor of the first one
	// NX is the number of cells in a row of the grid, Stride the input's pixels
	// per cell; 0 where the graph has decoded.
	NX     int
	Stride float32
	// AnchorW and AnchorH are YOLOv5's anchor in pixels of the input.
	AnchorW, AnchorH float32
}

// Part is where the box, confidence or labels of a View begin.
type Part struct {
	Output int // which of the outputs
	First  int // its number that holds the first channel of picture 0's first position
	Next   int // numbers from one picture to the next
}

// Views returns where the head's predictions lie in outputs of these shapes,
// whose Data is not looked at, level by level and anchor by anchor. Errors are
// Decode's.
func (d *Decoder) Views(outputs []Tensor, inputW, inputH int) ([]View, error) {
	var views []View
	err := d.eachView(outputs, inputW, inputH, func(v View) error {
		views = append(views, v)
		return nil
	})
	return views, err
}

// eachView calls yield for every View, in the order of their anchors.
func (d *Decoder) eachView(outputs []Tensor, inputW, inputH int, yield func(View) error) error {
	switch d.head.Layout {
	case Rows, Columns, End2End:
		return d.rowsView(outputs, yield)
	case RowsGrid:
		return d.rowsGridViews(outputs, inputW, inputH, yield)
	}
	return d.mapViews(outputs, inputW, inputH, yield)
}

// rowsView is that of one tensor of decoded rows (B, N, 5+nc), columns
// (B, 4+nc, N), or selected boxes (B, K, 6).
func (d *Decoder) rowsView(outputs []Tensor, yield func(View) error) error {
	o, err := find(outputs, d.head.Levels[0].Outputs[0])
	if err != nil {
		return err
	}
	t := &outputs[o]
	channels := 2
	if d.head.Layout == Columns {
		channels = 1
	}
	if len(t.Shape) != 3 || t.Shape[channels] != d.rows {
		switch d.head.Layout {
		case Columns:
			return fmt.Errorf("%w: output %q has shape %v, want (B, %d, N): 4 + %d classes", ErrHead, t.Name, t.Shape, d.rows, d.head.Classes)
		case End2End:
			return fmt.Errorf("%w: output %q has shape %v, want (B, K, 6)", ErrHead, t.Name, t.Shape)
		}
		return fmt.Errorf("%w: output %q has shape %v, want (B, N, %d): 5 + %d classes", ErrHead, t.Name, t.Shape, d.rows, d.head.Classes)
	}
	size, err := t.pictureSize()
	if err != nil {
		return err
	}
	n := t.Shape[3-channels]
	if err := checkCount(n); err != nil {
		return fmt.Errorf("output %q: %w", t.Name, err)
	}
	if channels == 1 {
		return yield(View{
			Box: Part{Output: o, Next: size}, Conf: Part{Output: -1}, Labels: Part{Output: o, First: 4 * n, Next: size},
			Channel: n, Position: 1, Count: n,
		})
	}
	v := interleaved(o, 0, size, n, d.rows)
	if d.head.Selected() {
		v.Conf, v.Labels = Part{Output: -1}, Part{Output: o, First: 4, Next: size} // score, then class id
	}
	return yield(v)
}

// rowsGridViews are those of the rows of all levels (B, N, 5+nc), which still
// need grid and stride. N has to be what the input's size gives.
func (d *Decoder) rowsGridViews(outputs []Tensor, inputW, inputH int, yield func(View) error) error {
	o, err := find(outputs, d.head.Levels[0].Outputs[0])
	if err != nil {
		return err
	}
	t := &outputs[o]
	// Sides that a stride does not divide come out of a network rounded up
	// (same padding) or down; the count tells which.
	cells := func(up bool) (n int) {
		for _, l := range d.head.Levels {
			n += gridSide(inputW, l.Stride, up) * gridSide(inputH, l.Stride, up)
		}
		return n
	}
	up := false
	if len(t.Shape) == 3 && t.Shape[1] != cells(false) {
		up = true
	}
	n := cells(up)
	if len(t.Shape) != 3 || t.Shape[1] != n || t.Shape[2] != d.rows {
		return fmt.Errorf("%w: output %q has shape %v, want (B, %d, %d): the cells of a %dx%d input (W x H) at %d strides, 5 + %d classes",
			ErrHead, t.Name, t.Shape, cells(false), d.rows, inputW, inputH, len(d.head.Levels), d.head.Classes)
	}
	if err := checkCount(n); err != nil {
		return fmt.Errorf("output %q: %w", t.Name, err)
	}
	size, err := t.pictureSize()
	if err != nil {
		return err
	}
	row := 0
	for _, l := range d.head.Levels {
		nx, ny := gridSide(inputW, l.Stride, up), gridSide(inputH, l.Stride, up)
		v := interleaved(o, row*d.rows, size, nx*ny, d.rows)
		v.Anchor, v.NX, v.Stride = int32(row), nx, float32(l.Stride)
		if err := yield(v); err != nil {
			return err
		}
		row += nx * ny
	}
	return nil
}

// mapViews are those of the raw maps of each level: fused, split or 5d.
func (d *Decoder) mapViews(outputs []Tensor, inputW, inputH int, yield func(View) error) error {
	na, anchor := d.head.AnchorsPerCell(), 0
	for i := range d.head.Levels {
		l := &d.head.Levels[i]
		var maps [3]mapping
		var err error
		switch {
		case d.head.Layout == FiveD:
			maps[0], err = findMap(outputs, l.Outputs[0], na, d.rows, true)
		case len(l.Outputs) == 1:
			maps[0], err = findMap(outputs, l.Outputs[0], na*d.rows, 0, false)
		default:
			for k, channels := range d.splitChannels(na) {
				if maps[k], err = findMap(outputs, l.Outputs[k], channels, 0, false); err != nil {
					break
				}
				if maps[k].nx != maps[0].nx || maps[k].ny != maps[0].ny {
					err = fmt.Errorf("%w: outputs %q and %q of one level have maps of %dx%d and %dx%d", ErrHead,
						l.Outputs[0], l.Outputs[k], maps[0].nx, maps[0].ny, maps[k].nx, maps[k].ny)
					break
				}
			}
		}
		if err != nil {
			return err
		}
		nx, ny := maps[0].nx, maps[0].ny
		if !fits(nx, inputW, l.Stride) || !fits(ny, inputH, l.Stride) {
			return fmt.Errorf("%w: output %q has a map of %dx%d (W x H), want %dx%d: a %dx%d input at stride %d", ErrHead, l.Outputs[0],
				nx, ny, gridSide(inputW, l.Stride, false), gridSide(inputH, l.Stride, false), inputW, inputH, l.Stride)
		}
		if err := checkCount(anchor + na*nx*ny); err != nil {
			return fmt.Errorf("output %q: %w", l.Outputs[0], err)
		}
		for a := range na {
			v := d.anchorView(&maps, a, na)
			v.Anchor, v.NX, v.Stride = int32(anchor), nx, float32(l.Stride)
			if d.head.Family == YOLOv5 {
				v.AnchorW, v.AnchorH = l.Anchors[a][0], l.Anchors[a][1]
			}
			if err := yield(v); err != nil {
				return err
			}
			anchor += nx * ny
		}
	}
	return nil
}

// anchorView is where the predictions of anchor a of na lie in a level's maps.
func (d *Decoder) anchorView(maps *[3]mapping, a, na int) View {
	plane, nc := maps[0].nx*maps[0].ny, d.head.Classes
	if d.head.Layout == FiveD {
		return interleaved(maps[0].output, a*plane*d.rows, maps[0].size, plane, d.rows)
	}
	v := View{Channel: plane, Position: 1, Count: plane}
	switch {
	case d.head.distances():
		v.Box, v.Conf, v.Labels = maps[0].part(0), Part{Output: -1}, maps[1].part(0)
		if maps[1].size == 0 { // one concatenation
			v.Labels = maps[0].part(4 * d.head.RegMax * plane)
		}
	case d.head.Layout == Fused:
		v.Box, v.Conf, v.Labels = maps[0].part(a*d.rows*plane), maps[0].part((a*d.rows+4)*plane), maps[0].part((a*d.rows+5)*plane)
	case maps[1].size == 0: // split, in one concatenation
		v.Box, v.Conf, v.Labels = maps[0].part(a*4*plane), maps[0].part((na*4+a)*plane), maps[0].part((na*5+a*nc)*plane)
	default:
		v.Box, v.Conf, v.Labels = maps[0].part(a*4*plane), maps[1].part(a*plane), maps[2].part(a*nc*plane)
	}
	return v
}

// splitChannels lists the channels of a level's outputs in layout split.
func (d *Decoder) splitChannels(na int) []int {
	if d.head.distances() {
		return []int{4 * d.head.RegMax, d.head.Classes}
	}
	return []int{na * 4, na, na * d.head.Classes}
}

// interleaved is the View of count rows of n channels each.
func interleaved(output, first, next, count, n int) View {
	part := func(k int) Part { return Part{Output: output, First: first + k, Next: next} }
	return View{Box: part(0), Conf: part(4), Labels: part(5), Channel: 1, Position: n, Count: count}
}

// mapping is a map among the outputs.
type mapping struct {
	output int
	size   int // numbers of one picture
	nx, ny int
}

func (m mapping) part(first int) Part { return Part{Output: m.output, First: first, Next: m.size} }

// findMap finds an output and checks it to be (B, channels, ny, nx), or
// (B, channels, ny, nx, last) where fiveD is set.
func findMap(outputs []Tensor, name string, channels, last int, fiveD bool) (mapping, error) {
	o, err := find(outputs, name)
	if err != nil {
		return mapping{}, err
	}
	t := &outputs[o]
	if fiveD && (len(t.Shape) != 5 || t.Shape[1] != channels || t.Shape[4] != last) {
		return mapping{}, fmt.Errorf("%w: output %q has shape %v, want (B, %d, ny, nx, %d)", ErrHead, name, t.Shape, channels, last)
	}
	if !fiveD && (len(t.Shape) != 4 || t.Shape[1] != channels) {
		return mapping{}, fmt.Errorf("%w: output %q has shape %v, want (B, %d, ny, nx)", ErrHead, name, t.Shape, channels)
	}
	size, err := t.pictureSize()
	if err != nil {
		return mapping{}, err
	}
	return mapping{output: o, size: size, nx: t.Shape[3], ny: t.Shape[2]}, nil
}

// gridSide is the number of cells along a side of the input.
func gridSide(input, stride int, up bool) int {
	if up {
		return (input + stride - 1) / stride
	}
	return input / stride
}

// fits reports whether n cells of a stride cover a side of the input, be the
// last cell whole or cut.
func fits(n, input, stride int) bool {
	return n > 0 && (n == gridSide(input, stride, false) || n == gridSide(input, stride, true))
}

// checkCount refuses more predictions than Candidate.Anchor can number.
func checkCount(n int) error {
	if n > math.MaxInt32 {
		return fmt.Errorf("%w: %d predictions in one picture are more than trtdet can number", ErrHead, n)
	}
	return nil
}
