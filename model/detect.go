package model

import (
	"fmt"
	"strings"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// detect reads the head off the graph.
func (r *reading) detect() (*found, error) {
	var maps, flat, other []string
	for _, o := range r.model.Graph.Outputs {
		s := r.shape(o.Name)
		switch rank := r.rank(o); {
		case rank < 0:
			return nil, fmt.Errorf("%w: the shape of output %.80q cannot be worked out (%w)", ErrUnknownHead, o.Name, r.why(o.Name))
		case rank == 4 || rank == 5:
			maps = append(maps, o.Name)
		case rank == 3 && !(len(s) == 3 && s[2] == 4):
			flat = append(flat, o.Name)
		default:
			other = append(other, o.Name)
		}
	}
	if n := r.suppression(); n != nil {
		return nil, fmt.Errorf("%w: %s suppresses or selects boxes inside the graph; export it without NMS", ErrUnknownHead, n.Label())
	}
	switch {
	case len(other) > 0 && len(maps)+len(flat) == 0:
		return nil, fmt.Errorf("%w: its outputs are %s, none of them a map or rows of predictions", ErrNotDetector, r.list(other))
	case len(other) > 0:
		return nil, fmt.Errorf("%w: output %s is no part of a head that trtdet knows", ErrUnknownHead, r.list(other))
	case len(flat) > 1:
		return nil, fmt.Errorf("%w: outputs %s stand side by side; trtdet knows heads with one tensor of rows", ErrUnknownHead, r.list(flat))
	case len(flat) == 1:
		return r.detectFlat(flat[0], maps)
	}
	return r.detectMaps(maps, nil)
}

// rank returns the rank of an output, -1 where it is unknown.
func (r *reading) rank(o *onnx.ValueInfo) int {
	if s := r.shape(o.Name); s != nil {
		return len(s)
	}
	if o.HasShape {
		return len(o.Shape)
	}
	return -1
}

// list names outputs with their shapes.
func (r *reading) list(names []string) string {
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%.80q %v", name, r.shape(name)))
	}
	return strings.Join(parts, ", ")
}

func (r *reading) suppression() *onnx.Node {
	for _, n := range r.model.Graph.Nodes {
		if n.OpType == "TopK" || strings.Contains(n.OpType, "NMS") || strings.Contains(n.OpType, "NonMaxSuppression") {
			return n
		}
	}
	return nil
}

// detectFlat reads a head whose output is one tensor of rank 3: rows, YOLOX
// rows, or columns; maps are outputs beside it.
func (r *reading) detectFlat(output string, maps []string) (*found, error) {
	convs := r.terminals(output)
	if len(convs) == 0 {
		return nil, fmt.Errorf("%w: no convolution stands behind output %.80q", ErrNotDetector, output)
	}
	levels, err := r.levels(convs)
	if err != nil {
		return nil, err
	}
	shape := r.shape(output)
	if len(shape) != 3 {
		return r.unmeasured(output, levels)
	}
	if r.isColumns(levels, shape) {
		return r.columns(output, shape, maps)
	}
	if !r.isRows(levels, shape) {
		switch r.said.layout {
		case decode.Rows:
			return r.keepRows(output, shape[2]-5, decode.KindUnknown)
		case "":
			return nil, fmt.Errorf("%w: output %s fits neither rows nor columns of the %d maps behind it (a segmentation, pose or two-stage model, or no detector at all)", ErrUnknownHead, r.list([]string{output}), len(levels))
		}
		return nil, fmt.Errorf("%w: --head %s, but output %s does not come from %d maps of that layout", ErrHint, r.said.layout, r.list([]string{output}), len(levels))
	}
	kind := r.kind(levels)
	switch r.said.layout {
	case decode.Rows:
		return r.keepRows(output, shape[2]-5, kind)
	case decode.RowsGrid:
		return r.keepRowsGrid(output, levels, shape, kind)
	}
	for _, l := range levels {
		r.findRaw(l)
	}
	f, err := r.fitRows(levels, output)
	if err != nil {
		return nil, fmt.Errorf("%w: what the graph does to get output %.80q cannot be followed (%w); say --head rows if its boxes are decoded, --head rows-grid if they are YOLOX's and are not", ErrAmbiguous, output, err)
	}
	if f == nil {
		return nil, fmt.Errorf("%w: output %.80q is decoded by a formula that is neither YOLOv5's nor YOLOX's; say --head rows if its rows are center x, center y, width and height in pixels, confidence and class scores", ErrUnknownHead, output)
	}
	if len(maps) > 0 {
		return r.beside(levels, f, maps)
	}
	return r.cutRows(levels, f, kind, shape)
}

// unmeasured takes a rank-3 output whose shape could not be worked out only on
// the user's word.
func (r *reading) unmeasured(output string, levels []*level) (*found, error) {
	info := r.index.Info(output)
	declared := func(i int) int {
		if info != nil && len(info.Shape) == 3 && info.Shape[i].Known {
			return int(info.Shape[i].Value)
		}
		return 0
	}
	switch {
	case r.said.layout == decode.Rows && declared(2) > 5:
		return r.keepRows(output, declared(2)-5, r.kind(levels))
	case r.said.layout == decode.Columns && declared(1) > 4:
		return r.columns(output, []int{0, declared(1), 0}, nil)
	}
	return nil, fmt.Errorf("%w: the shape of output %.80q cannot be worked out (%w); say --head rows or --head columns, and export with a fixed number of channels", ErrAmbiguous, output, r.why(output))
}

// isRows reports whether (B, N, no) holds every prediction of the levels.
func (r *reading) isRows(levels []*level, shape []int) bool {
	cells := 0
	for _, l := range levels {
		cells += l.ny * l.nx
	}
	if cells == 0 || shape[2] < 6 || shape[1]%cells != 0 {
		return false
	}
	na := shape[1] / cells
	for _, l := range levels {
		if r.total(l) != na*shape[2] {
			return false
		}
	}
	return na > 0
}

// isColumns reports whether (B, 4+nc, N) is what YOLOv8 makes of the levels: a
// conv for the boxes (4 numbers, or 4 distributions) and one for the labels.
func (r *reading) isColumns(levels []*level, shape []int) bool {
	cells := 0
	for _, l := range levels {
		cells += l.ny * l.nx
		if len(l.convs) != 2 {
			return false
		}
		a, b := r.channels(l.convs[0]), r.channels(l.convs[1])
		nc := shape[1] - 4
		if nc < 1 || !(a == nc && b%4 == 0) && !(b == nc && a%4 == 0) {
			return false
		}
	}
	return cells == shape[2]
}

func (r *reading) columns(output string, shape []int, maps []string) (*found, error) {
	if len(maps) > 0 {
		r.note("outputs beside %.80q are dropped: its columns are decoded", output)
	}
	if l := r.said.layout; l != "" && l != decode.Columns {
		return nil, fmt.Errorf("%w: --head %s, but output %s is columns", ErrHint, l, r.list([]string{output}))
	}
	classes, err := r.classes(shape[1] - 4)
	if err != nil {
		return nil, err
	}
	return &found{outputs: []string{output}, head: decode.Head{
		Family: decode.YOLOv8, Kind: r.said.kind, Layout: decode.Columns, Classes: classes, SigmoidApplied: true,
		Levels: []decode.Level{{Outputs: []string{output}}},
	}}, nil
}

// keepRows takes decoded rows as they are.
func (r *reading) keepRows(output string, classes int, kind decode.Kind) (*found, error) {
	classes, err := r.classes(classes)
	if err != nil {
		return nil, err
	}
	family := r.said.family
	if family == "" {
		family = decode.YOLOv5
		if kind == decode.KindYOLOX {
			family = decode.YOLOX
		}
	}
	if kind, err = r.settle(kind); err != nil {
		return nil, err
	}
	return &found{outputs: []string{output}, head: decode.Head{
		Family: family, Kind: kind, Layout: decode.Rows, Classes: classes, SigmoidApplied: true,
		Levels: []decode.Level{{Outputs: []string{output}}},
	}}, nil
}

// keepRowsGrid takes YOLOX's rows uncut, on the user's word.
func (r *reading) keepRowsGrid(output string, levels []*level, shape []int, kind decode.Kind) (*found, error) {
	classes, err := r.classes(shape[2] - 5)
	if err != nil {
		return nil, err
	}
	if kind, err = r.settle(kind); err != nil {
		return nil, err
	}
	h := decode.Head{Family: decode.YOLOX, Kind: kind, Layout: decode.RowsGrid, Classes: classes, SigmoidApplied: true}
	for _, l := range levels {
		h.Levels = append(h.Levels, decode.Level{Stride: l.stride, Outputs: []string{output}})
	}
	return &found{outputs: []string{output}, head: h}, nil
}

// beside takes the raw maps that stand beside decoded rows, and the anchors
// that the rows were decoded with.
func (r *reading) beside(levels []*level, f *fit, maps []string) (*found, error) {
	in := map[*onnx.Node]int{}
	for i, l := range levels {
		for _, c := range l.convs {
			in[c] = i
		}
	}
	for _, name := range maps {
		for _, c := range r.terminals(name) {
			if _, ok := in[c]; !ok {
				return nil, fmt.Errorf("%w: output %s is no part of the detection head (a segmentation or pose model?)", ErrUnknownHead, r.list([]string{name}))
			}
		}
	}
	got, err := r.detectMaps(maps, &fitted{fit: f, levels: levels})
	if err != nil {
		return nil, err
	}
	got.cut = true
	return got, nil
}

// cutRows makes the head of rows that are cut back to their raw maps.
func (r *reading) cutRows(levels []*level, f *fit, kind decode.Kind, shape []int) (*found, error) {
	if l := r.said.layout; l == decode.Columns || l == decode.FiveD || (l == decode.Fused || l == decode.Split) && l != f.layout {
		return nil, fmt.Errorf("%w: --head %s, but the graph takes its predictions apart as %s", ErrHint, l, f.layout)
	}
	if r.said.family != "" && r.said.family != f.family {
		return nil, fmt.Errorf("%w: family %s, but the graph decodes as %s", ErrHint, r.said.family, f.family)
	}
	classes, err := r.classes(shape[2] - 5)
	if err != nil {
		return nil, err
	}
	if kind, err = r.settle(kind); err != nil {
		return nil, err
	}
	h := decode.Head{Family: f.family, Kind: kind, Layout: f.layout, Classes: classes, SigmoidApplied: levels[0].sigmoid}
	got := &found{cut: true}
	for _, l := range levels {
		if l.sigmoid != h.SigmoidApplied {
			return nil, fmt.Errorf("%w: some levels are past a sigmoid and some are not", ErrUnknownHead)
		}
		h.Levels = append(h.Levels, decode.Level{Stride: l.stride, Outputs: l.raw})
		got.outputs = append(got.outputs, l.raw...)
	}
	got.head = h
	return got, r.setAnchors(&got.head, f.anchors)
}

// settle returns the kind that was said, or else the graph's. With a base conv
// or without is the user's word against a reading of the graph; one conv for
// everything or three is not.
func (r *reading) settle(graph decode.Kind) (decode.Kind, error) {
	switch said := r.said.kind; {
	case !r.said.kindSet:
		return graph, nil
	case graph == decode.KindUnknown, (said == decode.Coupled) == (graph == decode.Coupled):
		return said, nil
	case r.said.kindSource == metaHead:
		r.note("metadata head says %s; the graph's head is %s, and that is taken", said, graph)
		return graph, nil
	default:
		return "", fmt.Errorf("%w: --head %s, but the graph's head is %s; leave it out", ErrHint, said, graph)
	}
}
