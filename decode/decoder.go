package decode

import (
	"fmt"
	"math"
)

// Decoder turns a network's outputs into candidates. It holds nothing but the
// head, so any number of goroutines may share one.
type Decoder struct {
	// MultiLabel makes a candidate of every label whose score passes, not of
	// the best alone: YOLOv5's val.py measures so, its detect.py does not. It
	// must not change while the decoder is in use.
	MultiLabel bool

	head Head
	rows int // channels of one prediction: 5 + classes, or 4 + classes without confidence
}

// NewDecoder checks the head and returns its decoder. The head is copied but
// for its slices, which must not change while the decoder lives. Errors wrap
// ErrHead.
func NewDecoder(head Head) (*Decoder, error) {
	if err := head.Validate(); err != nil {
		return nil, err
	}
	d := &Decoder{head: head, rows: 5 + head.Classes}
	if head.Layout == Columns {
		d.rows = 4 + head.Classes
	}
	return d, nil
}

// Head returns the head the decoder was made for.
func (d *Decoder) Head() Head { return d.head }

// Decode appends to dst the candidates of one picture of the batch: those
// whose confidence, and whose confidence x label, are more than conf (0 to 1).
// Boxes are in pixels of the input, candidates in the order of their Anchor,
// then of their Class. outputs are the network's, in any order, found by name;
// inputW and inputH are the input's size in this run, which the grids follow.
//
// A prediction is dropped and counted in nonFinite when a number that decides
// about it is NaN or infinite: its confidence; one of its labels, once the
// confidence passes; its box or score, once the score passes.
//
// Nothing is allocated where dst has room. Errors wrap ErrHead and name the
// tensor with the shape it has and the shape the head wants.
func (d *Decoder) Decode(dst []Candidate, outputs []Tensor, index, inputW, inputH int, conf float32) (candidates []Candidate, nonFinite int, err error) {
	if !(conf >= 0 && conf <= 1) {
		return dst, 0, fmt.Errorf("confidence threshold is %g, want 0 to 1", conf)
	}
	if inputW < 1 || inputH < 1 {
		return dst, 0, fmt.Errorf("%w: input is %dx%d, want at least 1x1", ErrHead, inputW, inputH)
	}
	s := scan{
		dst: dst, conf: conf, confBorder: conf,
		family: d.head.Family, classes: d.head.Classes,
		logits: !d.head.SigmoidApplied, decoded: d.head.Decoded(), multiLabel: d.MultiLabel,
	}
	if s.logits {
		s.confBorder = logitThreshold(conf)
	}
	switch d.head.Layout {
	case Rows, Columns:
		err = d.decodeRows(&s, outputs, index)
	case RowsGrid:
		err = d.decodeRowsGrid(&s, outputs, index, inputW, inputH)
	default:
		err = d.decodeMaps(&s, outputs, index, inputW, inputH)
	}
	if err != nil {
		return dst, 0, err
	}
	return s.dst, s.nonFinite, nil
}

// decodeRows reads one tensor of decoded rows (B, N, 5+nc) or columns
// (B, 4+nc, N).
func (d *Decoder) decodeRows(s *scan, outputs []Tensor, index int) error {
	t, err := find(outputs, d.head.Levels[0].Outputs[0])
	if err != nil {
		return err
	}
	channels := 2
	if d.head.Layout == Columns {
		channels = 1
	}
	if len(t.Shape) != 3 || t.Shape[channels] != d.rows {
		if channels == 1 {
			return fmt.Errorf("%w: output %q has shape %v, want (B, %d, N): 4 + %d classes", ErrHead, t.Name, t.Shape, d.rows, d.head.Classes)
		}
		return fmt.Errorf("%w: output %q has shape %v, want (B, N, %d): 5 + %d classes", ErrHead, t.Name, t.Shape, d.rows, d.head.Classes)
	}
	data, err := t.picture(index)
	if err != nil {
		return err
	}
	n := t.Shape[3-channels]
	if err := checkCount(n); err != nil {
		return fmt.Errorf("output %q: %w", t.Name, err)
	}
	if channels == 1 {
		s.run(view{box: data, labels: data[4*n:], channel: n, position: 1, count: n})
	} else {
		s.run(interleaved(data, n, d.rows))
	}
	return nil
}

// decodeRowsGrid reads the rows of all levels (B, N, 5+nc), which still need
// grid and stride. N has to be what the input's size gives.
func (d *Decoder) decodeRowsGrid(s *scan, outputs []Tensor, index, inputW, inputH int) error {
	t, err := find(outputs, d.head.Levels[0].Outputs[0])
	if err != nil {
		return err
	}
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
	data, err := t.picture(index)
	if err != nil {
		return err
	}
	for _, l := range d.head.Levels {
		nx, ny := gridSide(inputW, l.Stride, up), gridSide(inputH, l.Stride, up)
		v := interleaved(data, nx*ny, d.rows)
		v.nx, v.stride = nx, float32(l.Stride)
		s.run(v)
		data = data[nx*ny*d.rows:]
	}
	return nil
}

// decodeMaps reads the raw maps of each level: fused, split or 5d.
func (d *Decoder) decodeMaps(s *scan, outputs []Tensor, index, inputW, inputH int) error {
	na := d.head.AnchorsPerCell()
	for i := range d.head.Levels {
		l := &d.head.Levels[i]
		var maps [3]mapping
		var err error
		switch {
		case d.head.Layout == FiveD:
			maps[0], err = readMap(outputs, l.Outputs[0], index, na, d.rows, true)
		case len(l.Outputs) == 1:
			maps[0], err = readMap(outputs, l.Outputs[0], index, na*d.rows, 0, false)
		default:
			for k, channels := range [3]int{na * 4, na, na * d.head.Classes} {
				if maps[k], err = readMap(outputs, l.Outputs[k], index, channels, 0, false); err != nil {
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
		if err := checkCount(int(s.anchor) + na*nx*ny); err != nil {
			return fmt.Errorf("output %q: %w", l.Outputs[0], err)
		}
		for a := range na {
			v := d.anchorView(&maps, a, na)
			v.nx, v.stride = nx, float32(l.Stride)
			if d.head.Family == YOLOv5 {
				v.anchorW, v.anchorH = l.Anchors[a][0], l.Anchors[a][1]
			}
			s.run(v)
		}
	}
	return nil
}

// anchorView is where the predictions of anchor a of na lie in a level's maps.
func (d *Decoder) anchorView(maps *[3]mapping, a, na int) view {
	plane := maps[0].nx * maps[0].ny
	data, nc := maps[0].data, d.head.Classes
	switch {
	case d.head.Layout == FiveD:
		return interleaved(data[a*plane*d.rows:], plane, d.rows)
	case d.head.Layout == Fused:
		data = data[a*d.rows*plane:]
		return view{box: data, conf: data[4*plane:], labels: data[5*plane:], channel: plane, position: 1, count: plane}
	case maps[1].data == nil: // split, in one concatenation
		return view{
			box: data[a*4*plane:], conf: data[(na*4+a)*plane:], labels: data[(na*5+a*nc)*plane:],
			channel: plane, position: 1, count: plane,
		}
	}
	return view{
		box: data[a*4*plane:], conf: maps[1].data[a*plane:], labels: maps[2].data[a*nc*plane:],
		channel: plane, position: 1, count: plane,
	}
}

// mapping is one picture's map of one output.
type mapping struct {
	data   []float32
	nx, ny int
}

// readMap finds an output and checks it to be (B, channels, ny, nx), or
// (B, channels, ny, nx, last) where fiveD is set.
func readMap(outputs []Tensor, name string, index, channels, last int, fiveD bool) (mapping, error) {
	t, err := find(outputs, name)
	if err != nil {
		return mapping{}, err
	}
	if fiveD && (len(t.Shape) != 5 || t.Shape[1] != channels || t.Shape[4] != last) {
		return mapping{}, fmt.Errorf("%w: output %q has shape %v, want (B, %d, ny, nx, %d)", ErrHead, name, t.Shape, channels, last)
	}
	if !fiveD && (len(t.Shape) != 4 || t.Shape[1] != channels) {
		return mapping{}, fmt.Errorf("%w: output %q has shape %v, want (B, %d, ny, nx)", ErrHead, name, t.Shape, channels)
	}
	data, err := t.picture(index)
	if err != nil {
		return mapping{}, err
	}
	return mapping{data: data, nx: t.Shape[3], ny: t.Shape[2]}, nil
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
