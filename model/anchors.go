package model

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/trtdet/trtdet/decode"
)

// countAnchors returns the number of anchors per cell that the graph shows, 0
// where it does not show it.
func (r *reading) countAnchors(h *decode.Head, levels []*level) (int, error) {
	na := 0
	for i, l := range levels {
		n := 0
		if h.Layout == decode.FiveD {
			n = r.shape(l.outputs[0])[1]
		} else if _, conf, _, ok := r.parts(l); ok {
			n = r.channels(conf)
		}
		if i > 0 && n != na {
			return 0, fmt.Errorf("%w: its levels have %d and %d anchors", ErrUnknownHead, na, n)
		}
		na = n
	}
	return na, nil
}

// family tells YOLOX's maps from YOLOv5's by the formula of rows beside them,
// by what was said, by the number of anchors, or by the sigmoid, which YOLOX's
// have on everything but the boxes.
func (r *reading) family(h *decode.Head, kind decode.Kind, na int, rows *fitted) (decode.Family, error) {
	switch {
	case rows != nil && rows.fit.family != "":
		return rows.fit.family, nil
	case r.said.family != "":
		return r.said.family, nil
	case na > 1 || r.said.anchors != nil:
		return decode.YOLOv5, nil
	case h.SigmoidApplied, r.said.kind == decode.KindYOLOX:
		return decode.YOLOX, nil
	case kind == decode.KindYOLOX:
		return "", fmt.Errorf("%w: its maps could be YOLOX's or YOLOv5's with one anchor; say --head yolox, or give the anchors with --anchors or --cfg", ErrAmbiguous)
	}
	return decode.YOLOv5, nil
}

// countClasses fills in anchors and classes of maps, or says what is missing.
func (r *reading) countClasses(h *decode.Head, levels []*level, na int, anchors [][][2]float32) error {
	if h.Family == decode.YOLOv8 {
		return fmt.Errorf("%w: YOLOv8's raw maps are not decoded here; export with its own decoding (columns)", ErrUnknownHead)
	}
	if h.Family == decode.YOLOv5 {
		if err := r.setAnchors(h, anchors); err != nil {
			if na == 0 && errors.Is(err, ErrAmbiguous) {
				return fmt.Errorf("%w (without them %d channels can be split into anchors and classes in more than one way)", err, r.total(levels[0]))
			}
			return err
		}
	}
	given := h.AnchorsPerCell()
	if na > 0 && na != given {
		return fmt.Errorf("%w: %s has %d anchors per level, the graph has %d", ErrHint, r.said.anchorsSource, given, na)
	}
	channels := r.total(levels[0])
	for _, l := range levels {
		if r.total(l) != channels {
			return fmt.Errorf("%w: its levels have %d and %d channels", ErrNotDetector, channels, r.total(l))
		}
	}
	if channels%given != 0 || channels/given < 6 {
		return fmt.Errorf("%w: %d channels are not %d anchors of 5 + classes; check --anchors or --cfg", ErrHint, channels, given)
	}
	var err error
	h.Classes, err = r.classes(channels/given - 5)
	return err
}

// setAnchors gives the head its anchors: the graph's where it decodes with
// them, otherwise those that were said.
func (r *reading) setAnchors(h *decode.Head, graph [][][2]float32) error {
	if h.Family != decode.YOLOv5 {
		if r.said.anchors != nil && strings.HasPrefix(r.said.anchorsSource, "--anchors") {
			return fmt.Errorf("%w: %s, but a %s head has no anchors", ErrHint, r.said.anchorsSource, h.Family)
		}
		return nil
	}
	anchors := r.said.anchors
	if anchors == nil && graph == nil {
		return fmt.Errorf("%w: the anchors are missing; give --anchors W,H,... per level in pixels, or --cfg model.yaml, for strides %v", ErrAmbiguous, strides(h))
	}
	if anchors != nil && len(anchors) != len(h.Levels) {
		if graph == nil {
			return fmt.Errorf("%w: %s has anchors for %d levels, the graph has %d", ErrHint, r.said.anchorsSource, len(anchors), len(h.Levels))
		}
		anchors = nil
	}
	// said anchors are ascending, levels may not be
	order := make([]int, len(h.Levels))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return h.Levels[order[i]].Stride < h.Levels[order[j]].Stride })
	for rank, i := range order {
		if anchors != nil {
			h.Levels[i].Anchors = anchors[rank]
		}
		if graph == nil {
			continue
		}
		if anchors != nil && !sameAnchors(anchors[rank], graph[i]) {
			if strings.HasPrefix(r.said.anchorsSource, "--") {
				return fmt.Errorf("%w: %s has anchors %v at stride %d, the graph decodes with %v; leave them out", ErrHint, r.said.anchorsSource, anchors[rank], h.Levels[i].Stride, graph[i])
			}
			r.note("%s differs from what the graph decodes with; the graph's anchors are used", r.said.anchorsSource)
			for k := range h.Levels {
				h.Levels[k].Anchors = graph[k]
			}
			return nil
		}
		h.Levels[i].Anchors = graph[i]
	}
	return nil
}

func sameAnchors(a, b [][2]float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		for k := range 2 {
			// half-precision graphs round their anchors
			if d := a[i][k] - b[i][k]; d > 5e-3*b[i][k] || -d > 5e-3*b[i][k] {
				return false
			}
		}
	}
	return true
}

func strides(h *decode.Head) []int {
	var list []int
	for _, l := range h.Levels {
		list = append(list, l.Stride)
	}
	return list
}

// classes checks the number of classes the graph shows against what was said.
func (r *reading) classes(graph int) (int, error) {
	if graph < 1 || graph > maxClasses {
		return 0, fmt.Errorf("%w: its shape leaves room for %d classes", ErrNotDetector, graph)
	}
	if r.said.classes != 0 && r.said.classes != graph {
		return 0, fmt.Errorf("%w: %s is %d, the graph has %d classes", ErrHint, r.said.classesSource, r.said.classes, graph)
	}
	if n := len(r.said.names); n != 0 && n != graph {
		if r.said.namesSource == "metadata names" {
			return 0, fmt.Errorf("%w: its metadata names %d classes, its outputs have room for %d; a segmentation or pose model, or wrong anchors", ErrUnknownHead, n, graph)
		}
		return 0, fmt.Errorf("%w: %s has %d names, the graph has %d classes", ErrHint, r.said.namesSource, n, graph)
	}
	return graph, nil
}
