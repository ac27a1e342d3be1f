package probe

import (
	"cmp"
	"math"
	"slices"
)

// What is computed in numbers behind a head, and by its shape alone before it.

// maxInner bounds the sums of a product: behind a head they are short.
const maxInner = 1 << 10

// product multiplies matrices: (..., m, k) and (..., k, n).
func (c *call) product(a, b *Value, shape []int) ([]*Value, error) {
	rank := len(shape)
	m, n, inner := shape[rank-2], shape[rank-1], b.Shape[len(b.Shape)-2]
	out, err := c.sums(a, b, shape, inner)
	if err != nil || !out.Known {
		return one(out, err)
	}
	outer := shape[:rank-2]
	stepsA := steps(a.Shape[:len(a.Shape)-2], outer)
	stepsB := steps(b.Shape[:len(b.Shape)-2], outer)
	for i := range stepsA {
		stepsA[i] *= m * inner
		stepsB[i] *= inner * n
	}
	var startsA, startsB []int
	walk(outer, stepsA, 0, func(_, o int) { startsA = append(startsA, o) })
	walk(outer, stepsB, 0, func(_, o int) { startsB = append(startsB, o) })
	for i := range startsA {
		x, w, y := a.F[startsA[i]:], b.F[startsB[i]:], out.F[i*m*n:]
		for row := range m {
			for column := range n {
				var sum float32
				for k := range inner {
					sum += x[row*inner+k] * w[k*n+column]
				}
				y[row*n+column] = sum
			}
		}
	}
	return one(out, nil)
}

// pointwise is a conv with a kernel of one cell, as the one with which YOLOv8
// takes the mean of a distribution.
func (c *call) pointwise(x, w *Value, shape []int) ([]*Value, error) {
	inner, cells := x.Shape[1], count(shape[2:])
	out, err := c.sums(x, w, shape, inner)
	if err != nil || !out.Known {
		return one(out, err)
	}
	bias := c.arg(2)
	if bias != nil && len(bias.F) != shape[1] {
		return nil, errShape
	}
	for b := range shape[0] {
		for o := range shape[1] {
			for cell := range cells {
				var sum float32
				if bias != nil {
					sum = bias.F[o]
				}
				for k := range inner {
					sum += x.F[(b*inner+k)*cells+cell] * w.F[o*inner+k]
				}
				out.F[(b*shape[1]+o)*cells+cell] = sum
			}
		}
	}
	return one(out, nil)
}

// sums makes the output of a product whose sums have inner terms: with room for
// numbers where the inputs' are known and the work is bounded.
func (c *call) sums(a, b *Value, shape []int, inner int) (*Value, error) {
	n, err := checked(shape)
	if err != nil {
		return nil, err
	}
	if inner > maxInner || inner > 0 && n > maxData/inner || a.F == nil || b.F == nil {
		return &Value{Type: a.Type, Shape: shape}, nil
	}
	return c.result(a.Type, shape)
}

// softmax works along one axis; before opset 13 over it and all that follow.
func softmax(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	preset := int64(-1)
	if c.opset < 13 {
		preset = 1
	}
	axis, err := axisOf(c.node.Int("axis", preset), len(x.Shape))
	if err != nil {
		return nil, err
	}
	out, err := c.result(x.Type, x.Shape)
	if err != nil || !out.Known || out.F == nil {
		return one(out, err)
	}
	n, inner := x.Shape[axis], count(x.Shape[axis+1:])
	if c.opset < 13 {
		n, inner = n*inner, 1
	}
	if n == 0 || inner == 0 {
		return one(out, nil)
	}
	for start := 0; start < len(x.F); start += n * inner {
		for i := range inner {
			from, to := x.F[start+i:], out.F[start+i:]
			greatest := from[0]
			for k := 1; k < n; k++ {
				greatest = max(greatest, from[k*inner])
			}
			sum := 0.0
			for k := range n {
				sum += math.Exp(float64(from[k*inner]) - float64(greatest))
			}
			for k := range n {
				to[k*inner] = float32(math.Exp(float64(from[k*inner])-float64(greatest)) / sum)
			}
		}
	}
	return one(out, nil)
}

// dequantized is (x - zero point) * scale, the two of them for the whole tensor
// or for each place along an axis.
func (c *call) dequantized(x, scale *Value) ([]*Value, error) {
	out, err := c.result(scale.Type, x.Shape)
	if err != nil || !out.Known || scale.F == nil {
		return one(out, err)
	}
	zero := c.arg(2)
	n, inner := 1, x.Len()
	if scale.Len() != 1 {
		axis, err := axisOf(c.node.Int("axis", 1), len(x.Shape))
		if err != nil {
			return nil, err
		}
		n, inner = x.Shape[axis], count(x.Shape[axis+1:])
	}
	if scale.Len() != n || zero != nil && (zero.I == nil || zero.Len() != n) {
		return nil, errShape
	}
	for i, v := range x.I {
		place := i / max(inner, 1) % n
		if zero != nil {
			v -= zero.I[place]
		}
		out.F[i] = float32(v) * scale.F[place]
	}
	return one(out, nil)
}

// folded fills the output of a reduction whose shape is known.
func (c *call) folded(x, out *Value, axes []int64) ([]*Value, error) {
	fold := folds[c.node.OpType]
	if fold == nil || x.F == nil || !c.computes(x.Len()) || x.Len() == 0 {
		return one(out, nil)
	}
	groups := slices.Clone(x.Shape) // out.Shape with the dropped axes kept
	for i := range groups {
		if len(axes) == 0 {
			groups[i] = 1
		}
	}
	for _, a := range axes {
		i, err := axisOf(a, len(groups))
		if err != nil {
			return nil, err
		}
		groups[i] = 1
	}
	filled, err := blank(out.Type, out.Shape)
	if err != nil {
		return nil, err
	}
	so := make([]folding, count(groups))
	walk(x.Shape, steps(groups, x.Shape), 0, func(i, o int) {
		fold(&so[o], x.F[i])
		so[o].n++
	})
	for i, f := range so {
		switch {
		case filled.I != nil:
			filled.I[i] = int64(f.place)
		case c.node.OpType == "ReduceMean":
			filled.F[i] = float32(f.value / float64(f.n))
		default:
			filled.F[i] = float32(f.value)
		}
	}
	return one(filled, nil)
}

// folding is a reduction under way: n numbers were seen.
type folding struct {
	value    float64
	place, n int // place is the value's, for ArgMax and ArgMin
}

func (f *folding) take(x float32) { f.value, f.place = float64(x), f.n }

var folds = map[string]func(*folding, float32){
	"ReduceMax": greatest, "ArgMax": greatest, "ReduceMin": least, "ArgMin": least, "ReduceSum": add, "ReduceMean": add,
}

func greatest(f *folding, x float32) {
	if f.n == 0 || float64(x) > f.value {
		f.take(x)
	}
}

func least(f *folding, x float32) {
	if f.n == 0 || float64(x) < f.value {
		f.take(x)
	}
}

func add(f *folding, x float32) { f.value += float64(x) }

// best fills the outputs of TopK: the first of equals comes first.
func (c *call) best(x *Value, axis int, values, places *Value) {
	n, k, inner := x.Shape[axis], values.Shape[axis], count(x.Shape[axis+1:])
	order := make([]int, n)
	for outer := range count(x.Shape[:axis]) {
		for i := range inner {
			at := func(place int) int { return (outer*n+place)*inner + i }
			for place := range order {
				order[place] = place
			}
			slices.SortStableFunc(order, func(a, b int) int {
				if c.node.Int("largest", 1) == 0 {
					a, b = b, a
				}
				return cmp.Compare(x.F[at(b)], x.F[at(a)])
			})
			for place, from := range order[:k] {
				to := (outer*k+place)*inner + i
				values.F[to], places.I[to] = x.F[at(from)], int64(from)
			}
		}
	}
}

// gatherElements takes, for every index, the number at that place along the
// axis.
func gatherElements(c *call) ([]*Value, error) {
	x, index, err := c.both()
	if err != nil {
		return nil, err
	}
	axis, err := axisOf(c.node.Int("axis", 0), len(x.Shape))
	if err != nil {
		return nil, err
	}
	if len(index.Shape) != len(x.Shape) {
		return nil, errShape
	}
	for i, d := range index.Shape {
		if i != axis && d > x.Shape[i] {
			return nil, errShape
		}
	}
	out, err := c.result(x.Type, index.Shape)
	if err != nil || !out.Known {
		return one(out, err)
	}
	if index.I == nil {
		return nil, errShape
	}
	own := strides(x.Shape)
	move := slices.Clone(own)
	move[axis] = 0
	walk(index.Shape, move, 0, func(i, o int) {
		place := index.I[i]
		if place < 0 {
			place += int64(x.Shape[axis])
		}
		if place < 0 || place >= int64(x.Shape[axis]) {
			err = errShape
			return
		}
		out.pick(i, o+int(place)*own[axis], x)
	})
	if err != nil {
		return nil, err
	}
	return one(out, nil)
}
