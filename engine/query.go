package engine

import (
	"fmt"
	"slices"

	"github.com/trtdet/trtdet/decode"
)

// OptionError is about an option whose value cannot be.
type OptionError struct {
	// Option is its name, such as Conf.
	Option string
	// Reason says what it is and what is wanted.
	Reason string
}

func (e *OptionError) Error() string { return e.Option + " " + e.Reason }

// CallOption has calls ask for something else than the Detector was opened for,
// see Detector.With.
type CallOption func(*query)

// Conf is the confidence threshold, 0 to 1, that a detection's score must exceed.
// What a graph with NMS in it has dropped does not come back.
func Conf(threshold float32) CallOption { return func(q *query) { q.conf = &threshold } }

// IoU is the overlap, 0 to 1, above which NMS drops the box with the lower score.
// A graph with NMS in it has its own.
func IoU(threshold float32) CallOption { return func(q *query) { q.iou = &threshold } }

// MaxDet is the most detections kept in a picture, 1 or more.
func MaxDet(n int) CallOption { return func(q *query) { q.maxDet = &n } }

// Classes keeps only the classes with these indices, beside those of ClassNames; no
// index and no name keep all.
func Classes(ids ...int) CallOption {
	return func(q *query) { q.classes, q.byClass = slices.Clone(ids), true }
}

// ClassNames keeps only the classes of these names, beside those of Classes.
func ClassNames(names ...string) CallOption {
	return func(q *query) { q.names, q.byClass = slices.Clone(names), true }
}

// query is what calls ask for otherwise than the Detector was opened for.
type query struct {
	conf, iou *float32
	maxDet    *int
	classes   []int
	names     []string
	byClass   bool
}

// selection says which predictions become detections.
type selection struct {
	conf float32
	nms  decode.NMSOptions
}

// selectionOf is what a query asks of the model; nil asks for nothing of its own.
func (c *core) selectionOf(q *query) (*selection, error) {
	if q == nil {
		return &c.selection, nil
	}
	s := c.selection
	if q.conf != nil {
		s.conf = *q.conf
	}
	if q.iou != nil {
		s.nms.IoU = *q.iou
	}
	if q.maxDet != nil {
		if s.nms.MaxDet = *q.maxDet; s.nms.MaxDet < 1 {
			return nil, &OptionError{"MaxDet", fmt.Sprintf("is %d, want 1 or more", s.nms.MaxDet)}
		}
	}
	if q.byClass {
		var err error
		if s.nms.Classes, err = classIDs(&c.spec, q.classes, q.names); err != nil {
			return nil, err
		}
	}
	return &s, s.checkThresholds()
}

func (s *selection) checkThresholds() error {
	for _, t := range [...]struct {
		name  string
		value float32
	}{{"Conf", s.conf}, {"IoU", s.nms.IoU}} {
		if !(t.value >= 0 && t.value <= 1) {
			return &OptionError{t.name, fmt.Sprintf("is %g, want 0 to 1", t.value)}
		}
	}
	return nil
}

// setSelection settles what is kept where a call asks for nothing of its own.
func (c *core) setSelection(o *Options) error {
	classes, err := classIDs(&c.spec, o.Classes, o.ClassNames)
	if err != nil {
		return err
	}
	if o.MaxDet < 0 {
		return &OptionError{"MaxDet", fmt.Sprintf("is %d, want 1 or more, or 0 for %d", o.MaxDet, DefaultMaxDet)}
	}
	c.selection = selection{conf: c.spec.Thresholds.Conf, nms: decode.NMSOptions{
		IoU: c.spec.Thresholds.IoU, MaxDet: orDefault(o.MaxDet, DefaultMaxDet), Classes: classes, Agnostic: o.AgnosticNMS,
		Selected: c.spec.Head.Selected(),
	}}
	return c.selection.checkThresholds()
}
