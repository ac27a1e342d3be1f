package probe

import (
	"fmt"
	"math"

	"github.com/trtdet/trtdet/model/onnx"
)

// broadcast returns numpy's common shape.
func broadcast(shapes ...[]int) ([]int, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	for _, s := range shapes {
		for i, d := range s {
			o := &out[rank-len(s)+i]
			switch {
			case d == *o || d == 1:
			case *o == 1:
				*o = d
			default:
				return nil, fmt.Errorf("shapes %v do not fit each other", shapes)
			}
		}
	}
	return out, nil
}

// steps returns the strides of shape seen as the broadcast shape out.
func steps(shape, out []int) []int {
	s := make([]int, len(out))
	own := strides(shape)
	for i, d := range shape {
		if d != 1 {
			s[len(out)-len(shape)+i] = own[i]
		}
	}
	return s
}

// offsets lists the element of v that every element of the broadcast shape out
// reads; nil where they are the same.
func offsets(v *Value, out []int) []int32 {
	n := count(out)
	if v.Len() == n {
		return nil
	}
	list := make([]int32, n)
	walk(out, steps(v.Shape, out), 0, func(i, o int) { list[i] = int32(o) })
	return list
}

func at(list []int32, i int) int {
	if list == nil {
		return i
	}
	return int(list[i])
}

// unary makes an operator of one input that keeps its shape.
func unary(f func(c *call, x float64) float64) operator {
	return func(c *call) ([]*Value, error) {
		x, err := c.need(0)
		if err != nil {
			return nil, err
		}
		out, err := c.result(x.Type, x.Shape)
		if err != nil || !out.Known {
			return one(out, err)
		}
		for i := range out.F {
			out.F[i] = float32(f(c, float64(x.F[i])))
		}
		for i := range out.I {
			out.I[i] = int64(f(c, float64(x.I[i])))
		}
		return one(out, nil)
	}
}

// binary makes an operator of two broadcast inputs.
func binary(f func(c *call, a, b float32) float32, g func(c *call, a, b int64) int64) operator {
	return func(c *call) ([]*Value, error) {
		a, b, shape, err := c.pair()
		if err != nil {
			return nil, err
		}
		if a.Known && b.Known && (a.F == nil) != (b.F == nil) && c.node.OpType != "Pow" {
			return nil, fmt.Errorf("types %s and %s do not fit each other", a.Type, b.Type)
		}
		out, err := c.result(a.Type, shape)
		if err != nil || !out.Known {
			return one(out, err)
		}
		oa, ob := offsets(a, shape), offsets(b, shape)
		switch {
		case out.F != nil && b.F != nil:
			for i := range out.F {
				out.F[i] = f(c, a.F[at(oa, i)], b.F[at(ob, i)])
			}
		case out.F != nil:
			for i := range out.F {
				out.F[i] = f(c, a.F[at(oa, i)], float32(b.I[at(ob, i)]))
			}
		case b.F != nil:
			for i := range out.I {
				out.I[i] = int64(f(c, float32(a.I[at(oa, i)]), b.F[at(ob, i)]))
			}
		default:
			for i := range out.I {
				out.I[i] = g(c, a.I[at(oa, i)], b.I[at(ob, i)])
			}
		}
		return one(out, nil)
	}
}

func (c *call) pair() (a, b *Value, shape []int, err error) {
	if a, b, err = c.both(); err != nil {
		return
	}
	shape, err = broadcast(a.Shape, b.Shape)
	return
}

// compare makes an operator that gives a bool.
func compare(f func(a, b float64) bool) operator {
	return func(c *call) ([]*Value, error) {
		a, b, shape, err := c.pair()
		if err != nil {
			return nil, err
		}
		out, err := c.result(onnx.Bool, shape)
		if err != nil || !out.Known {
			return one(out, err)
		}
		oa, ob := offsets(a, shape), offsets(b, shape)
		for i := range out.I {
			if f(a.number(at(oa, i)), b.number(at(ob, i))) {
				out.I[i] = 1
			}
		}
		return one(out, nil)
	}
}

func (v *Value) number(i int) float64 {
	if v.F != nil {
		return float64(v.F[i])
	}
	return float64(v.I[i])
}

func sigmoid(_ *call, x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func divide(_ *call, a, b int64) int64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func modulo(c *call, a, b int64) int64 {
	if b == 0 {
		return 0
	}
	m := a % b
	if c.node.Int("fmod", 0) == 0 && m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}

func power(_ *call, a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) }

func choose(c *call) ([]*Value, error) {
	var shapes [][]int
	for i := range 3 {
		v, err := c.need(i)
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, v.Shape)
	}
	shape, err := broadcast(shapes...)
	if err != nil {
		return nil, err
	}
	out, err := c.result(c.in[1].Type, shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	if (c.in[1].F == nil) != (c.in[2].F == nil) || c.in[0].F != nil {
		return nil, fmt.Errorf("types do not fit each other")
	}
	oc, oa, ob := offsets(c.in[0], shape), offsets(c.in[1], shape), offsets(c.in[2], shape)
	for i := range count(shape) {
		if c.in[0].I[at(oc, i)] != 0 {
			out.pick(i, at(oa, i), c.in[1])
		} else {
			out.pick(i, at(ob, i), c.in[2])
		}
	}
	return one(out, nil)
}

// same makes an operator whose first output is shaped like its first input and
// whose numbers are not worked out.
func same(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	return one(&Value{Type: x.Type, Shape: x.Shape}, nil)
}

// pass gives its first input on unchanged.
func pass(c *call) ([]*Value, error) { return one(c.need(0)) }

func cast(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	typ := onnx.DataType(c.node.Int("to", 0))
	if !isFloat(typ) && !isInteger(typ) {
		return one(&Value{Type: typ, Shape: x.Shape}, nil)
	}
	out, err := c.result(typ, x.Shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	for i := range out.F {
		out.F[i] = float32(x.number(i))
	}
	for i := range out.I {
		out.I[i] = int64(x.number(i))
		if typ == onnx.Bool && x.number(i) != 0 {
			out.I[i] = 1
		}
	}
	return one(out, nil)
}
