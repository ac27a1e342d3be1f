package decode

import (
	"errors"
	"strings"
	"testing"
)

// testHead is a valid head of a layout: 2 levels of 2 anchors, 3 classes.
func testHead(l Layout) Head {
	anchors := [][2]float32{{10, 20}, {30, 15}}
	h := Head{Family: YOLOv5, Kind: Decoupled, Layout: l, Classes: 3}
	switch l {
	case Fused, FiveD:
		h.Levels = []Level{{8, anchors, []string{"p3"}}, {16, anchors, []string{"p4"}}}
	case Split:
		h.Levels = []Level{{8, anchors, []string{"b3", "c3", "l3"}}, {16, anchors, []string{"b4", "c4", "l4"}}}
	case Rows:
		h.Levels, h.SigmoidApplied = []Level{{Outputs: []string{"rows"}}}, true
	case Columns:
		h.Family, h.Kind = YOLOv8, KindUnknown
		h.Levels, h.SigmoidApplied = []Level{{Outputs: []string{"columns"}}}, true
	case End2End:
		h.Family, h.Kind = YOLOv8, KindUnknown
		h.Levels, h.SigmoidApplied = []Level{{Outputs: []string{"boxes"}}}, true
	case RowsGrid:
		h.Family, h.Kind = YOLOX, KindYOLOX
		h.Levels = []Level{{8, nil, []string{"rows"}}, {16, nil, []string{"rows"}}}
	}
	return h
}

// distancesHead is testHead with YOLOv8's raw outputs.
func distancesHead(regMax int) Head {
	return Head{Family: YOLOv8, Layout: Split, Classes: 3, RegMax: regMax,
		Levels: []Level{{8, nil, []string{"b3", "l3"}}, {16, nil, []string{"b4", "l4"}}}}
}

var layouts = []Layout{Fused, Split, FiveD, Rows, RowsGrid, Columns}

func TestHeadValidate(t *testing.T) {
	for _, l := range layouts {
		h := testHead(l)
		if err := h.Validate(); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
	for _, h := range []Head{distancesHead(1), distancesHead(16), testHead(End2End)} {
		if err := h.Validate(); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
	}
	cases := []struct {
		layout Layout
		change func(*Head)
		want   string
	}{
		{Split, func(h *Head) { *h = distancesHead(0) }, "reg_max is 0"},
		{Split, func(h *Head) { *h = distancesHead(maxRegMax + 1) }, "reg_max"},
		{Split, func(h *Head) { h.RegMax = 16 }, "reg_max is 16"},
		{Split, func(h *Head) { *h = distancesHead(16); h.Levels[0].Anchors = [][2]float32{{1, 1}} }, "anchor-free"},
		{Split, func(h *Head) { *h = distancesHead(16); h.Levels[0].Stride = 0 }, "stride 0"},
		{End2End, func(h *Head) { h.SigmoidApplied = false }, "sigmoid_applied"},
		{Fused, func(h *Head) { h.Family = "ssd" }, "family"},
		{Fused, func(h *Head) { h.Kind = "double" }, "kind"},
		{Fused, func(h *Head) { h.Layout = "heap" }, "layout"},
		{Fused, func(h *Head) { h.Classes = 0 }, "classes"},
		{Fused, func(h *Head) { h.Levels = nil }, "no levels"},
		{Fused, func(h *Head) { h.Levels[1].Stride = 0 }, "stride 0"},
		{Fused, func(h *Head) { h.Levels[1].Anchors = nil }, "no anchors"},
		{Fused, func(h *Head) { h.Levels[1].Anchors = h.Levels[1].Anchors[:1] }, "1 anchors, level 0 has 2"},
		{Fused, func(h *Head) { h.Levels[0].Anchors = [][2]float32{{0, 1}, {1, 1}} }, "positive"},
		{Fused, func(h *Head) { h.Levels[1].Outputs = []string{"p3"} }, "both name"},
		{Fused, func(h *Head) { h.Levels[1].Outputs = nil }, "names 0 outputs"},
		{Fused, func(h *Head) { h.Family = YOLOX }, "anchor-free"},
		{Fused, func(h *Head) { h.Family = YOLOv8 }, "does not come"},
		{Split, func(h *Head) { h.Levels[0].Outputs = []string{"b", "c"} }, "names 2 outputs"},
		{Split, func(h *Head) { h.Levels[0].Outputs[1] = "b3" }, "both name"},
		{Rows, func(h *Head) { h.SigmoidApplied = false }, "sigmoid_applied"},
		{Rows, func(h *Head) { h.Levels = append(h.Levels, h.Levels[0]) }, "one level"},
		{Rows, func(h *Head) { h.Family = YOLOv8 }, "does not come"},
		{RowsGrid, func(h *Head) { h.Family = YOLOv5 }, "YOLOX's"},
		{RowsGrid, func(h *Head) { h.Levels[1].Outputs = []string{"other"} }, "share one"},
	}
	for _, c := range cases {
		h := testHead(c.layout)
		c.change(&h)
		err := h.Validate()
		if !errors.Is(err, ErrHead) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.layout, err, c.want)
		}
		if _, again := NewDecoder(h); !errors.Is(again, ErrHead) {
			t.Errorf("%s: a decoder was made of a head with %q", c.layout, c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	for kind, conf := range map[Kind]float32{KindUnknown: 0.25, Coupled: 0.25, KindYOLOX: 0.25, Decoupled: 0.4, DecoupledBase: 0.5} {
		h := Head{Kind: kind}
		if got := h.DefaultThresholds(); got != (Thresholds{Conf: conf, IoU: 0.45}) {
			t.Errorf("%q: %+v", kind, got)
		}
	}
	for family, want := range map[Family]Preprocess{
		YOLOv5: {Center, RGB, 1}, YOLOv8: {Center, RGB, 1}, YOLOX: {TopLeft, BGR, 255},
	} {
		if got := family.Preprocess(); got != want || got.Validate() != nil {
			t.Errorf("%s: %+v, %v", family, got, got.Validate())
		}
	}
	for _, p := range []Preprocess{{"left", RGB, 1}, {Center, "gbr", 1}, {Center, RGB, 0}, {Center, RGB, -1}} {
		if err := p.Validate(); !errors.Is(err, ErrHead) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
