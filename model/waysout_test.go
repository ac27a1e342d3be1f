package model

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// veiled is a tensor with the same numbers, behind something that trtdet does not
// compute.
func (t *tailNet) veiled(x string, axes string) string {
	if t.clear {
		return x
	}
	return t.node("Einsum", []string{x}, onnx.TextAttr("equation", axes+"->"+axes))
}

// hidden is veiled, and its shape is not known either.
func (t *tailNet) hidden(x string, size int) string {
	all := make([]int64, size)
	for i := range all {
		all[i] = 1
	}
	truth := t.node("Cast", []string{t.ints(all...)}, onnx.IntAttr("to", int64(onnx.Bool)))
	return t.node("Compress", []string{x, truth}, onnx.IntAttr("axis", 1))
}

// corners are boxes by two corners, the best score and its class (B, N, 6).
func (t *tailNet) corners() string {
	boxes, _ := t.boxesOf(2)
	scores := t.scoresOf()
	class := t.node("Cast", []string{t.node("ArgMax", []string{scores}, onnx.IntAttr("axis", 2))}, onnx.IntAttr("to", int64(onnx.Float32)))
	return t.concat(2, boxes, t.node("ReduceMax", []string{scores}, onnx.IntsAttr("axes", 2)), class)
}

// asColumns are boxes and the classes' scores (B, 4+nc, N).
func (t *tailNet) asColumns() string {
	boxes, _ := t.boxesOf(0)
	return t.transpose(t.concat(2, boxes, t.scoresOf()), 0, 2, 1)
}

// eachMap makes an output of each level's raw predictions.
func (t *tailNet) eachMap(f func(five string) string) (outputs []string) {
	for _, five := range t.maps {
		outputs = append(outputs, f(five))
	}
	return outputs
}

var headAdvice = regexp.MustCompile(`--head ([a-z0-9,-]+)`)

// TestWaysOut has outputs behind something that cannot be followed: the error says
// what to say if they are this or that, and who says what is so gets the boxes that
// the graph decodes.
func TestWaysOut(t *testing.T) {
	if err := startRuntime(); err != nil {
		t.Fatalf("no ONNX Runtime: %v; make build brings it", err)
	}
	seeds := 30
	if testing.Short() {
		seeds = 2
	}
	said := map[string]int{}
	rowShape := func(n *tailNet) []any { return []any{1, n.n, 5 + n.nc} }
	for _, c := range []struct {
		name   string
		family func(*tailNet, []string)
		make   func(*tailNet) []string
		so     []string             // what is so
		shape  func(*tailNet) []any // what the output declares; nil for nothing
	}{
		{"YOLOv5's rows", (*tailNet).yolov5, func(n *tailNet) []string { return []string{n.veiled(n.rows, "bnc")} }, []string{"rows", "rows,yolov5"}, nil},
		{"YOLOX's rows", (*tailNet).yolox, func(n *tailNet) []string { return []string{n.veiled(n.rows, "bnc")} }, []string{"rows", "rows,yolox"}, nil},
		{"YOLOX's raw rows", (*tailNet).yolox, func(n *tailNet) []string { return []string{n.veiled(n.flat, "bnc")} }, []string{"rows-grid"}, nil},
		{"YOLOv8's columns", (*tailNet).yolov8, func(n *tailNet) []string { return []string{n.veiled(n.transpose(n.rows, 0, 2, 1), "bcn")} }, []string{"columns"}, nil},
		{"YOLOv5's columns", (*tailNet).yolov5, func(n *tailNet) []string { return []string{n.veiled(n.asColumns(), "bcn")} }, []string{"columns", "columns,yolov5"}, nil},
		{"YOLOX's columns", (*tailNet).yolox, func(n *tailNet) []string { return []string{n.veiled(n.asColumns(), "bcn")} }, []string{"columns", "columns,yolox"}, nil},
		{"YOLOX's corners", (*tailNet).yolox, func(n *tailNet) []string { return []string{n.veiled(n.corners(), "bnc")} }, []string{"end2end", "end2end,yolox"}, nil},
		{"YOLOv5's corners", (*tailNet).yolov5, func(n *tailNet) []string { return []string{n.veiled(n.corners(), "bnc")} }, []string{"end2end", "end2end,yolov5"}, nil},
		{"YOLOv8's corners", (*tailNet).yolov8, func(n *tailNet) []string { return []string{n.veiled(n.corners(), "bnc")} }, []string{"end2end"}, nil},
		{"YOLOv5's maps", (*tailNet).yolov5, func(n *tailNet) []string {
			return n.eachMap(func(five string) string { return n.veiled(five, "bayxc") })
		}, []string{"5d"}, nil},
		{"rows of an unknown shape", (*tailNet).yolov5, func(n *tailNet) []string { return []string{n.hidden(n.rows, n.n)} }, []string{"rows", "rows,yolov5"}, rowShape},
		{"YOLOX's rows of an unknown shape", (*tailNet).yolox, func(n *tailNet) []string { return []string{n.hidden(n.rows, n.n)} }, []string{"rows", "rows,yolox"}, rowShape},
		{"columns of an unknown shape", (*tailNet).yolov8, func(n *tailNet) []string {
			return []string{n.hidden(n.transpose(n.rows, 0, 2, 1), 4+n.nc)}
		}, []string{"columns"}, func(n *tailNet) []any { return []any{1, 4 + n.nc, n.n} }},
	} {
		for seed := range seeds {
			for _, veil := range []string{"nothing", "the output", "the predictions too"} {
				net := &tailNet{small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(uint64(seed), 11)), nc: 1 + seed%4, offset: 0.5}
				net.clear, net.veilRaw, net.joint = veil == "nothing", veil == "the predictions too", seed%2 == 1
				c.family(net, net.backbone())
				for _, name := range c.make(net) {
					var shape []any
					if c.shape != nil {
						shape = c.shape(net)
					}
					net.output(name, shape...)
				}
				what := fmt.Sprintf("%s, seed %d, veiled: %s", c.name, seed, veil)
				if net.clear && c.shape == nil && len(net.m.Graph.Outputs) == 1 { // nothing is selected there
					if n, err := parse(net.bytes(t), "", &Hints{Head: "end2end", Classes: net.nc}); err == nil {
						t.Errorf("%s, --head end2end: taken as %+v", what, n.Head)
					}
				}
				if other := map[string]string{"rows": "columns", "columns": "rows"}[c.so[0]]; other != "" && c.shape == nil {
					if n, err := parse(net.bytes(t), "", &Hints{Head: other}); err == nil && n.Head.Decoded() || err != nil && !errors.Is(err, ErrHint) {
						t.Errorf("%s, --head %s: %+v, %v", what, other, n, err)
					}
				}
				h := Hints{Anchors: net.sizes, Classes: net.nc}
				if net.clear { // the same words, where trtdet can see for itself
					h.Head = c.so[0]
				}
				n, err := asAdvised(net.bytes(t), &h, c.so)
				what += ", --head " + h.Head
				said[h.Head]++
				switch {
				case net.clear && c.so[0] == "end2end" && errors.Is(err, ErrHint):
					continue
				case err != nil:
					t.Errorf("%s: no way out: %v", what, err)
					continue
				case (net.flat != "") != (n.Head.Family == decode.YOLOX):
					t.Errorf("%s: taken as %s's", what, n.Head.Family)
					continue
				}
				net.m.Graph.Outputs = nil
				net.output(net.rows)
				sameAsFile(t, what, net, n, net.bytes(t), []string{net.rows}, net.fromRows)
			}
		}
	}
	for _, words := range []string{"rows,yolov5", "rows,yolox", "columns,yolov5", "columns,yolox", "end2end,yolov5", "end2end,yolox"} {
		if said[words] == 0 && !testing.Short() {
			t.Errorf("nothing led to --head %s: %v", words, said)
		}
	}
	t.Log(said)
}

// asAdvised reads a file, and says what errors advise as far as it is so.
func asAdvised(file []byte, h *Hints, so []string) (*Network, error) {
	for {
		n, err := parse(file, "", h)
		if err == nil {
			return n, nil
		}
		advised := headAdvice.FindAllString(err.Error(), -1)
		i := slices.IndexFunc(so, func(s string) bool { return slices.Contains(advised, "--head "+s) })
		if i < 0 {
			return nil, err
		}
		h.Head, so = so[i], so[i+1:]
	}
}
