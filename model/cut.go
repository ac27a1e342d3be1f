package model

import (
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

// cutTo makes the named tensors the graph's outputs, in that order, and drops
// what only the old outputs needed. Outputs that stay keep their declaration;
// new ones are declared with the batch of the input, their channels, and their
// size where the input's is fixed.
func (r *reading) cutTo(names []string) error {
	g := r.model.Graph
	var outputs []*onnx.ValueInfo
	for _, name := range names {
		if contains(outputNames(outputs), name) {
			continue
		}
		v, err := r.declare(name)
		if err != nil {
			return err
		}
		outputs = append(outputs, v)
	}
	g.Outputs = outputs
	// Up to IR version 3 an initializer is an input too, which a runtime must
	// expect to be overridden, and whose type an edit would have to follow.
	g.Inputs = []*onnx.ValueInfo{r.input}
	r.model.IRVersion = max(r.model.IRVersion, 4)
	g.ValueInfo = without(g.ValueInfo, names)
	if err := g.Prune(); err != nil {
		return fmt.Errorf("cut at %v: %w", names, err)
	}
	x, err := onnx.NewIndex(g)
	if err != nil {
		return fmt.Errorf("cut at %v: %w", names, err)
	}
	r.index = x
	return nil
}

func outputNames(list []*onnx.ValueInfo) []string {
	var names []string
	for _, v := range list {
		names = append(names, v.Name)
	}
	return names
}

func without(list []*onnx.ValueInfo, names []string) []*onnx.ValueInfo {
	var out []*onnx.ValueInfo
	for _, v := range list {
		if !contains(names, v.Name) {
			out = append(out, v)
		}
	}
	return out
}

// declare makes the declaration of an output.
func (r *reading) declare(name string) (*onnx.ValueInfo, error) {
	for _, o := range r.model.Graph.Outputs {
		if o.Name == name {
			return o, nil
		}
	}
	v := r.shapes.Values[name]
	if v == nil || len(v.Shape) != 4 && len(v.Shape) != 5 {
		return nil, fmt.Errorf("%w: the shape of %.80q cannot be worked out (%w)", ErrUnknownHead, name, r.why(name))
	}
	in := r.input.Shape
	dims := []onnx.Dim{in[0], {Known: true, Value: int64(v.Shape[1])}}
	for i := 2; i < 4; i++ {
		if in[i].Known {
			dims = append(dims, onnx.Dim{Known: true, Value: int64(v.Shape[i])})
		} else {
			dims = append(dims, onnx.Dim{Param: fmt.Sprintf("%s_%s", name, []string{"height", "width"}[i-2])})
		}
	}
	if len(v.Shape) == 5 { // (B, na, ny, nx, no)
		dims = append(dims, onnx.Dim{Known: true, Value: int64(v.Shape[4])})
	}
	return &onnx.ValueInfo{Name: name, ElemType: v.Type, HasShape: true, Shape: dims}, nil
}

// describe lists what the tensors look like from outside; -1 stands for a
// dimension that follows the input's.
func (r *reading) describe(list []*onnx.ValueInfo) ([]TensorInfo, error) {
	first := r.shapes
	batch, height, width := r.batch, r.height, r.width
	r.measure(batch+1, height+256, width+384)
	second := r.shapes
	r.shapes, r.batch, r.height, r.width = first, batch, height, width
	var out []TensorInfo
	for _, v := range list {
		info := TensorInfo{Name: v.Name, DType: v.ElemType.String(), Shape: []int{}}
		a, b := first.Shape(v.Name), second.Shape(v.Name)
		rank := len(a)
		if a == nil {
			rank = len(v.Shape)
		}
		for i := range rank {
			size := -1
			switch {
			case len(b) == rank && a[i] == b[i]:
				size = a[i]
			case b == nil && i < len(v.Shape) && v.Shape[i].Known:
				size = int(v.Shape[i].Value)
			}
			info.Shape = append(info.Shape, size)
		}
		if len(info.Shape) == 0 {
			return nil, fmt.Errorf("%w: nothing says the shape of %.80q", ErrUnknownHead, v.Name)
		}
		out = append(out, info)
	}
	return out, nil
}
