package model

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// Random heads with random tails: what exporters and people put behind the
// predictions. trtdet gives the boxes that the file itself gives, or refuses.

const (
	tailHeight, tailWidth = 64, 96
	tailStride            = 4 // of the first of two levels
)

// tailNet is a net under construction: predictions (1, N, C) and what stands in
// their channels.
type tailNet struct {
	*small
	rng        *rand.Rand
	nc         int
	anchorFree bool
	distances  bool     // YOLOv8: no confidence
	offset     float32  // of YOLOv5's centers, in cells
	maps       []string // its raw predictions (B, na, ny, nx, no)
	roundBins  bool     // YOLOv8's bins are rounded to 127 steps
	quantized  bool     // its distances went through Q/DQ
	rows       string
	n          int // predictions

	// what the file's input takes; zero is the family's own
	last, octets bool // channels last; uint8
	pixelRange   float32
	turned       bool // channels the other way round than the family has them
	order        decode.ChannelOrder
}

// front makes a random input side.
func (t *tailNet) front() {
	input := t.m.Graph.Inputs[0]
	if t.last = t.rng.IntN(4) == 0; t.last {
		input.Shape = dims(1, tailHeight, tailWidth, 3)
	}
	if t.octets = t.rng.IntN(4) == 0; t.octets {
		input.ElemType, t.pixelRange = onnx.Uint8, 255
	}
	early := t.rng.IntN(2) == 0 // arithmetic before the channels come first
	if t.last && !early {
		t.image = t.transpose(t.image, 0, 3, 1, 2)
	}
	if t.octets {
		t.image = t.node("Cast", []string{t.image}, onnx.IntAttr("to", int64(onnx.Float32)))
	}
	if t.rng.IntN(8) == 0 { // there and back
		half := t.node("Cast", []string{t.image}, onnx.IntAttr("to", int64(onnx.Float16)))
		t.image = t.node("Cast", []string{half}, onnx.IntAttr("to", int64(onnx.Float32)))
	}
	channels, axis := []int64{1, 3, 1, 1}, int64(1)
	if t.last && early {
		channels, axis = []int64{3}, 3
	}
	means, deviations := []float32{0.485, 0.456, 0.406}, []float32{0.229, 0.224, 0.225}
	switch t.rng.IntN(6) {
	case 0:
		t.image, t.pixelRange = t.scalar("Div", t.image, 255), 255
	case 1:
		t.image, t.pixelRange = t.scalar("Mul", t.image, 1./255), 255
	case 2:
		for c := range 3 {
			means[c], deviations[c] = means[c]*255, deviations[c]*255
		}
		t.pixelRange = 255
		fallthrough
	case 3:
		if t.octets && t.pixelRange != 255 || t.octets && means[0] < 1 { // bytes are no numbers from 0 to 1
			break
		}
		t.pixelRange, t.order = max(t.pixelRange, 1), decode.RGB
		t.image = t.node("Sub", []string{t.image, t.floats(channels, means...)})
		t.image = t.node("Div", []string{t.image, t.floats(channels, deviations...)})
	case 4:
		if t.last && early {
			break
		}
		t.turned = true
		switch t.rng.IntN(3) {
		case 0:
			t.image = t.node("Gather", []string{t.image, t.ints(2, 1, 0)}, onnx.IntAttr("axis", axis))
		case 1:
			t.image = t.node("Slice", []string{t.image, t.ints(-1), t.ints(math.MinInt64), t.ints(axis), t.ints(-1)})
		default:
			t.image = t.concat(axis, t.slice(t.image, axis, 2, 3), t.slice(t.image, axis, 1, 2), t.slice(t.image, axis, 0, 1))
		}
	}
	if t.last && early {
		t.image = t.transpose(t.image, 0, 3, 1, 2)
	}
}

// feed lays an image, (3, H, W) RGB of 0 to 1, out as the file takes it.
func (t *tailNet) feed(test *testing.T, file []byte, family decode.Family, image []float32, outputs []string) []tensor {
	want := family.Preprocess()
	if t.pixelRange != 0 {
		want.PixelRange = t.pixelRange
	}
	if t.turned {
		want.ChannelOrder = map[decode.ChannelOrder]decode.ChannelOrder{decode.RGB: decode.BGR, decode.BGR: decode.RGB}[want.ChannelOrder]
	}
	if t.order != "" {
		want.ChannelOrder = t.order
	}
	planes := laid(image, want)
	shape := []int64{1, 3, tailHeight, tailWidth}
	if t.last {
		turned := make([]float32, len(planes))
		for i, v := range planes {
			turned[i%(tailHeight*tailWidth)*3+i/(tailHeight*tailWidth)] = v
		}
		planes, shape = turned, []int64{1, tailHeight, tailWidth, 3}
	}
	if !t.octets {
		return execute(test, file, "images", shape, planes, outputs)
	}
	raw := make([]uint8, len(planes))
	for i, v := range planes {
		raw[i] = uint8(math.RoundToEven(float64(v)))
	}
	return executeOn(test, file, "images", shape, raw, outputs)
}

// laid is the network's input (3, H, W) of an image of whole levels of 0 to 255,
// given as 0 to 1.
func laid(image []float32, p decode.Preprocess) []float32 {
	out, plane := make([]float32, len(image)), len(image)/3
	for i, v := range image {
		c := i / plane
		if p.ChannelOrder == decode.BGR {
			c = 2 - c
		}
		out[c*plane+i%plane] = v * p.PixelRange
	}
	return out
}

// floats adds an initializer.
func (s *small) floats(shape []int64, values ...float32) string {
	s.last++
	name := fmt.Sprintf("f%d", s.last)
	s.m.Graph.Initializers = append(s.m.Graph.Initializers, onnx.NewFloat32s(name, shape, values))
	return name
}

// zero adds a zero point of signed bytes.
func (s *small) zero() string {
	s.last++
	t := onnx.NewInt64s(fmt.Sprintf("z%d", s.last), nil, []int64{0})
	return s.node("Cast", []string{s.add(t)}, onnx.IntAttr("to", int64(onnx.Int8)))
}

func (s *small) add(t *onnx.Tensor) string {
	s.m.Graph.Initializers = append(s.m.Graph.Initializers, t)
	return t.Name
}

func (s *small) reshape(x string, shape ...int64) string {
	return s.node("Reshape", []string{x, s.ints(shape...)})
}

func (s *small) transpose(x string, perm ...int64) string {
	return s.node("Transpose", []string{x}, onnx.IntsAttr("perm", perm...))
}

func (s *small) concat(axis int64, parts ...string) string {
	return s.node("Concat", parts, onnx.IntAttr("axis", axis))
}

// slice takes [from, to) of an axis.
func (s *small) slice(x string, axis, from, to int64) string {
	return s.node("Slice", []string{x, s.ints(from), s.ints(to), s.ints(axis)})
}

func (s *small) scalar(op, x string, v float32) string {
	return s.node(op, []string{x, s.floats([]int64{1}, v)})
}

// cells lists the cells of a level, x and y of each, moved by offset.
func cellsOf(ny, nx int, offset float32) []float32 {
	var list []float32
	for y := range ny {
		for x := range nx {
			list = append(list, float32(x)+offset, float32(y)+offset)
		}
	}
	return list
}

// heading makes a random head down to its predictions.
func heading(rng *rand.Rand) *tailNet {
	t := &tailNet{small: newSmall(1, 3, tailHeight, tailWidth), rng: rng, nc: 1 + rng.IntN(5), offset: 0.5}
	t.front()
	features := t.backbone()
	switch rng.IntN(4) {
	case 0:
		t.yolox(features)
	case 1:
		t.yolov8(features)
	default:
		t.yolov5(features)
	}
	return t
}

func (t *tailNet) yolov5(features []string) {
	na, no := int64(1+t.rng.IntN(3)), int64(5+t.nc)
	way := t.rng.IntN(7)
	var levels []string
	for i, f := range features {
		ny, nx := int64(tailHeight/(tailStride<<i)), int64(tailWidth/(tailStride<<i))
		var five string // (1, na, ny, nx, no)
		switch way {
		case 0: // coupled
			five = t.transpose(t.reshape(t.conv(f, 8, na*no, 1, 1), 1, na, no, ny, nx), 0, 1, 3, 4, 2)
		case 1: // the article's: one concatenation
			five = t.transpose(t.reshape(t.concat(1, t.decoupled(f, t.rng.IntN(2) == 0, na, int64(t.nc))...), 1, na, no, ny, nx), 0, 1, 3, 4, 2)
		case 2: // joined per anchor
			parts := t.decoupled(f, t.rng.IntN(2) == 0, na, int64(t.nc))
			for k, channels := range []int64{4, 1, int64(t.nc)} {
				parts[k] = t.reshape(parts[k], 1, na, channels, ny, nx)
			}
			five = t.transpose(t.concat(2, parts...), 0, 1, 3, 4, 2)
		case 3: // YOLOv5's official one: box and confidence of one conv, labels of another
			cls, reg := t.silu(t.conv(f, 8, 8, 3, 1)), t.silu(t.conv(f, 8, 8, 3, 1))
			box := t.reshape(t.conv(reg, 8, na*5, 1, 1), 1, na, 5, ny, nx)
			labels := t.reshape(t.conv(cls, 8, na*int64(t.nc), 1, 1), 1, na, int64(t.nc), ny, nx)
			five = t.transpose(t.concat(2, box, labels), 0, 1, 3, 4, 2)
		case 4: // two convs summed, as a RepConv that was not fused
			sum := t.node("Add", []string{t.conv(f, 8, na*no, 1, 1), t.conv(f, 8, na*no, 3, 1)})
			five = t.transpose(t.reshape(sum, 1, na, no, ny, nx), 0, 1, 3, 4, 2)
		case 5: // quantized
			raw := t.conv(f, 8, na*no, 1, 1)
			scale, zero := t.floats(nil, 0.01), t.zero()
			raw = t.node("DequantizeLinear", []string{t.node("QuantizeLinear", []string{raw, scale, zero}), scale, zero})
			five = t.transpose(t.reshape(raw, 1, na, no, ny, nx), 0, 1, 3, 4, 2)
		default: // a learned scale behind the conv
			scaled := t.node("Mul", []string{t.conv(f, 8, na*no, 1, 1), t.weight(1, na*no, 1, 1)})
			five = t.transpose(t.reshape(scaled, 1, na, no, ny, nx), 0, 1, 3, 4, 2)
		}
		t.maps = append(t.maps, five)
		y := t.node("Sigmoid", []string{five})
		stride := float32(int64(tailStride) << i)
		xy := t.scalar("Sub", t.scalar("Mul", t.slice(y, 4, 0, 2), 2), t.offset)
		xy = t.scalar("Mul", t.node("Add", []string{xy, t.floats([]int64{1, 1, ny, nx, 2}, cellsOf(int(ny), int(nx), 0)...)}), stride)
		wh := t.scalar("Mul", t.slice(y, 4, 2, 4), 2)
		var anchors []float32
		for range 2 * na {
			anchors = append(anchors, 4+float32(t.rng.IntN(60)))
		}
		wh = t.node("Mul", []string{t.node("Mul", []string{wh, wh}), t.floats([]int64{1, na, 1, 1, 2}, anchors...)})
		levels = append(levels, t.reshape(t.concat(4, xy, wh, t.slice(y, 4, 4, no)), 1, na*ny*nx, no))
		t.n += int(na * ny * nx)
	}
	t.rows = t.concat(1, levels...)
}

func (t *tailNet) yolox(features []string) {
	t.anchorFree = true
	var levels []string
	var grid, strides []float32
	for i, f := range features {
		ny, nx := tailHeight/(tailStride<<i), tailWidth/(tailStride<<i)
		parts := t.decoupled(f, true, 1, int64(t.nc))
		parts[1], parts[2] = t.node("Sigmoid", []string{parts[1]}), t.node("Sigmoid", []string{parts[2]})
		levels = append(levels, t.reshape(t.concat(1, parts...), 1, int64(5+t.nc), int64(ny*nx)))
		grid = append(grid, cellsOf(ny, nx, 0)...)
		for range ny * nx {
			strides = append(strides, float32(int(tailStride)<<i))
		}
		t.n += ny * nx
	}
	rows := t.transpose(t.concat(2, levels...), 0, 2, 1)
	n := int64(t.n)
	stride := t.floats([]int64{1, n, 1}, strides...)
	xy := t.node("Mul", []string{t.node("Add", []string{t.slice(rows, 2, 0, 2), t.floats([]int64{1, n, 2}, grid...)}), stride})
	wh := t.node("Mul", []string{t.node("Exp", []string{t.slice(rows, 2, 2, 4)}), stride})
	t.rows = t.concat(2, xy, wh, t.slice(rows, 2, 4, int64(5+t.nc)))
}

func (t *tailNet) yolov8(features []string) {
	t.distances, t.anchorFree = true, true
	bins := []int64{1, 4, 16}[t.rng.IntN(3)]
	var levels []string
	var grid, strides []float32
	for i, f := range features {
		ny, nx := tailHeight/(tailStride<<i), tailWidth/(tailStride<<i)
		box, labels := t.conv(t.silu(t.conv(f, 8, 8, 3, 1)), 8, 4*bins, 1, 1), t.conv(t.silu(t.conv(f, 8, 8, 3, 1)), 8, int64(t.nc), 1, 1)
		levels = append(levels, t.reshape(t.concat(1, box, labels), 1, 4*bins+int64(t.nc), int64(ny*nx)))
		grid = append(grid, cellsOf(ny, nx, 0.5)...)
		for range ny * nx {
			strides = append(strides, float32(int(tailStride)<<i))
		}
		t.n += ny * nx
	}
	n, all := int64(t.n), t.concat(2, levels...)
	sides := t.slice(all, 1, 0, 4*bins)
	if bins > 1 {
		mean := make([]float32, bins)
		for i := range mean {
			mean[i] = float32(i)
			if t.roundBins {
				step := float32(bins-1) / 127
				mean[i] = float32(math.Round(float64(mean[i]/step))) * step
			}
		}
		weights := t.floats([]int64{1, bins, 1, 1}, mean...)
		p := t.node("Softmax", []string{t.transpose(t.reshape(sides, 1, 4, bins, n), 0, 2, 1, 3)}, onnx.IntAttr("axis", 1))
		sides = t.reshape(t.node("Conv", []string{p, weights}), 1, 4, n)
	}
	if t.quantized {
		scale, zero := t.floats(nil, 0.1), t.zero()
		sides = t.node("DequantizeLinear", []string{t.node("QuantizeLinear", []string{sides, scale, zero}), scale, zero})
	}
	middle := t.transpose(t.floats([]int64{1, n, 2}, grid...), 0, 2, 1)
	low := t.node("Sub", []string{middle, t.slice(sides, 1, 0, 2)})
	high := t.node("Add", []string{middle, t.slice(sides, 1, 2, 4)})
	center := t.scalar("Div", t.node("Add", []string{low, high}), 2)
	box := t.node("Mul", []string{t.concat(1, center, t.node("Sub", []string{high, low})), t.floats([]int64{1, 1, n}, strides...)})
	t.rows = t.transpose(t.concat(1, box, t.node("Sigmoid", []string{t.slice(all, 1, 4*bins, 4*bins+int64(t.nc))})), 0, 2, 1)
}

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
		t.Skipf("no ONNX Runtime: %v", err)
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

// TestHalfAStrideOff has the graph subtract 0.5 twice, as the article's Detect
// does in YOLOv5 7.0: the boxes are refused, with the way to the right ones.
func TestHalfAStrideOff(t *testing.T) {
	made := func(seed int, offset float32, maps bool) *tailNet {
		net := &tailNet{small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(uint64(seed), 3)), nc: 2, offset: offset}
		net.yolov5(net.backbone())
		net.output(net.rows)
		if maps {
			for _, name := range net.maps {
				net.output(name)
			}
		}
		return net
	}
	for i := range 40 {
		seed, maps := i/2, i%2 == 0
		want, err := parse(made(seed, 0.5, maps).bytes(t), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		layout := string(want.Head.Layout)
		off := made(seed, 1, maps).bytes(t)
		for _, head := range []string{"", "rows"} {
			_, err = parse(off, "", &Hints{Head: head})
			if !errors.Is(err, ErrUnknownHead) || !strings.Contains(err.Error(), "half a stride") || !strings.Contains(err.Error(), "--head "+layout) {
				t.Errorf("seed %d, maps beside %v, --head %s: %v", seed, maps, head, err)
			}
		}
		got, err := parse(off, "", &Hints{Head: layout})
		if err != nil {
			t.Fatalf("seed %d, maps beside %v: %v", seed, maps, err)
		}
		if fmt.Sprint(got.Head) != fmt.Sprint(want.Head) || !got.Cut {
			t.Errorf("seed %d, maps beside %v: head %+v, want %+v", seed, maps, got.Head, want.Head)
		}
	}
}

// TestDistanceMaps reads raw outputs of two convs a level: YOLOv8's by its sixteen
// bins, others on the user's word alone, for other detectors have two convs too.
func TestDistanceMaps(t *testing.T) {
	made := func(bins, nc int64, joined bool) []byte {
		s := newSmall(1, 3, 64, 96)
		for _, f := range s.backbone() {
			box, labels := s.conv(f, 8, 4*bins, 1, 1), s.conv(f, 8, nc, 1, 1)
			if joined {
				s.output(s.concat(1, box, labels))
			} else {
				s.output(box)
				s.output(labels)
			}
		}
		return s.bytes(t)
	}
	for _, joined := range []bool{false, true} {
		for _, c := range []struct {
			bins, nc int64
			head     string
			taken    bool
		}{{16, 3, "", true}, {16, 64, "", true}, {1, 3, "", false}, {1, 3, "yolov8", true}, {9, 27, "", false}, {8, 5, "yolov8", true}} {
			n, err := parse(made(c.bins, c.nc, joined), "", &Hints{Head: c.head})
			if !c.taken {
				if err == nil || errors.Is(err, ErrHint) {
					t.Errorf("%+v, joined %v: %v", c, joined, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%+v, joined %v: %v", c, joined, err)
				continue
			}
			h := n.Head
			if h.Family != decode.YOLOv8 || h.Layout != decode.Split || h.RegMax != int(c.bins) || h.Classes != int(c.nc) || len(h.Levels) != 2 || h.Levels[0].Stride != 4 {
				t.Errorf("%+v, joined %v: %+v", c, joined, h)
			}
		}
	}
	// anchors do not make YOLOv5's of them
	if n, err := parse(made(1, 3, true), "", &Hints{Anchors: [][][2]float32{{{4, 5}}, {{8, 9}}}}); err == nil {
		t.Errorf("two convs side by side are taken as %+v", n.Head)
	}
}

// TestFamily has branches of two 3x3 convs, as YOLOX's are: the formula, the
// anchors or the user say what decodes them, and how they are built does not.
func TestFamily(t *testing.T) {
	made := func(na int64, sigmoid bool) []byte {
		s := newSmall(1, 3, 64, 96)
		for _, f := range s.backbone() {
			x := s.silu(s.conv(f, 8, 8, 1, 1))
			branch := func() string { return s.silu(s.conv(s.silu(s.conv(x, 8, 8, 3, 1)), 8, 8, 3, 1)) }
			cls, reg := branch(), branch()
			box, conf, labels := s.conv(reg, 8, 4*na, 1, 1), s.conv(reg, 8, na, 1, 1), s.conv(cls, 8, 3*na, 1, 1)
			if sigmoid {
				conf, labels = s.node("Sigmoid", []string{conf}), s.node("Sigmoid", []string{labels})
			}
			s.output(s.concat(1, box, conf, labels))
		}
		return s.bytes(t)
	}
	anchors := func(na int) [][][2]float32 {
		level := make([][2]float32, na)
		for i := range level {
			level[i] = [2]float32{float32(4 + i), 9}
		}
		return [][][2]float32{level, level}
	}
	for _, c := range []struct {
		name    string
		na      int64
		sigmoid bool
		hints   Hints
		want    decode.Family
		kind    decode.Kind
		err     error
	}{
		{"three anchors", 3, false, Hints{Anchors: anchors(3)}, decode.YOLOv5, decode.KindUnknown, nil},
		{"three anchors, decoupled-base", 3, false, Hints{Anchors: anchors(3), Head: "decoupled-base"}, decode.YOLOv5, decode.DecoupledBase, nil},
		{"three anchors, yolox", 3, false, Hints{Anchors: anchors(3), Head: "yolox"}, "", "", ErrHint},
		{"one anchor", 1, false, Hints{Anchors: anchors(1)}, decode.YOLOv5, decode.KindUnknown, nil},
		{"one prediction a cell", 1, false, Hints{}, "", "", ErrAmbiguous},
		{"one prediction a cell, yolox", 1, false, Hints{Head: "yolox"}, decode.YOLOX, decode.KindYOLOX, nil},
		{"past YOLOX's sigmoid", 1, true, Hints{}, decode.YOLOX, decode.KindYOLOX, nil},
	} {
		n, err := parse(made(c.na, c.sigmoid), "", &c.hints)
		if c.err != nil {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v, want %v", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if n.Head.Family != c.want || n.Head.Kind != c.kind || n.Preprocess != c.want.Preprocess() {
			t.Errorf("%s: %s %s, %+v", c.name, n.Head.Family, n.Head.Kind, n.Preprocess)
		}
	}
}

// TestHintsAgainstTheInput has hints that what the graph does to its input
// contradicts.
func TestHintsAgainstTheInput(t *testing.T) {
	net := &tailNet{small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(5, 5)), nc: 2, offset: 0.5}
	turned := net.node("Gather", []string{net.image, net.ints(2, 1, 0)}, onnx.IntAttr("axis", 1))
	net.image = net.scalar("Div", turned, 255)
	net.yolov5(net.backbone())
	net.output(net.rows)
	b := net.bytes(t)
	n, err := parse(b, "", nil)
	if err != nil || n.Preprocess != (decode.Preprocess{Letterbox: decode.Center, ChannelOrder: decode.BGR, PixelRange: 255}) {
		t.Fatalf("%+v, %v", n.Preprocess, err)
	}
	for _, h := range []Hints{{PixelRange: 1}, {ChannelOrder: "rgb"}} {
		if _, err := parse(b, "", &h); !errors.Is(err, ErrHint) || !strings.Contains(err.Error(), "leave it out") {
			t.Errorf("%+v: %v", h, err)
		}
	}
	if _, err := parse(b, "", &Hints{PixelRange: 255, ChannelOrder: "bgr", Letterbox: "top-left"}); err != nil {
		t.Error(err)
	}
}

// TestRoundedBins has bins that are a little off: what quantizing does to
// constants is YOLOv8's formula still, where the graph is quantized.
func TestRoundedBins(t *testing.T) {
	for _, quantized := range []bool{false, true} {
		seen := 0
		for seed := range 12 {
			net := &tailNet{
				small: newSmall(1, 3, tailHeight, tailWidth), rng: rand.New(rand.NewPCG(uint64(seed), 9)), nc: 3, roundBins: true, quantized: quantized,
			}
			net.yolov8(net.backbone())
			if !slices.ContainsFunc(net.m.Graph.Nodes, func(n *onnx.Node) bool { return n.Is("Softmax") }) {
				continue // no bins
			}
			seen++
			net.output(net.transpose(net.rows, 0, 2, 1))
			n, err := parse(net.bytes(t), "", nil)
			switch {
			case !quantized && !errors.Is(err, ErrUnknownHead):
				t.Errorf("seed %d: %v", seed, err)
			case quantized && (err != nil || n.Head.Layout != decode.Columns):
				t.Errorf("seed %d, quantized: %v", seed, err)
			}
		}
		if seen == 0 {
			t.Fatal("none has bins")
		}
	}
}
