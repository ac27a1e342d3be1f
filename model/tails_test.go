package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// Random heads with random tails: what exporters and people put behind the
// predictions. trtdet gives the boxes that the file itself gives, or refuses.

// fromRows reads the predictions themselves.
func (t *tailNet) fromRows(outs []tensor) (list []truth) {
	_, box := t.boxesOf(0)
	c := len(outs[0].data) / t.n
	for i := range t.n {
		row := outs[0].data[i*c:][:c]
		class, score := best(row[c-t.nc:])
		if !t.distances {
			score *= float64(row[4])
		}
		list = append(list, truth{box(row), score, class})
	}
	return list
}

// truth is a prediction that a file gives.
type truth struct {
	box   decode.Box
	score float64
	class int
}

// tail is what stands behind the predictions, and what its outputs mean.
type tail struct {
	name   string
	make   func(t *tailNet) (outputs []string, read func(outs []tensor) []truth)
	refuse bool // no right reading is possible
	before bool // the predictions before it are compared: what it selects is its own business
}

// boxesOf gives boxes (1, N, 4) in one of several ways, and how to read them.
func (t *tailNet) boxesOf(way int) (string, func(b []float32) decode.Box) {
	box := t.slice(t.rows, 2, 0, 4)
	corners := func(b []float32) decode.Box { return decode.Box{X1: b[0], Y1: b[1], X2: b[2], Y2: b[3]} }
	switch way {
	case 0:
		return box, func(b []float32) decode.Box {
			return decode.Box{X1: b[0] - b[2]/2, Y1: b[1] - b[3]/2, X2: b[0] + b[2]/2, Y2: b[1] + b[3]/2}
		}
	case 1: // by a matrix, as DeepStream's exports have it
		m := t.floats([]int64{4, 4}, 1, 0, 1, 0, 0, 1, 0, 1, -0.5, 0, 0.5, 0, 0, -0.5, 0, 0.5)
		return t.node("MatMul", []string{box, m}), corners
	case 2:
		half := t.scalar("Div", t.slice(box, 2, 2, 4), 2)
		xy := t.slice(box, 2, 0, 2)
		return t.concat(2, t.node("Sub", []string{xy, half}), t.node("Add", []string{xy, half})), corners
	default: // 0 to 1
		unit := t.node("Div", []string{box, t.floats([]int64{1, 1, 4}, tailWidth, tailHeight, tailWidth, tailHeight)})
		return unit, func(b []float32) decode.Box {
			x, y, w, h := b[0]*tailWidth, b[1]*tailHeight, b[2]*tailWidth, b[3]*tailHeight
			return decode.Box{X1: x - w/2, Y1: y - h/2, X2: x + w/2, Y2: y + h/2}
		}
	}
}

// scoresOf gives the classes' scores (1, N, nc).
func (t *tailNet) scoresOf() string {
	if t.distances {
		return t.slice(t.rows, 2, 4, int64(4+t.nc))
	}
	return t.node("Mul", []string{t.slice(t.rows, 2, 5, int64(5+t.nc)), t.slice(t.rows, 2, 4, 5)})
}

func best(scores []float32) (class int, score float64) {
	for k, s := range scores {
		if s > scores[class] {
			class = k
		}
	}
	return class, float64(scores[class])
}

var tails = []tail{
	{name: "as the family has them", make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		out, channel, next := t.rows, 1, 5+t.nc
		if t.distances { // columns
			out, channel, next = t.transpose(out, 0, 2, 1), t.n, 1
		}
		return []string{out}, func(outs []tensor) (list []truth) {
			_, box := t.boxesOf(0)
			c := len(outs[0].data) / t.n
			for i := range t.n {
				row := make([]float32, c)
				for k := range row {
					row[k] = outs[0].data[i*next+k*channel]
				}
				class, score := best(row[c-t.nc:])
				if !t.distances {
					score *= float64(row[4])
				}
				list = append(list, truth{box(row), score, class})
			}
			return list
		}
	}},
	{name: "raw maps beside rows", make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		return append([]string{t.rows}, t.maps...), t.fromRows
	}},
	{name: "boxes and scores in one", make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, box := t.boxesOf(t.rng.IntN(4))
		all := t.concat(2, boxes, t.scoresOf())
		turned := t.rng.IntN(2) == 0
		if turned {
			all = t.transpose(all, 0, 2, 1)
		}
		flat := !turned && t.rng.IntN(3) == 0
		if flat {
			all = t.reshape(all, int64(t.n), int64(4+t.nc))
		}
		return []string{all}, func(outs []tensor) (list []truth) {
			for i := range t.n {
				row := make([]float32, 4+t.nc)
				for k := range row {
					if turned {
						row[k] = outs[0].data[k*t.n+i]
					} else {
						row[k] = outs[0].data[i*len(row)+k]
					}
				}
				class, score := best(row[4:])
				list = append(list, truth{box(row), score, class})
			}
			return list
		}
	}},
	{name: "boxes and scores apart", make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, box := t.boxesOf(t.rng.IntN(4))
		return []string{boxes, t.scoresOf()}, func(outs []tensor) (list []truth) {
			for i := range t.n {
				class, score := best(outs[1].data[i*t.nc:][:t.nc])
				list = append(list, truth{box(outs[0].data[4*i:]), score, class})
			}
			return list
		}
	}},
	{name: "best score and class", make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, box := t.boxesOf(t.rng.IntN(4))
		scores := t.scoresOf()
		top := t.node("ReduceMax", []string{scores}, onnx.IntsAttr("axes", 2))
		class := t.node("Cast", []string{t.node("ArgMax", []string{scores}, onnx.IntAttr("axis", 2))}, onnx.IntAttr("to", int64(onnx.Float32)))
		outputs := []string{boxes, top, class}
		joined := t.rng.IntN(2) == 0
		if joined {
			outputs = []string{t.concat(2, outputs...)}
		}
		return outputs, func(outs []tensor) (list []truth) {
			for i := range t.n {
				if joined {
					row := outs[0].data[6*i:][:6]
					list = append(list, truth{box(row), float64(row[4]), int(row[5])})
				} else {
					list = append(list, truth{box(outs[0].data[4*i:]), float64(outs[1].data[i]), int(outs[2].data[i])})
				}
			}
			return list
		}
	}},
	{name: "before the sigmoid", make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, box := t.boxesOf(t.rng.IntN(4))
		p := t.scoresOf()
		one := t.floats([]int64{1}, 1)
		logits := t.node("Log", []string{t.node("Div", []string{p, t.node("Sub", []string{one, p})})})
		if !t.distances {
			logits = p
		}
		return []string{t.concat(2, boxes, logits)}, func(outs []tensor) (list []truth) {
			for i := range t.n {
				row := outs[0].data[i*(4+t.nc):][:4+t.nc]
				class, score := best(row[4:])
				if t.distances {
					score = logistic(float32(score))
				}
				list = append(list, truth{box(row), score, class})
			}
			return list
		}
	}},
	{name: "suppression", before: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(1 + t.rng.IntN(2))
		scores := t.transpose(t.scoresOf(), 0, 2, 1)
		selected := t.node("NonMaxSuppression", []string{boxes, scores, t.ints(100), t.floats([]int64{1}, 0.45), t.floats([]int64{1}, 0.1)})
		index := t.reshape(t.slice(selected, 1, 2, 3), -1)
		found := t.node("Gather", []string{boxes, index}, onnx.IntAttr("axis", 1))
		if t.rng.IntN(2) == 0 {
			return []string{found, t.node("Cast", []string{selected}, onnx.IntAttr("to", int64(onnx.Float32)))}, t.fromRows
		}
		return []string{found}, t.fromRows
	}},
	{name: "suppression by a plugin", before: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(t.rng.IntN(3))
		count := t.node("EfficientNMS_TRT", []string{boxes, t.scoresOf()})
		t.m.Graph.Nodes[len(t.m.Graph.Nodes)-1].Domain = "TRT"
		return []string{count}, t.fromRows
	}},
	{name: "boxes stretched", refuse: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(t.rng.IntN(3))
		return []string{t.concat(2, t.scalar("Mul", boxes, 1.5), t.scoresOf())}, nil
	}},
	{name: "classes counted from 1", refuse: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(t.rng.IntN(4))
		scores := t.scoresOf()
		top := t.node("ReduceMax", []string{scores}, onnx.IntsAttr("axes", 2))
		class := t.node("Cast", []string{t.node("ArgMax", []string{scores}, onnx.IntAttr("axis", 2))}, onnx.IntAttr("to", int64(onnx.Float32)))
		return []string{boxes, top, t.scalar("Add", class, 1)}, nil
	}},
	{name: "scores squared", refuse: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(t.rng.IntN(4))
		scores := t.scoresOf()
		return []string{boxes, t.node("Mul", []string{scores, scores})}, nil
	}},
	{name: "no scores", refuse: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(t.rng.IntN(4))
		return []string{boxes, t.slice(boxes, 2, 0, 2)}, nil
	}},
	{name: "another branch", refuse: true, make: func(t *tailNet) ([]string, func([]tensor) []truth) {
		boxes, _ := t.boxesOf(t.rng.IntN(4))
		masks := t.conv(t.backbone()[0], 8, 8, 1, 1)
		return []string{boxes, t.scoresOf(), masks}, nil
	}},
}

func TestTails(t *testing.T) {
	if err := startRuntime(); err != nil {
		t.Fatalf("no ONNX Runtime: %v; make build brings it", err)
	}
	rounds := 100
	if !testing.Short() {
		rounds = 10000
	}
	seen := map[string]int{}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		net := heading(rng)
		way := tails[max(0, rng.IntN(len(tails)+2)-2)] // the usual more often
		outputs, read := way.make(net)
		for _, name := range outputs {
			net.output(name)
		}
		file := net.bytes(t)
		n, err := parse(file, "", nil)
		if way.refuse {
			if err == nil {
				t.Fatalf("seed %d: %s: taken as %+v", seed, way.name, n.Head)
			}
			seen["refused"]++
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %s, %d predictions: %v", seed, way.name, net.n, err)
		}
		seen[string(n.Head.Family)+" "+string(n.Head.Layout)]++
		if way.before {
			net.m.Graph.Outputs = nil // ONNX Runtime has no plugins
			net.output(net.rows)
			if err := net.m.Graph.Prune(); err != nil {
				t.Fatal(err)
			}
			file, outputs = net.bytes(t), []string{net.rows}
			seen["before suppression"]++
		}
		sameAsFile(t, fmt.Sprintf("seed %d: %s", seed, way.name), net, n, file, outputs, read)
	}
	for _, want := range []string{"refused", "before suppression", "yolov5 fused", "yolov5 5d", "yolox fused", "yolov8 split", "yolov8 columns"} {
		if seen[want] == 0 {
			t.Errorf("none is %s: %v", want, seen)
		}
	}
	t.Log(seen)
}

// sameAsFile decodes what the network, as trtdet has cut it, gives for an image,
// and compares every prediction with what the file itself gives.
func sameAsFile(t *testing.T, what string, net *tailNet, n *Network, file []byte, outputs []string, read func([]tensor) []truth) {
	t.Helper()
	image := make([]float32, 3*tailHeight*tailWidth)
	for i := range image {
		image[i] = float32(net.rng.IntN(256)) / 255
	}
	want := read(net.feed(t, file, n.Head.Family, image, outputs))
	shape, pixels := []int64{1, 3, tailHeight, tailWidth}, laid(image, n.Preprocess)
	var names []string
	for _, o := range n.Outputs {
		names = append(names, o.Name)
	}
	var tensors []decode.Tensor
	for i, out := range execute(t, marshalled(t, n), "images", shape, pixels, names) {
		own := decode.Tensor{Name: names[i], Data: out.data}
		for _, d := range out.shape {
			own.Shape = append(own.Shape, int(d))
		}
		tensors = append(tensors, own)
	}
	d, err := decode.NewDecoder(n.Head)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	const least = 0.01
	got, nonFinite, err := d.Decode(nil, tensors, 0, tailWidth, tailHeight, least)
	if err != nil || nonFinite != 0 {
		t.Fatalf("%s: %v, %d not finite", what, err, nonFinite)
	}
	if len(got) == 0 {
		t.Fatalf("%s: nothing was found", what)
	}
	for i, w := range want {
		k := slices.IndexFunc(got, func(c decode.Candidate) bool { return c.Anchor == int32(i) })
		if k < 0 {
			if w.score > least+1e-4 {
				t.Fatalf("%s: prediction %d of score %g is missing", what, i, w.score)
			}
			continue
		}
		c := got[k]
		bound := 1e-3 * max(1, float64(w.box.Width()), float64(w.box.Height()), math.Abs(float64(w.box.X2)), math.Abs(float64(w.box.Y2)))
		if math.Abs(float64(c.Score)-w.score) > 1e-4 || int(c.Class) != w.class && math.Abs(float64(c.Score)-w.score) > 1e-6 ||
			!(math.Abs(float64(c.Box.X1-w.box.X1)) <= bound && math.Abs(float64(c.Box.Y1-w.box.Y1)) <= bound &&
				math.Abs(float64(c.Box.X2-w.box.X2)) <= bound && math.Abs(float64(c.Box.Y2-w.box.Y2)) <= bound) {
			t.Fatalf("%s: prediction %d is %+v, want %+v", what, i, c, w)
		}
	}
}
