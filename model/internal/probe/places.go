package probe

import (
	"errors"
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

func constant(c *call) ([]*Value, error) {
	limit := maxData
	if c.small {
		limit = maxSmall
	}
	if a := c.node.Attr("value"); a != nil && a.Tensor != nil {
		return one(Tensor(a.Tensor, limit))
	}
	if a := c.node.Attr("value_float"); a != nil {
		return one(&Value{Type: onnx.Float32, Shape: []int{}, F: []float32{a.Float}, Known: true}, nil)
	}
	if a := c.node.Attr("value_int"); a != nil {
		return one(&Value{Type: onnx.Int64, Shape: []int{}, I: []int64{a.Int}, Known: true}, nil)
	}
	if a := c.node.Attr("value_floats"); a != nil {
		return one(&Value{Type: onnx.Float32, Shape: []int{len(a.Floats)}, F: a.Floats, Known: true}, nil)
	}
	if a := c.node.Attr("value_ints"); a != nil {
		return one(&Value{Type: onnx.Int64, Shape: []int{len(a.Ints)}, I: a.Ints, Known: true}, nil)
	}
	return nil, errors.New("its value is of a kind that is not known here")
}

func constantOfShape(c *call) ([]*Value, error) {
	dims, ok := c.ints(0)
	if !ok {
		return nil, errUnknown
	}
	fill := &Value{Type: onnx.Float32, F: []float32{0}, Known: true}
	if a := c.node.Attr("value"); a != nil && a.Tensor != nil {
		v, err := Tensor(a.Tensor, maxSmall)
		if err != nil {
			return nil, err
		}
		if v.Len() != 1 || !v.Known {
			return nil, errShape
		}
		fill = v
	}
	out, err := c.result(fill.Type, toInts(dims))
	if err != nil || !out.Known {
		return one(out, err)
	}
	for i := range out.F {
		out.F[i] = fill.F[0]
	}
	for i := range out.I {
		out.I[i] = fill.I[0]
	}
	return one(out, nil)
}

func shapeOf(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	rank := int64(len(x.Shape))
	bound := func(name string, def int64) int64 {
		v := c.node.Int(name, def)
		if v < 0 {
			v += rank
		}
		return max(0, min(v, rank))
	}
	start, end := bound("start", 0), bound("end", rank)
	out := &Value{Type: onnx.Int64, Known: true, I: []int64{}}
	for i := start; i < end; i++ {
		out.I = append(out.I, int64(x.Shape[i]))
	}
	out.Shape = []int{len(out.I)}
	return one(out, nil)
}

func sizeOf(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	return one(&Value{Type: onnx.Int64, Shape: []int{}, I: []int64{int64(x.Len())}, Known: true}, nil)
}

func rangeOf(c *call) ([]*Value, error) {
	for i := range 3 {
		if v, err := c.need(i); err != nil || !v.Known || v.Len() != 1 {
			return nil, errUnknown
		}
	}
	start, limit, delta := c.in[0].number(0), c.in[1].number(0), c.in[2].number(0)
	n := 0
	if delta != 0 && (limit-start)/delta > 0 {
		steps := (limit - start) / delta
		if steps > maxData {
			return nil, errLarge
		}
		if n = int(steps); float64(n) < steps {
			n++
		}
	}
	out, err := c.result(c.in[0].Type, []int{n})
	if err != nil || !out.Known {
		return one(out, err)
	}
	for i := range n {
		v := start + float64(i)*delta
		if out.F != nil {
			out.F[i] = float32(v)
		} else {
			out.I[i] = int64(v)
		}
	}
	return one(out, nil)
}

// shaped gives x another shape with as many elements.
func shaped(x *Value, shape []int) ([]*Value, error) {
	if _, err := checked(shape); err != nil {
		return nil, err
	}
	if count(shape) != x.Len() {
		return nil, fmt.Errorf("%w: %v cannot become %v", errShape, x.Shape, shape)
	}
	return one(&Value{Type: x.Type, Shape: shape, F: x.F, I: x.I, Known: x.Known}, nil)
}

func reshape(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	want, ok := c.ints(1)
	if !ok {
		return nil, errUnknown
	}
	shape := make([]int, len(want))
	free, product := -1, 1
	for i, d := range want {
		switch {
		case d == 0 && c.node.Int("allowzero", 0) == 0:
			if i >= len(x.Shape) {
				return nil, errShape
			}
			shape[i] = x.Shape[i]
		case d == -1 && free < 0:
			free = i
			continue
		case d < 0 || d > maxElements:
			return nil, errShape
		default:
			shape[i] = int(d)
		}
		if shape[i] > 0 && product > maxElements/shape[i] {
			return nil, errLarge
		}
		product *= shape[i]
	}
	if free >= 0 {
		if product == 0 || x.Len()%product != 0 {
			return nil, fmt.Errorf("%w: %v cannot become %v", errShape, x.Shape, want)
		}
		shape[free] = x.Len() / product
	}
	return shaped(x, shape)
}

func flatten(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axis := c.node.Int("axis", 1)
	if axis < 0 {
		axis += int64(len(x.Shape))
	}
	if axis < 0 || axis > int64(len(x.Shape)) {
		return nil, errShape
	}
	return shaped(x, []int{count(x.Shape[:axis]), count(x.Shape[axis:])})
}

func squeeze(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axes, given, err := c.axes(1)
	if err != nil {
		return nil, err
	}
	drop := map[int]bool{}
	for _, a := range axes {
		i, err := axisOf(a, len(x.Shape))
		if err != nil {
			return nil, err
		}
		drop[i] = true
	}
	shape := []int{}
	for i, d := range x.Shape {
		if !drop[i] && (given || d != 1) {
			shape = append(shape, d)
		}
	}
	return shaped(x, shape)
}

func unsqueeze(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axes, given, err := c.axes(1)
	if err != nil || !given || len(axes) > maxRank {
		return nil, errUnknown
	}
	rank := len(x.Shape) + len(axes)
	added := map[int]bool{}
	for _, a := range axes {
		i, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		added[i] = true
	}
	if len(added) != len(axes) {
		return nil, errShape
	}
	shape := make([]int, 0, rank)
	next := 0
	for i := range rank {
		if added[i] {
			shape = append(shape, 1)
		} else {
			shape = append(shape, x.Shape[next])
			next++
		}
	}
	return shaped(x, shape)
}

func transpose(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	rank := len(x.Shape)
	perm := c.node.Ints("perm")
	if perm == nil {
		for i := range rank {
			perm = append(perm, int64(rank-1-i))
		}
	}
	if len(perm) != rank {
		return nil, errShape
	}
	own := strides(x.Shape)
	shape, step, seen := make([]int, rank), make([]int, rank), make([]bool, rank)
	for i, p := range perm {
		if p < 0 || p >= int64(rank) || seen[p] {
			return nil, errShape
		}
		seen[p] = true
		shape[i], step[i] = x.Shape[p], own[p]
	}
	out, err := c.result(x.Type, shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	walk(shape, step, 0, func(i, o int) { out.pick(i, o, x) })
	return one(out, nil)
}

func expand(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	want, ok := c.ints(1)
	if !ok {
		return nil, errUnknown
	}
	shape, err := broadcast(x.Shape, toInts(want))
	if err != nil {
		return nil, err
	}
	out, err := c.result(x.Type, shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	walk(shape, steps(x.Shape, shape), 0, func(i, o int) { out.pick(i, o, x) })
	return one(out, nil)
}

func tile(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	repeats, ok := c.ints(1)
	if !ok || len(repeats) != len(x.Shape) {
		return nil, errUnknown
	}
	shape := make([]int, len(x.Shape))
	for i, r := range repeats {
		if r < 0 || r > maxElements {
			return nil, errShape
		}
		shape[i] = x.Shape[i] * int(r)
	}
	out, err := c.result(x.Type, shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	own, to := strides(x.Shape), strides(shape)
	for i := range count(shape) {
		o, rest := 0, i
		for k := range shape {
			o += rest / to[k] % x.Shape[k] * own[k]
			rest %= to[k]
		}
		out.pick(i, o, x)
	}
	return one(out, nil)
}

func scatterND(c *call) ([]*Value, error) {
	x, index, err := c.both()
	if err != nil {
		return nil, err
	}
	updates, err := c.need(2)
	if err != nil {
		return nil, err
	}
	out, err := c.result(x.Type, x.Shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	if c.node.Text("reduction", "none") != "none" || len(index.Shape) == 0 || index.F != nil || (updates.F == nil) != (x.F == nil) {
		return nil, errors.New("this kind of ScatterND is not known here")
	}
	depth := index.Shape[len(index.Shape)-1]
	if depth < 1 || depth > len(x.Shape) {
		return nil, errShape
	}
	copy(out.F, x.F)
	copy(out.I, x.I)
	own := strides(x.Shape)
	part := count(x.Shape[depth:])
	if len(index.I)/depth*part != updates.Len() {
		return nil, errShape
	}
	for k := 0; k < len(index.I)/depth; k++ {
		to := 0
		for a := range depth {
			i := index.I[k*depth+a]
			if i < 0 {
				i += int64(x.Shape[a])
			}
			if i < 0 || i >= int64(x.Shape[a]) {
				return nil, errShape
			}
			to += int(i) * own[a]
		}
		for j := range part {
			out.pick(to+j, k*part+j, updates)
		}
	}
	return one(out, nil)
}

func nonZero(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	if !x.Known {
		return nil, errUnknown
	}
	var found []int
	for i := range x.Len() {
		if x.number(i) != 0 {
			found = append(found, i)
		}
	}
	rank := len(x.Shape)
	out, err := blank(onnx.Int64, []int{rank, len(found)})
	if err != nil {
		return nil, err
	}
	own := strides(x.Shape)
	for k, i := range found {
		for a := range rank {
			out.I[a*len(found)+k] = int64(i / own[a])
			i %= own[a]
		}
	}
	return one(out, nil)
}
