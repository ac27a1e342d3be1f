package model

import (
	"fmt"
	"sort"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// fitted is what rows beside the maps said about their decoding.
type fitted struct {
	fit    *fit
	levels []*level
}

// anchorsFor gives the anchors in the order of other levels.
func (f *fitted) anchorsFor(levels []*level) [][][2]float32 {
	if f == nil || f.fit.anchors == nil {
		return nil
	}
	var out [][][2]float32
	for _, l := range levels {
		for i, k := range f.levels {
			if k.ny == l.ny && k.nx == l.nx {
				out = append(out, f.fit.anchors[i])
			}
		}
	}
	return out
}

// detectMaps reads a head whose outputs are maps: one for each level, or box,
// conf and labels for each.
func (r *reading) detectMaps(outputs []string, rows *fitted) (*found, error) {
	var levels []*level
	for _, name := range outputs {
		convs := r.terminals(name)
		if len(convs) == 0 {
			return nil, fmt.Errorf("%w: no convolution stands behind output %.80q", ErrNotDetector, name)
		}
		own, err := r.levels(convs)
		if err != nil {
			return nil, err
		}
		if len(own) != 1 {
			return nil, fmt.Errorf("%w: output %s mixes maps of several sizes", ErrNotDetector, r.list([]string{name}))
		}
		levels = merge(levels, own[0], name)
	}
	sort.SliceStable(levels, func(i, j int) bool { return levels[i].ny*levels[i].nx > levels[j].ny*levels[j].nx })
	for _, l := range levels {
		if l.stride == 0 {
			return nil, fmt.Errorf("%w: map of %dx%d cells is not a scale of an input of %dx%d", ErrNotDetector, l.ny, l.nx, r.height, r.width)
		}
		if len(l.outputs) != len(levels[0].outputs) || len(l.convs) != len(levels[0].convs) {
			return nil, fmt.Errorf("%w: its levels do not have the same outputs: %s", ErrUnknownHead, r.list(outputs))
		}
		r.findRaw(l)
	}
	if rows == nil && r.boxAndLabels(levels) {
		f, err := r.distanceMaps(levels)
		if f != nil || err != nil {
			return f, err
		}
		if r.said.layout == "" && r.joinedByChannel(levels) {
			return nil, fmt.Errorf("%w: each of its maps holds two convolutions side by side, of %d and %d channels; say --head yolov8 if they are distances and class scores",
				ErrUnknownHead, r.channels(levels[0].convs[0]), r.channels(levels[0].convs[1]))
		}
	}
	h := decode.Head{}
	got := &found{cut: rows != nil}
	var err error
	switch n := len(levels[0].outputs); n {
	case 1:
		err = r.oneEach(&h, got, levels)
	case 3:
		err = r.threeEach(&h, got, levels)
	default:
		err = fmt.Errorf("%w: every level has %d outputs (%s); trtdet knows one, or box, conf and labels", ErrUnknownHead, n, r.list(outputs))
	}
	if err != nil {
		return nil, err
	}
	na, err := r.countAnchors(&h, levels)
	if err != nil {
		return nil, err
	}
	kind := r.kind(levels)
	if h.Family, err = r.family(&h, kind, na, rows); err != nil {
		return nil, err
	}
	if h.Kind, err = r.settle(kind, h.Family); err != nil {
		return nil, err
	}
	if err := r.countClasses(&h, levels, na, rows.anchorsFor(levels)); err != nil {
		return nil, err
	}
	got.head = h
	return got, nil
}

func merge(levels []*level, own *level, output string) []*level {
	for _, l := range levels {
		if l.ny == own.ny && l.nx == own.nx {
			for _, c := range own.convs {
				if !contains(l.convs, c) {
					l.convs = append(l.convs, c)
				}
			}
			l.outputs = append(l.outputs, output)
			return levels
		}
	}
	own.outputs = []string{output}
	return append(levels, own)
}

// oneEach reads levels with one output each.
func (r *reading) oneEach(h *decode.Head, got *found, levels []*level) error {
	for i, l := range levels {
		layout, err := r.mapLayout(l)
		if err != nil {
			return err
		}
		outputs := l.outputs
		if layout.cut {
			outputs, got.cut = l.raw, true
		}
		if i == 0 {
			h.Layout, h.SigmoidApplied = layout.layout, l.sigmoid
		}
		if layout.layout != h.Layout || l.sigmoid != h.SigmoidApplied {
			return fmt.Errorf("%w: its levels do not lie the same way", ErrUnknownHead)
		}
		h.Levels = append(h.Levels, decode.Level{Stride: l.stride, Outputs: outputs})
		got.outputs = append(got.outputs, outputs...)
	}
	switch want := r.said.layout; {
	case want == "" || want == h.Layout:
	case want == decode.Split && h.Layout == decode.Fused:
		// a map says nothing about how its channels were meant
		h.Layout = decode.Split
	default:
		return fmt.Errorf("%w: --head %s, but output %s is %s", ErrHint, want, r.list(levels[0].outputs), h.Layout)
	}
	return nil
}

// mapLayout is how a level's one output lies. cut is set where it is cut back to
// the level's raw tensors, which lie that way.
type mapLayout struct {
	layout decode.Layout
	cut    bool
}

// mapLayout finds what the one output of a level is made of: its raw
// predictions, which may stand some way behind its convs, in any order or past
// a sigmoid. What is none of these is taken on the user's word alone.
func (r *reading) mapLayout(l *level) (mapLayout, error) {
	name := l.outputs[0]
	own := mapLayout{layout: decode.Fused}
	if len(r.shape(name)) == 5 {
		own.layout = decode.FiveD
	}
	if len(l.raw) == 1 && l.raw[0] == name {
		return own, nil
	}
	na := 0
	if _, conf, _, ok := r.parts(l); ok {
		na = r.channels(conf)
	}
	var why error
	for i, raw := range append([][]string{l.raw}, each(r.jointsOf(l))...) {
		l.raw = raw
		if i > 0 {
			l.sigmoid = false // a joint is not past one
		}
		if len(raw) == 1 && raw[0] == name {
			return own, nil
		}
		f, err := r.fitMap(l, name, na)
		switch {
		case err != nil:
			why = err
		case f != nil && f.sigmoid:
			return mapLayout{f.layout, true}, nil // trtdet's decoders take the sigmoid themselves
		case f != nil:
			return own, nil
		}
	}
	l.raw = l.outputs
	if r.said.layout == own.layout {
		return own, nil
	}
	if why != nil {
		return own, fmt.Errorf("%w: what the graph does to get output %.80q cannot be followed (%w); say --head %s if it is the raw predictions", ErrUnknownHead, name, why, own.layout)
	}
	return own, fmt.Errorf("%w: output %.80q is neither the predictions behind it nor their sigmoid; say --head %s if it is the raw predictions", ErrUnknownHead, name, own.layout)
}

// each makes a list of every name.
func each(names []string) (lists [][]string) {
	for _, name := range names {
		lists = append(lists, []string{name})
	}
	return lists
}

// threeEach reads levels whose box, conf and labels are outputs of their own.
func (r *reading) threeEach(h *decode.Head, got *found, levels []*level) error {
	if l := r.said.layout; l != "" && l != decode.Split {
		return fmt.Errorf("%w: --head %s, but the outputs are split", ErrHint, l)
	}
	h.Layout = decode.Split
	for i, l := range levels {
		box, conf, labels, ok := r.parts(l)
		if !ok {
			return fmt.Errorf("%w: outputs %s are not 4*na, na and nc*na channels", ErrUnknownHead, r.list(l.outputs))
		}
		names := make([]string, 3)
		var sigmoids [3]bool
		for k, c := range []*onnx.Node{box, conf, labels} {
			for _, o := range l.outputs {
				if t := r.terminals(o); len(t) != 1 || t[0] != c {
					continue
				}
				names[k] = o
				producer := r.index.Producer(r.back(o))
				sigmoids[k] = producer.Is("Sigmoid")
				if sigmoids[k] {
					producer = r.index.Producer(r.back(producer.Input(0)))
				}
				if producer != c {
					return fmt.Errorf("%w: something is done to the predictions in output %.80q; export the raw maps", ErrUnknownHead, o)
				}
			}
			if names[k] == "" {
				return fmt.Errorf("%w: outputs %s are not one conv each", ErrUnknownHead, r.list(l.outputs))
			}
		}
		switch sigmoids {
		case [3]bool{}:
		case [3]bool{false, true, true}:
			l.sigmoid = true
		default:
			names = []string{r.rawOf(box), r.rawOf(conf), r.rawOf(labels)}
			got.cut = true
		}
		if i == 0 {
			h.SigmoidApplied = l.sigmoid
		}
		if l.sigmoid != h.SigmoidApplied {
			return fmt.Errorf("%w: some levels are past a sigmoid and some are not", ErrUnknownHead)
		}
		h.Levels = append(h.Levels, decode.Level{Stride: l.stride, Outputs: names})
		got.outputs = append(got.outputs, names...)
	}
	return nil
}
