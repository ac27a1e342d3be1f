package probe

import (
	"errors"
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

// Limits of a probe.
const (
	maxElements = 1 << 31 // of a shape
	maxData     = 1 << 25 // numbers held by one value
	maxSmall    = 1 << 12 // numbers of a value that a pass over shapes keeps
	maxRank     = 8
	maxWork     = 1 << 29 // numbers computed in all
	maxAlive    = 1 << 27 // numbers held at one time
	maxKept     = 1 << 24 // numbers kept by a pass over shapes
)

var (
	errUnknown = errors.New("an input is unknown")
	errLarge   = errors.New("it is too large to work out")
)

// Value is a tensor: its type and shape, and its numbers where they are known.
type Value struct {
	Type  onnx.DataType
	Shape []int
	F     []float32 // numbers of a floating-point type
	I     []int64   // numbers of an integer type or bool
	Known bool      // the numbers are there
}

// Len returns the number of elements.
func (v *Value) Len() int { return count(v.Shape) }

func count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// checked returns the extent of a shape, which is its number of elements with
// every 0 counted as 1, or an error where it is no sound shape. Loops run over
// parts of a shape, so that an empty tensor must not have huge dimensions.
func checked(shape []int) (int, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("it has rank %d", len(shape))
	}
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("its shape would be %v", shape)
		}
		if d > 0 {
			if n > maxElements/d {
				return 0, errLarge
			}
			n *= d
		}
	}
	return n, nil
}

// Tensor makes a value of a constant of the graph; its numbers are read where
// there are at most limit of them.
func Tensor(t *onnx.Tensor, limit int) (*Value, error) {
	v := &Value{Type: t.DataType, Shape: make([]int, len(t.Dims))}
	for i, d := range t.Dims {
		v.Shape[i] = int(d)
	}
	n, err := checked(v.Shape)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return v, nil
	}
	switch {
	case isFloat(t.DataType):
		v.F, err = t.Float32s()
	case isInteger(t.DataType):
		v.I, err = t.Int64s()
	default:
		return v, nil
	}
	v.Known = err == nil
	return v, err
}

// isFloat reports whether numbers of the type are held in Value.F.
func isFloat(t onnx.DataType) bool {
	switch t {
	case onnx.Float32, onnx.Float16, onnx.BFloat16, onnx.Float64:
		return true
	}
	return false
}

func isInteger(t onnx.DataType) bool {
	switch t {
	case onnx.Bool, onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64, onnx.Uint8, onnx.Uint16, onnx.Uint32, onnx.Uint64:
		return true
	}
	return false
}

// blank makes a value with room for numbers.
func blank(typ onnx.DataType, shape []int) (*Value, error) {
	n, err := checked(shape)
	if err != nil {
		return nil, err
	}
	if n > maxData {
		return nil, errLarge
	}
	n = count(shape)
	v := &Value{Type: typ, Shape: shape, Known: true}
	if isFloat(typ) {
		v.F = make([]float32, n)
	} else {
		v.I = make([]int64, n)
	}
	return v, nil
}

// pick copies element src of from to element dst.
func (v *Value) pick(dst, src int, from *Value) {
	if v.F != nil {
		v.F[dst] = from.F[src]
	} else {
		v.I[dst] = from.I[src]
	}
}

// strides returns the row-major step of every axis.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// walk calls fn with every element's number and the offset that steps give it.
func walk(shape, steps []int, start int, fn func(i, offset int)) {
	n := count(shape)
	if n == 0 {
		return
	}
	if len(shape) == 0 {
		fn(0, start)
		return
	}
	last := len(shape) - 1
	index := make([]int, len(shape))
	offset := start
	for i := 0; i < n; {
		for k, o := 0, offset; k < shape[last]; k++ {
			fn(i, o)
			i++
			o += steps[last]
		}
		for axis := last - 1; axis >= 0; axis-- {
			index[axis]++
			offset += steps[axis]
			if index[axis] < shape[axis] {
				break
			}
			offset -= steps[axis] * shape[axis]
			index[axis] = 0
		}
	}
}

// axisOf resolves a negative axis.
func axisOf(axis int64, rank int) (int, error) {
	if axis < 0 {
		axis += int64(rank)
	}
	if axis < 0 || axis >= int64(rank) {
		return 0, fmt.Errorf("axis %d does not exist in rank %d", axis, rank)
	}
	return int(axis), nil
}
