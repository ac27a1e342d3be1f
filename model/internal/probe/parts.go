package probe

import "fmt"

func concat(c *call) ([]*Value, error) {
	first, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axis, err := axisOf(c.node.Int("axis", 0), len(first.Shape))
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, first.Shape...)
	shape[axis] = 0
	for i := range c.in {
		v, err := c.need(i)
		if err != nil {
			return nil, err
		}
		if len(v.Shape) != len(shape) {
			return nil, errShape
		}
		for k, d := range v.Shape {
			if k != axis && d != shape[k] {
				return nil, fmt.Errorf("%w: %v beside %v", errShape, v.Shape, first.Shape)
			}
		}
		shape[axis] += v.Shape[axis]
	}
	out, err := c.result(first.Type, shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	inner := count(shape[axis+1:])
	row := shape[axis] * inner
	at := 0
	for _, v := range c.in {
		if (v.F == nil) != (first.F == nil) {
			return nil, errShape
		}
		part := v.Shape[axis] * inner
		for o := range count(shape[:axis]) {
			if out.F != nil {
				copy(out.F[o*row+at:], v.F[o*part:(o+1)*part])
			} else {
				copy(out.I[o*row+at:], v.I[o*part:(o+1)*part])
			}
		}
		at += part
	}
	return one(out, nil)
}

// cut takes the elements start, start+step, ... of every axis.
func (c *call) cut(x *Value, shape, start, step []int) (*Value, error) {
	out, err := c.result(x.Type, shape)
	if err != nil {
		return nil, err
	}
	if !out.Known {
		// a slice of unknown numbers, or of known ones that are too many
		return out, nil
	}
	own := strides(x.Shape)
	origin := 0
	move := make([]int, len(shape))
	for i := range shape {
		origin += start[i] * own[i]
		move[i] = step[i] * own[i]
	}
	walk(shape, move, origin, func(i, o int) { out.pick(i, o, x) })
	return out, nil
}

func split(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	axis, err := axisOf(c.node.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	sizes := c.node.Ints("split")
	if sizes == nil && c.arg(1) != nil {
		var ok bool
		if sizes, ok = c.ints(1); !ok {
			return nil, errUnknown
		}
	}
	if sizes == nil {
		n := c.outs
		if n == 0 {
			return nil, errShape
		}
		part := (x.Shape[axis] + n - 1) / n
		for left := x.Shape[axis]; len(sizes) < n; left -= part {
			sizes = append(sizes, int64(max(0, min(part, left))))
		}
	}
	if len(sizes) != c.outs {
		return nil, errShape
	}
	var outs []*Value
	start, step := make([]int, len(x.Shape)), make([]int, len(x.Shape))
	for i := range step {
		step[i] = 1
	}
	for _, n := range sizes {
		if n < 0 || int64(start[axis])+n > int64(x.Shape[axis]) {
			return nil, errShape
		}
		shape := append([]int{}, x.Shape...)
		shape[axis] = int(n)
		v, err := c.cut(x, shape, start, step)
		if err != nil {
			return nil, err
		}
		outs = append(outs, v)
		start[axis] += int(n)
	}
	return outs, nil
}

func slice(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	rank := len(x.Shape)
	starts, ends, axes := c.node.Ints("starts"), c.node.Ints("ends"), c.node.Ints("axes")
	var steps []int64
	if c.opset >= 10 {
		var ok [4]bool
		starts, ok[0] = c.ints(1)
		ends, ok[1] = c.ints(2)
		axes, ok[2] = c.ints(3)
		steps, ok[3] = c.ints(4)
		if !ok[0] || !ok[1] || c.arg(3) != nil && !ok[2] || c.arg(4) != nil && !ok[3] {
			return nil, errUnknown
		}
	}
	if axes == nil {
		for i := range starts {
			axes = append(axes, int64(i))
		}
	}
	if len(starts) != len(ends) || len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return nil, errShape
	}
	shape := append([]int{}, x.Shape...)
	from, by := make([]int, rank), make([]int, rank)
	for i := range by {
		by[i] = 1
	}
	for k := range starts {
		axis, err := axisOf(axes[k], rank)
		if err != nil {
			return nil, err
		}
		n, step := int64(x.Shape[axis]), int64(1)
		if steps != nil {
			step = steps[k]
		}
		if step == 0 || step > maxElements || step < -maxElements {
			return nil, errShape
		}
		low, high := int64(0), n
		if step < 0 {
			low, high = -1, n-1
		}
		clamp := func(v int64) int64 {
			if v < 0 {
				v += n
			}
			return max(low, min(v, high))
		}
		a, b := clamp(starts[k]), clamp(ends[k])
		if step < 0 && ends[k] < -n {
			b = -1
		}
		size := (b - a + step - sign(step)) / step
		shape[axis], from[axis], by[axis] = int(max(0, size)), int(a), int(step)
	}
	if count(shape) == 0 {
		for i := range from {
			from[i] = 0
		}
	}
	return one(c.cut(x, shape, from, by))
}

func sign(v int64) int64 {
	if v < 0 {
		return -1
	}
	return 1
}

func gather(c *call) ([]*Value, error) {
	x, index, err := c.both()
	if err != nil {
		return nil, err
	}
	axis, err := axisOf(c.node.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := append(append(append([]int{}, x.Shape[:axis]...), index.Shape...), x.Shape[axis+1:]...)
	out, err := c.result(x.Type, shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	if index.F != nil {
		return nil, errShape
	}
	inner, n := count(x.Shape[axis+1:]), len(index.I)
	for o := range count(x.Shape[:axis]) {
		for k, i := range index.I {
			if i < 0 {
				i += int64(x.Shape[axis])
			}
			if i < 0 || i >= int64(x.Shape[axis]) {
				return nil, errShape
			}
			for j := range inner {
				out.pick((o*n+k)*inner+j, (o*x.Shape[axis]+int(i))*inner+j, x)
			}
		}
	}
	return one(out, nil)
}
