package decode

import "fmt"

// Tensor is one output of a network. Data holds the whole batch, row-major;
// the decoder only reads it.
type Tensor struct {
	Name  string
	Shape []int // batch first
	Data  []float32
}

// find returns which of the tensors has a name.
func find(outputs []Tensor, name string) (int, error) {
	for i := range outputs {
		if outputs[i].Name == name {
			return i, nil
		}
	}
	names := make([]string, len(outputs))
	for i := range outputs {
		names[i] = outputs[i].Name
	}
	return 0, fmt.Errorf("%w: no output is named %q, the network has %q", ErrHead, name, names)
}

// pictureSize returns the number of values of one picture of the batch.
func (t *Tensor) pictureSize() (int, error) {
	if len(t.Shape) == 0 {
		return 0, fmt.Errorf("%w: output %q is a scalar, want a batch of predictions", ErrHead, t.Name)
	}
	size := 1
	for _, d := range t.Shape[1:] {
		if d < 0 || (d > 0 && size > maxElements/d) {
			return 0, fmt.Errorf("%w: output %q has shape %v, want sizes of 0 or more", ErrHead, t.Name, t.Shape)
		}
		size *= d
	}
	return size, nil
}

// picture returns the part of the tensor that belongs to one picture of the
// batch, size values, once the tensor is known to be whole.
func (t *Tensor) picture(index, size int) ([]float32, error) {
	batch := t.Shape[0]
	if batch < 0 || (size > 0 && batch > maxElements/size) || batch*size != len(t.Data) {
		return nil, fmt.Errorf("%w: output %q has shape %v but %d values", ErrHead, t.Name, t.Shape, len(t.Data))
	}
	if index < 0 || index >= batch {
		return nil, fmt.Errorf("%w: picture %d asked of output %q, whose batch is %d", ErrHead, index, t.Name, batch)
	}
	return t.Data[index*size : (index+1)*size], nil
}

// maxElements bounds a tensor, so that sizes can be multiplied unchecked.
const maxElements = 1 << 40
