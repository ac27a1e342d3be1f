package probe

import (
	"errors"
	"slices"
	"strings"

	"github.com/trtdet/trtdet/model/onnx"
)

// Shapes of operators that stand in backbones and need no numbers.

// gridSample gives (N, C, ...) of the grid's places, which are (N, ..., rank).
func gridSample(c *call) ([]*Value, error) {
	x, grid, err := c.both()
	if err != nil {
		return nil, err
	}
	rank := len(x.Shape)
	if rank < 3 || len(grid.Shape) != rank {
		return nil, errShape
	}
	return one(&Value{Type: x.Type, Shape: append([]int{x.Shape[0], x.Shape[1]}, grid.Shape[1:rank-1]...)}, nil)
}

// deformConv gives the places of its offsets, (N, ..., ny, nx).
func deformConv(c *call) ([]*Value, error) {
	x, w, err := c.both()
	if err != nil {
		return nil, err
	}
	offset, err := c.need(2)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) != 4 || len(w.Shape) != 4 || len(offset.Shape) != 4 {
		return nil, errShape
	}
	return one(&Value{Type: x.Type, Shape: []int{x.Shape[0], w.Shape[0], offset.Shape[2], offset.Shape[3]}}, nil)
}

// einsum sizes the output's letters by the inputs'.
func einsum(c *call) ([]*Value, error) {
	equation := strings.ReplaceAll(c.node.Text("equation", ""), " ", "")
	terms, output, given := strings.Cut(equation, "->")
	if strings.Contains(equation, "...") {
		return nil, errors.New("an ellipsis is not known here")
	}
	size, times := map[rune]int{}, map[rune]int{}
	for i, term := range strings.Split(terms, ",") {
		x, err := c.need(i)
		if err != nil {
			return nil, err
		}
		if len(x.Shape) != len(term) {
			return nil, errShape
		}
		for k, letter := range term {
			if d := size[letter]; d > 1 && x.Shape[k] > 1 && d != x.Shape[k] {
				return nil, errShape
			}
			size[letter] = max(size[letter], x.Shape[k])
			times[letter]++
		}
	}
	if !given { // the letters that occur once, in their order
		var once []rune
		for letter, n := range times {
			if n == 1 {
				once = append(once, letter)
			}
		}
		slices.Sort(once)
		output = string(once)
	}
	shape := []int{}
	for _, letter := range output {
		if times[letter] == 0 {
			return nil, errShape
		}
		shape = append(shape, size[letter])
	}
	return one(&Value{Type: c.in[0].Type, Shape: shape}, nil)
}

// recurrent gives all states (steps, directions, batch, size) and the last one
// (directions, batch, size), twice for LSTM.
func recurrent(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	r, err := c.need(2)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) != 3 || len(r.Shape) != 3 || c.node.Int("layout", 0) != 0 {
		return nil, errShape
	}
	last := []int{r.Shape[0], x.Shape[1], r.Shape[2]}
	end := func() *Value { return &Value{Type: x.Type, Shape: last} }
	all := &Value{Type: x.Type, Shape: []int{x.Shape[0], last[0], last[1], last[2]}}
	return []*Value{all, end(), end()}, nil
}

// attention is scaled dot-product attention of queries (B, heads, L, size) or
// (B, L, heads*size) over values of the same form.
func attention(c *call) ([]*Value, error) {
	q, err := c.need(0)
	if err != nil {
		return nil, err
	}
	v, err := c.need(2)
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(q.Shape)
	switch heads, own := int(c.node.Int("q_num_heads", 0)), int(c.node.Int("kv_num_heads", 0)); {
	case len(q.Shape) == 4 && len(v.Shape) == 4:
		shape[3] = v.Shape[3]
	case len(q.Shape) == 3 && len(v.Shape) == 3 && heads > 0 && own > 0 && heads <= maxElements/(v.Shape[2]+1):
		shape[2] = heads * (v.Shape[2] / own)
	default:
		return nil, errShape
	}
	return one(&Value{Type: q.Type, Shape: shape}, nil)
}

// fourier keeps the places of a signal whose last axis is one number or two,
// and gives two.
func fourier(c *call) ([]*Value, error) {
	x, err := c.need(0)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) < 2 || c.node.Int("onesided", 0) != 0 || c.arg(1) != nil {
		return nil, errors.New("a cut or one-sided transform is not known here")
	}
	shape := slices.Clone(x.Shape)
	shape[len(shape)-1] = 2
	return one(&Value{Type: x.Type, Shape: shape}, nil)
}

// declared takes what the file says about the outputs of a node that could not
// be worked out. It holds for the file's own size of input alone.
func (e *evaluator) declared(n *onnx.Node) bool {
	if !e.asDeclared {
		return false
	}
	found := map[string]*Value{}
	for _, name := range n.Outputs {
		if name == "" {
			continue
		}
		info := e.probe.index.Info(name)
		if info == nil || !info.HasShape || info.ElemType == 0 {
			return false
		}
		v := &Value{Type: info.ElemType, Shape: []int{}}
		for _, d := range info.Shape {
			if !d.Known || d.Value < 0 || d.Value > maxElements {
				return false
			}
			v.Shape = append(v.Shape, int(d.Value))
		}
		if _, err := checked(v.Shape); err != nil {
			return false
		}
		found[name] = v
	}
	for name, v := range found {
		e.result.Values[name] = v
	}
	return true
}

// asDeclared reports whether inputs have the very shapes that the file declares.
func (p *Probe) asDeclared(inputs map[string]*Value) bool {
	for name, v := range inputs {
		info := p.index.Info(name)
		if info == nil || len(info.Shape) != len(v.Shape) {
			return false
		}
		for i, d := range info.Shape {
			if !d.Known || d.Value != int64(v.Shape[i]) {
				return false
			}
		}
	}
	return true
}
