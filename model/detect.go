package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// detect reads the head off the graph.
func (r *reading) detect() (*found, error) {
	var all, maps, flat []string
	for _, o := range r.model.Graph.Outputs {
		all = append(all, o.Name)
		switch s, rank := r.shape(o.Name), r.rank(o); {
		case rank == 4 || rank == 5:
			maps = append(maps, o.Name)
		case rank == 3 && !(len(s) == 3 && (s[2] == 4 || s[2] == 1)):
			flat = append(flat, o.Name)
		}
	}
	switch {
	case len(maps) == len(all):
		return r.detectMaps(maps, nil)
	case r.said.layout == decode.End2End && len(all) == 1, r.selectsBest(all):
		return r.end2end(all[0])
	case len(flat) == 1 && len(maps)+1 == len(all) && r.suppression(all) == nil:
		return r.detectFlat(flat[0], maps)
	}
	return r.inside(all, "its outputs are "+r.list(all))
}

// selectsBest reports whether the outputs are one tensor (B, K, 6) of the best
// predictions, of which none suppresses another.
func (r *reading) selectsBest(outputs []string) bool {
	if len(outputs) != 1 || len(r.shape(outputs[0])) != 3 || r.shape(outputs[0])[2] != 6 {
		return false
	}
	n := r.suppression(outputs)
	return n != nil && n.OpType == "TopK"
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
		if s := r.shape(name); s != nil {
			parts = append(parts, fmt.Sprintf("%.80q %v", name, s))
		} else {
			parts = append(parts, fmt.Sprintf("%.80q of unknown shape", name))
		}
	}
	return strings.Join(parts, ", ")
}

// suppression returns the node between the head's convs and the outputs that
// selects boxes, one that suppresses before one that takes the best; nil where
// there is none.
func (r *reading) suppression(outputs []string) *onnx.Node {
	var best *onnx.Node
	seen := map[*onnx.Node]bool{}
	stack := slices.Clone(outputs)
	for len(stack) > 0 {
		n := r.index.Producer(stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		if n == nil || seen[n] || n.Is("Conv") {
			continue
		}
		seen[n] = true
		switch {
		case strings.Contains(n.OpType, "NMS"), strings.Contains(n.OpType, "NonMaxSuppression"):
			return n
		case n.OpType == "TopK":
			best = n
		}
		stack = append(stack, n.Inputs...)
	}
	return best
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
	if r.said.layout == decode.Columns {
		return r.keepColumns(levels, output, shape, maps)
	}
	if !r.isRows(levels, shape) {
		return r.insideFlat(levels, output, shape, maps)
	}
	kind := r.kind(levels)
	if r.said.layout == decode.RowsGrid {
		return r.keepRowsGrid(output, levels, shape, kind)
	}
	r.findRaws(levels)
	f, err := r.fitRows(levels, output)
	if r.said.layout == decode.Rows && f != nil && f.twice {
		r.said.layout = "" // no word makes these boxes right: the error below says why
	}
	if r.said.layout == decode.Rows && f != nil {
		if err := r.fitsWord(f, output); err != nil {
			return nil, err
		}
	}
	if r.said.layout == decode.Rows && (f != nil || err != nil) {
		return r.keepRows(levels, output, shape[2])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: what the graph does to get output %.80q cannot be followed (%w)%s", ErrAmbiguous, output, err, r.onWord(levels, shape, maps))
	}
	if f == nil {
		return r.insideFlat(levels, output, shape, maps)
	}
	if len(maps) > 0 {
		return r.beside(levels, f, maps)
	}
	return r.cutRows(levels, f, kind, shape)
}

// insideFlat looks within the graph for what stands behind a tensor of rank 3; where
// nothing known does, it is taken as rows on the user's word.
func (r *reading) insideFlat(levels []*level, output string, shape []int, maps []string) (*found, error) {
	f, err := r.inside(append([]string{output}, maps...), "output "+r.list([]string{output}))
	switch {
	case err == nil || errors.Is(err, errOffset):
	case r.said.layout == decode.Rows:
		return r.keepRows(levels, output, shape[2])
	case errors.Is(err, ErrUnknownHead) && len(maps) == 0:
		err = fmt.Errorf("%w%s", err, r.onWord(levels, shape, maps))
	}
	return f, err
}

// fitsWord refuses to take an output as rows whose formula is known to be another
// one's, or which holds predictions that are not decoded.
func (r *reading) fitsWord(f *fit, output string) error {
	switch {
	case !f.decoded:
		return fmt.Errorf("%w: --head rows, but the graph does not decode output %.80q; say --head rows-grid, or leave it out", ErrHint, output)
	case r.said.family != "" && r.said.family != f.family:
		return fmt.Errorf("%w: family %s, but the graph decodes as %s", ErrHint, r.said.family, f.family)
	}
	return nil
}

// onWord ends the error about an output of rank 3 that cannot be followed: which
// word of the user's takes it, and what has to be so for that; empty where none
// does. maps are outputs beside it.
func (r *reading) onWord(levels []*level, shape []int, maps []string) string {
	var ways []string
	say := func(l decode.Layout, holds string) {
		ways = append(ways, fmt.Sprintf("--head %s if it holds nothing but %s", l, holds))
	}
	switch wide := shape[2] > shape[1]; {
	case wide && shape[1] > 4:
		say(decode.Columns, "center and size in pixels and each class's score")
	case !wide && shape[2] > 5:
		say(decode.Rows, "center and size in pixels, confidence and each class's score")
		if r.isRows(levels, shape) && r.total(levels[0]) == shape[2] {
			say(decode.RowsGrid, "the same of YOLOX, before grid and strides")
		}
	}
	if shape[2] == 6 && len(maps) == 0 {
		say(decode.End2End, "two corners in pixels, score and class, selected from each other")
	}
	if len(ways) == 0 {
		return ""
	}
	return "; say " + strings.Join(ways, ", ")
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
		return r.keepRows(levels, output, declared(2))
	case r.said.layout == decode.Columns && declared(1) > 4:
		return r.columnsOnWord(levels, output, declared(1)-4)
	}
	return nil, fmt.Errorf("%w: the shape of output %.80q cannot be worked out (%w); say --head rows or --head columns, and export with a fixed number of channels", ErrAmbiguous, output, r.why(output))
}

// countsPredictions reports whether a dimension counts the predictions of all levels, of
// any number of anchors.
func countsPredictions(levels []*level, n int) bool {
	cells := cellCount(levels)
	return cells > 0 && n > 0 && n%cells == 0
}

// isRows reports whether (B, N, no) holds every prediction of the levels.
func (r *reading) isRows(levels []*level, shape []int) bool {
	cells := cellCount(levels)
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

// keepColumns takes columns on the user's word, unless they can be followed and
// are something else.
func (r *reading) keepColumns(levels []*level, output string, shape []int, maps []string) (*found, error) {
	if len(maps) > 0 {
		r.note("outputs beside %.80q are dropped: its columns are decoded", output)
	}
	if countsPredictions(levels, shape[1]) && !countsPredictions(levels, shape[2]) {
		return nil, fmt.Errorf("%w: --head columns, but output %s is rows", ErrHint, r.list([]string{output}))
	}
	if r.boxAndLabels(levels) {
		if f, err := r.distancesInside(levels, []string{output}); f != nil || err != nil && !errors.Is(err, ErrAmbiguous) {
			return f, err
		}
	} else if r.isRows(levels, shape) {
		return nil, fmt.Errorf("%w: --head columns, but output %s is rows", ErrHint, r.list([]string{output}))
	}
	return r.columnsOnWord(levels, output, shape[1]-4)
}

func (r *reading) columnsOnWord(levels []*level, output string, classes int) (*found, error) {
	family, err := r.familyOnWord(levels, output, 5+classes)
	if err != nil {
		return nil, err
	}
	return r.columns(family, output, classes)
}

// columns makes the head of decoded columns.
func (r *reading) columns(family decode.Family, output string, classes int) (*found, error) {
	if l := r.said.layout; l != "" && l != decode.Columns {
		return nil, fmt.Errorf("%w: --head %s, but output %s is columns", ErrHint, l, r.list([]string{output}))
	}
	classes, err := r.classes(classes)
	if err != nil {
		return nil, err
	}
	return &found{outputs: []string{output}, head: decode.Head{
		Family: family, Kind: r.said.kind, Layout: decode.Columns, Classes: classes, SigmoidApplied: true,
		Levels: []decode.Level{{Outputs: []string{output}}},
	}}, nil
}

// keepRows takes decoded rows of width numbers as they are.
func (r *reading) keepRows(levels []*level, output string, width int) (*found, error) {
	if s := r.shape(output); len(s) == 3 && countsPredictions(levels, s[2]) && !countsPredictions(levels, s[1]) {
		return nil, fmt.Errorf("%w: --head rows, but output %s is columns", ErrHint, r.list([]string{output}))
	}
	classes, err := r.classes(width - 5)
	if err != nil {
		return nil, err
	}
	family, err := r.familyOnWord(levels, output, width)
	if err != nil {
		return nil, err
	}
	kind, err := r.settle(r.kind(levels), family)
	if err != nil {
		return nil, err
	}
	return &found{outputs: []string{output}, head: decode.Head{
		Family: family, Kind: kind, Layout: decode.Rows, Classes: classes, SigmoidApplied: true,
		Levels: []decode.Level{{Outputs: []string{output}}},
	}}, nil
}

// familyOnWord is the family of an output that is taken on the user's word, on which
// hangs how images are laid out for it: what was said, or the formula's where that
// can be followed, or what the number of channels leaves. width is how many numbers
// a prediction with a confidence has.
func (r *reading) familyOnWord(levels []*level, output string, width int) (decode.Family, error) {
	l := r.said.layout
	switch {
	case r.said.family != "":
		return r.said.family, nil
	case r.said.kind == decode.KindYOLOX:
		return decode.YOLOX, nil
	}
	r.findRaws(levels)
	one, several, coupled := true, true, true
	for _, level := range levels {
		total := r.total(level)
		one = one && total == width
		several = several && total > width && total%width == 0
		coupled = coupled && len(level.convs) == 1
	}
	if f, _, _ := r.decodes(levels); f != nil {
		return f.family, nil
	}
	switch {
	case several, one && coupled: // YOLOX's branches are apart
		return decode.YOLOv5, nil
	case !one && l != decode.Rows: // no confidence
		return decode.YOLOv8, nil
	case !one:
		return "", fmt.Errorf("%w: %d channels stand behind output %.80q, which are no predictions of %d numbers, and whose images it takes is not known; say --head rows,yolov5 or --head rows,yolox",
			ErrAmbiguous, r.total(levels[0]), output, width)
	}
	return "", fmt.Errorf("%w: output %.80q could be YOLOX's, whose images are BGR, 0 to 255 and top-left, or YOLOv5's of one anchor; say --head %s,yolox or --head %s,yolov5",
		ErrAmbiguous, output, l, l)
}

// keepRowsGrid takes YOLOX's rows uncut, on the user's word.
func (r *reading) keepRowsGrid(output string, levels []*level, shape []int, kind decode.Kind) (*found, error) {
	classes, err := r.classes(shape[2] - 5)
	if err != nil {
		return nil, err
	}
	if kind, err = r.settle(kind, decode.YOLOX); err != nil {
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
	if err == nil {
		err = r.halfAStrideOff(f, got.head.Layout)
	}
	if err != nil {
		return nil, err
	}
	got.cut = true
	return got, nil
}

// cutRows makes the head of rows that are cut back to their raw maps.
func (r *reading) cutRows(levels []*level, f *fit, kind decode.Kind, shape []int) (*found, error) {
	if l := r.said.layout; l != "" && l != decode.Rows && l != decode.RowsGrid && l != f.layout {
		return nil, fmt.Errorf("%w: --head %s, but the graph takes its predictions apart as %s", ErrHint, l, f.layout)
	}
	if r.said.family != "" && r.said.family != f.family {
		return nil, fmt.Errorf("%w: family %s, but the graph decodes as %s", ErrHint, r.said.family, f.family)
	}
	if err := r.halfAStrideOff(f, f.layout); err != nil {
		return nil, err
	}
	classes, err := r.classes(shape[2] - 5)
	if err != nil {
		return nil, err
	}
	if kind, err = r.settle(kind, f.family); err != nil {
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

// halfAStrideOff refuses boxes whose centers are half a cell off what the network
// was trained for, until the user asks for the raw maps, whose boxes are right.
// layout is theirs.
func (r *reading) halfAStrideOff(f *fit, layout decode.Layout) error {
	if !f.twice || r.said.layout == layout {
		return nil
	}
	return fmt.Errorf("%w: %w, for the graph subtracts 0.5 twice, as the article's Detect does in YOLOv5 7.0 and later; say --head %s, which cuts to the raw maps and gives the right boxes",
		ErrUnknownHead, errOffset, layout)
}

// errOffset is rows that no word of the user's makes right.
var errOffset = errors.New("its boxes lie half a stride up and left of where YOLOv5 trains them")

// settle returns the kind that was said, or else the graph's. With a base conv
// or without is the user's word against a reading of the graph; one conv for
// everything or three is not. How branches are built says nothing about how
// predictions are decoded: YOLOX's kind is known by its formula, and branches
// like its own in another family are of no kind that trtdet knows.
func (r *reading) settle(graph decode.Kind, family decode.Family) (decode.Kind, error) {
	if graph == decode.KindYOLOX && family != decode.YOLOX {
		graph = decode.KindUnknown
	}
	said := r.said.kind
	fits := graph == decode.KindUnknown || (said == decode.Coupled) == (graph == decode.Coupled)
	if said == decode.KindYOLOX && family != decode.YOLOX {
		fits = false
	}
	switch {
	case !r.said.kindSet:
		return graph, nil
	case fits:
		return said, nil
	case r.said.kindSource == metaHead:
		r.note("metadata head says %s; the graph's head is %s %s, and that is taken", said, family, graph)
		return graph, nil
	default:
		return "", fmt.Errorf("%w: --head %s, but the graph's head is %s; leave it out", ErrHint, said, strings.TrimSpace(string(family)+" "+string(graph)))
	}
}
