package decode

import "fmt"

// Decoder turns a network's outputs into candidates. It holds nothing but the
// head, so any number of goroutines may share one.
type Decoder struct {
	// MultiLabel makes a candidate of every label whose score passes, not of
	// the best alone: YOLOv5's val.py measures so, its detect.py does not. It
	// must not change while the decoder is in use.
	MultiLabel bool

	head Head
	rows int // channels of one prediction
}

// NewDecoder checks the head and returns its decoder. The head is copied but
// for its slices, which must not change while the decoder lives. Errors wrap
// ErrHead.
func NewDecoder(head Head) (*Decoder, error) {
	if err := head.Validate(); err != nil {
		return nil, err
	}
	d := &Decoder{head: head, rows: 5 + head.Classes}
	switch {
	case head.Layout == Columns:
		d.rows = 4 + head.Classes // no confidence
	case head.Layout == End2End:
		d.rows = 6
	case head.distances():
		d.rows = 4*head.RegMax + head.Classes
	}
	return d, nil
}

// Head returns the head the decoder was made for.
func (d *Decoder) Head() Head { return d.head }

// ConfBorder returns the threshold conf as the head's tensors have it: a
// confidence there passes when it is more than the border.
func (d *Decoder) ConfBorder(conf float32) float32 {
	if d.head.SigmoidApplied {
		return conf
	}
	return logitThreshold(conf)
}

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
		dst: dst, conf: conf, confBorder: d.ConfBorder(conf),
		formula: d.head.Formula(), regMax: d.head.RegMax, classes: d.head.Classes, labels: d.head.Classes,
		logits: !d.head.SigmoidApplied, multiLabel: d.MultiLabel,
	}
	if d.head.Selected() {
		s.labels = 1
	}
	err = d.eachView(outputs, inputW, inputH, func(v View) error {
		placed, err := v.of(outputs, index)
		if err == nil {
			s.run(placed)
		}
		return err
	})
	if err != nil {
		return dst, 0, err
	}
	return s.dst, s.nonFinite, nil
}
