package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

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
	distances  bool           // YOLOv8: no confidence
	offset     float32        // of YOLOv5's centers, in cells
	maps       []string       // its raw predictions (B, na, ny, nx, no)
	sizes      [][][2]float32 // its anchors
	flat       string         // YOLOX's raw predictions (B, N, 5+nc)
	roundBins  bool           // YOLOv8's bins are rounded to 127 steps
	quantized  bool           // its distances went through Q/DQ
	rows       string
	n          int // predictions

	// what the file's input takes; zero is the family's own
	last, octets bool // channels last; uint8
	pixelRange   float32
	clear        bool // nothing is veiled
	veilRaw      bool // the raw predictions are
	joint        bool // YOLOX's box and confidence are one conv's
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
		t.turned = true
		switch t.rng.IntN(4) {
		case 0:
			t.image = t.node("Gather", []string{t.image, t.ints(2, 1, 0)}, onnx.IntAttr("axis", axis))
		case 1:
			t.image = t.node("Slice", []string{t.image, t.ints(-1), t.ints(math.MinInt64), t.ints(axis), t.ints(-1)})
		case 2:
			parts := t.split(t.image, axis)
			t.image = t.concat(axis, parts[2], parts[1], parts[0])
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

// split takes an axis of three apart.
func (s *small) split(x string, axis int64) [3]string {
	first := s.node("Split", []string{x, s.ints(1, 1, 1)}, onnx.IntAttr("axis", axis))
	split := s.m.Graph.Nodes[len(s.m.Graph.Nodes)-1]
	split.Outputs = append(split.Outputs, first+"_1", first+"_2")
	return [3]string(split.Outputs)
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
		if t.veilRaw {
			five = t.veiled(five, "bayxc")
		}
		t.maps = append(t.maps, five)
		y := t.node("Sigmoid", []string{five})
		stride := float32(int64(tailStride) << i)
		xy := t.scalar("Sub", t.scalar("Mul", t.slice(y, 4, 0, 2), 2), t.offset)
		xy = t.scalar("Mul", t.node("Add", []string{xy, t.floats([]int64{1, 1, ny, nx, 2}, cellsOf(int(ny), int(nx), 0)...)}), stride)
		wh := t.scalar("Mul", t.slice(y, 4, 2, 4), 2)
		var anchors []float32
		for range 2 * na {
			anchors = append(anchors, float32(4+40*i+t.rng.IntN(40)))
		}
		wh = t.node("Mul", []string{t.node("Mul", []string{wh, wh}), t.floats([]int64{1, na, 1, 1, 2}, anchors...)})
		levels = append(levels, t.reshape(t.concat(4, xy, wh, t.slice(y, 4, 4, no)), 1, na*ny*nx, no))
		t.n += int(na * ny * nx)
		t.sizes = append(t.sizes, pairs(anchors))
	}
	t.rows = t.concat(1, levels...)
}

// pairs takes widths and heights in turn.
func pairs(numbers []float32) (list [][2]float32) {
	for i := 0; i < len(numbers); i += 2 {
		list = append(list, [2]float32{numbers[i], numbers[i+1]})
	}
	return list
}

func (t *tailNet) yolox(features []string) {
	t.anchorFree = true
	var levels []string
	var grid, strides []float32
	for i, f := range features {
		ny, nx := tailHeight/(tailStride<<i), tailWidth/(tailStride<<i)
		parts := t.decoupled(f, true, 1, int64(t.nc))
		if t.joint {
			both := t.conv(t.silu(t.conv(f, 8, 8, 3, 1)), 8, 5, 1, 1)
			parts[0], parts[1] = t.slice(both, 1, 0, 4), t.slice(both, 1, 4, 5)
		}
		parts[1], parts[2] = t.node("Sigmoid", []string{parts[1]}), t.node("Sigmoid", []string{parts[2]})
		levels = append(levels, t.reshape(t.concat(1, parts...), 1, int64(5+t.nc), int64(ny*nx)))
		grid = append(grid, cellsOf(ny, nx, 0)...)
		for range ny * nx {
			strides = append(strides, float32(int(tailStride)<<i))
		}
		t.n += ny * nx
	}
	t.flat = t.transpose(t.concat(2, levels...), 0, 2, 1)
	if t.veilRaw {
		t.flat = t.veiled(t.flat, "bnc")
	}
	rows, n := t.flat, int64(t.n)
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
	if t.veilRaw {
		all = t.veiled(all, "bcn")
	}
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
