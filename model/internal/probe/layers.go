package probe

import (
	"errors"
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

var errShape = errors.New("its shapes do not fit")

// window returns the size of a spatial axis after a convolution or pooling.
func (c *call) window(in, kernel []int) ([]int, error) {
	rank := len(in)
	get := func(name string, i int, def int64) int64 {
		if list := c.node.Ints(name); i < len(list) {
			return list[i]
		}
		return def
	}
	out := make([]int, rank)
	auto := c.node.Text("auto_pad", "NOTSET")
	for i := range in {
		stride, dilation := get("strides", i, 1), get("dilations", i, 1)
		if stride < 1 || dilation < 1 || kernel[i] < 1 || stride > 1<<20 || dilation > 1<<20 || kernel[i] > 1<<20 {
			return nil, errShape
		}
		reach := dilation*int64(kernel[i]-1) + 1
		var n int64
		switch auto {
		case "SAME_UPPER", "SAME_LOWER":
			n = (int64(in[i]) + stride - 1) / stride
		default:
			total := int64(in[i]) - reach
			if auto != "VALID" {
				pads := c.node.Ints("pads")
				if len(pads) == 2*rank {
					if pads[i] < 0 || pads[rank+i] < 0 || pads[i] > 1<<20 || pads[rank+i] > 1<<20 {
						return nil, errShape
					}
					total += pads[i] + pads[rank+i]
				}
			}
			if total < 0 {
				return nil, errShape
			}
			n = total/stride + 1
			if c.node.Int("ceil_mode", 0) != 0 {
				n = (total+stride-1)/stride + 1
			}
		}
		out[i] = int(n)
	}
	return out, nil
}

func conv(c *call) ([]*Value, error) {
	x, w, err := c.both()
	if err != nil {
		return nil, err
	}
	if len(x.Shape) < 3 || len(w.Shape) != len(x.Shape) || int64(x.Shape[1]) != int64(w.Shape[1])*c.node.Int("group", 1) {
		return nil, fmt.Errorf("%w: input %v, weights %v", errShape, x.Shape, w.Shape)
	}
	spatial, err := c.window(x.Shape[2:], w.Shape[2:])
	if err != nil {
		return nil, err
	}
	shape := append([]int{x.Shape[0], w.Shape[0]}, spatial...)
	if count(w.Shape[2:]) == 1 && count(spatial) == count(x.Shape[2:]) && c.node.Int("group", 1) == 1 {
		return c.pointwise(x, w, shape)
	}
	return one(&Value{Type: x.Type, Shape: shape}, nil)
}

func convTranspose(c *call) ([]*Value, error) {
	x, w, err := c.both()
	if err != nil {
		return nil, err
	}
	rank := len(x.Shape) - 2
	group := c.node.Int("group", 1)
	if rank < 1 || len(w.Shape) != len(x.Shape) || x.Shape[1] != w.Shape[0] || group < 1 || group > 1<<20 {
		return nil, errShape
	}
	if c.node.Attr("output_shape") != nil || c.node.Text("auto_pad", "NOTSET") != "NOTSET" {
		return nil, errors.New("automatic padding is not known here")
	}
	out := []int{x.Shape[0], w.Shape[1] * int(group)}
	get := func(name string, i int, def int64) int64 {
		if list := c.node.Ints(name); i < len(list) {
			return list[i]
		}
		return def
	}
	for i := range rank {
		n := get("strides", i, 1)*int64(x.Shape[2+i]-1) + get("output_padding", i, 0) +
			get("dilations", i, 1)*int64(w.Shape[2+i]-1) + 1 - get("pads", i, 0) - get("pads", rank+i, 0)
		if n < 0 || n > maxElements {
			return nil, errShape
		}
		out = append(out, int(n))
	}
	return one(&Value{Type: x.Type, Shape: out}, nil)
}

func pool(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	kernel := toInts(c.node.Ints("kernel_shape"))
	if len(x.Shape) < 3 || len(kernel) != len(x.Shape)-2 {
		return nil, errShape
	}
	spatial, err := c.window(x.Shape[2:], kernel)
	if err != nil {
		return nil, err
	}
	return one(&Value{Type: x.Type, Shape: append([]int{x.Shape[0], x.Shape[1]}, spatial...)}, nil)
}

func globalPool(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) < 3 {
		return nil, errShape
	}
	shape := append([]int{}, x.Shape...)
	for i := 2; i < len(shape); i++ {
		shape[i] = 1
	}
	return one(&Value{Type: x.Type, Shape: shape}, nil)
}

func gemm(c *call) ([]*Value, error) {
	a, b, err := c.both()
	if err != nil {
		return nil, err
	}
	if len(a.Shape) != 2 || len(b.Shape) != 2 {
		return nil, errShape
	}
	m, n := a.Shape[0], b.Shape[1]
	if c.node.Int("transA", 0) != 0 {
		m = a.Shape[1]
	}
	if c.node.Int("transB", 0) != 0 {
		n = b.Shape[0]
	}
	return one(&Value{Type: a.Type, Shape: []int{m, n}}, nil)
}

func matMul(c *call) ([]*Value, error) {
	a, b, err := c.both()
	if err != nil {
		return nil, err
	}
	ra, rb := len(a.Shape), len(b.Shape)
	if ra < 2 || rb < 2 || a.Shape[ra-1] != b.Shape[rb-2] {
		return nil, errShape
	}
	shape, err := broadcast(a.Shape[:ra-2], b.Shape[:rb-2])
	if err != nil {
		return nil, err
	}
	return c.product(a, b, append(shape, a.Shape[ra-2], b.Shape[rb-1]))
}

func resize(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	if c.node.Attr("axes") != nil {
		return nil, errors.New("resizing chosen axes is not known here")
	}
	scales := c.arg(2)
	if c.node.OpType == "Upsample" || c.opset < 11 {
		scales = c.arg(1)
	}
	shape := append([]int{}, x.Shape...)
	if scales != nil && scales.Len() > 0 {
		if !scales.Known || len(scales.F) != len(shape) {
			return nil, errUnknown
		}
		for i := range shape {
			n := float64(shape[i]) * float64(scales.F[i])
			if !(n >= 0 && n <= maxElements) {
				return nil, errShape
			}
			shape[i] = int(n)
		}
		return one(&Value{Type: x.Type, Shape: shape}, nil)
	}
	sizes, ok := c.ints(3)
	if !ok || len(sizes) != len(shape) {
		return nil, errUnknown
	}
	return one(&Value{Type: x.Type, Shape: toInts(sizes)}, nil)
}

func pad(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	pads := c.node.Ints("pads")
	if c.opset >= 11 {
		var ok bool
		if pads, ok = c.ints(1); !ok {
			return nil, errUnknown
		}
	}
	rank := len(x.Shape)
	if len(pads) != 2*rank || c.arg(3) != nil {
		return nil, errShape
	}
	shape := make([]int, rank)
	for i := range shape {
		n := int64(x.Shape[i]) + pads[i] + pads[rank+i]
		if n < 0 || n > maxElements {
			return nil, errShape
		}
		shape[i] = int(n)
	}
	return one(&Value{Type: x.Type, Shape: shape}, nil)
}

func (c *call) blocks() (x *Value, b int, err error) {
	if x, err = c.need(0); err != nil {
		return nil, 0, err
	}
	n := c.node.Int("blocksize", 0)
	if len(x.Shape) != 4 || n < 1 || n > 1<<10 {
		return nil, 0, errShape
	}
	return x, int(n), nil
}

func depthToSpace(c *call) ([]*Value, error) {
	x, b, err := c.blocks()
	if err != nil {
		return nil, err
	}
	s := x.Shape
	return one(&Value{Type: x.Type, Shape: []int{s[0], s[1] / (b * b), s[2] * b, s[3] * b}}, nil)
}

func spaceToDepth(c *call) ([]*Value, error) {
	x, b, err := c.blocks()
	if err != nil {
		return nil, err
	}
	s := x.Shape
	return one(&Value{Type: x.Type, Shape: []int{s[0], s[1] * b * b, s[2] / b, s[3] / b}}, nil)
}

func quantize(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	typ := onnx.Uint8
	if zero := c.arg(2); zero != nil {
		typ = zero.Type
	} else if t := c.node.Int("output_dtype", 0); t != 0 {
		typ = onnx.DataType(t)
	}
	if c.computes(x.Len()) && x.F != nil {
		return one(x, nil) // what dequantize gives back, but for the rounding
	}
	return one(&Value{Type: typ, Shape: x.Shape}, nil)
}

func dequantize(c *call) ([]*Value, error) {
	x, scale, err := c.both()
	if err != nil {
		return nil, err
	}
	if x.F != nil {
		return one(x, nil) // quantize left it as it was
	}
	return c.dequantized(x, scale)
}

// axes returns the axes of an operator that takes them as an attribute or,
// later, as input i.
func (c *call) axes(i int) (axes []int64, given bool, err error) {
	if a := c.node.Attr("axes"); a != nil {
		return a.Ints, true, nil
	}
	if c.arg(i) == nil {
		return nil, false, nil
	}
	axes, ok := c.ints(i)
	if !ok {
		return nil, true, errUnknown
	}
	return axes, true, nil
}

func reduce(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axes, given, err := c.axes(1)
	if err != nil {
		return nil, err
	}
	out, err := c.reduced(x, x.Type, axes, given && len(axes) > 0)
	if err != nil {
		return nil, err
	}
	return c.folded(x, out, axes)
}

func (c *call) reduced(x *Value, typ onnx.DataType, axes []int64, given bool) (*Value, error) {
	drop := make([]bool, len(x.Shape))
	for i := range drop {
		drop[i] = !given
	}
	for _, a := range axes {
		i, err := axisOf(a, len(x.Shape))
		if err != nil {
			return nil, err
		}
		drop[i] = true
	}
	var shape []int
	for i, d := range x.Shape {
		switch {
		case !drop[i]:
			shape = append(shape, d)
		case c.node.Int("keepdims", 1) != 0:
			shape = append(shape, 1)
		}
	}
	return &Value{Type: typ, Shape: shape}, nil
}

func argReduce(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axes := []int64{c.node.Int("axis", 0)}
	out, err := c.reduced(x, onnx.Int64, axes, true)
	if err != nil {
		return nil, err
	}
	return c.folded(x, out, axes)
}

func topK(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	k, ok := c.ints(1)
	if !ok || len(k) != 1 || k[0] < 0 || k[0] > maxElements {
		return nil, errUnknown
	}
	axis, err := axisOf(c.node.Int("axis", -1), len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, x.Shape...)
	if int(k[0]) > x.Shape[axis] {
		return nil, errShape
	}
	shape[axis] = int(k[0])
	values, err := c.result(x.Type, shape)
	if err != nil || !values.Known || x.F == nil {
		return []*Value{{Type: x.Type, Shape: shape}, {Type: onnx.Int64, Shape: shape}}, err
	}
	places, err := c.result(onnx.Int64, shape)
	if err != nil {
		return nil, err
	}
	c.best(x, axis, values, places)
	return []*Value{values, places}, nil
}

func toInts(list []int64) []int {
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = int(v)
	}
	return out
}

// clip takes its limits as attributes up to opset 10, as inputs later.
func clip(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	out, err := c.result(x.Type, x.Shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	limit := func(name string, i int) (float64, bool) {
		if a := c.node.Attr(name); a != nil {
			return float64(a.Float), true
		}
		if v := c.arg(i); v != nil && v.Len() == 1 {
			return v.number(0), true
		}
		return 0, false
	}
	low, hasLow := limit("min", 1)
	high, hasHigh := limit("max", 2)
	apply := func(v float64) float64 {
		if hasLow {
			v = max(v, low)
		}
		if hasHigh {
			v = min(v, high)
		}
		return v
	}
	for i := range out.F {
		out.F[i] = float32(apply(float64(x.F[i])))
	}
	for i := range out.I {
		out.I[i] = int64(apply(float64(x.I[i])))
	}
	return one(out, nil)
}
