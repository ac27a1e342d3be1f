package probe

import (
	"fmt"

	"github.com/trtdet/trtdet/model/onnx"
)

// Probe works over one graph.
type Probe struct {
	model *onnx.Model
	index *onnx.Index
	opset int64
}

// New makes a probe of m, which it does not change.
func New(m *onnx.Model) (*Probe, error) {
	x, err := onnx.NewIndex(m.Graph)
	if err != nil {
		return nil, err
	}
	return &Probe{model: m, index: x, opset: m.Opset("")}, nil
}

// Result is what a pass found out. A name that is in neither map was not
// reached.
type Result struct {
	Values map[string]*Value // nil where nothing is known
	// Failed says why a node's outputs are unknown: an operator that is not
	// known here, or shapes that contradict each other.
	Failed map[*onnx.Node]error
}

// Shape returns the shape of name, nil where it is unknown.
func (r *Result) Shape(name string) []int {
	if v := r.Values[name]; v != nil {
		return v.Shape
	}
	return nil
}

// Shapes runs over the whole graph with the given shapes of its inputs and
// works out every shape it can. Numbers are kept for small values only.
func (p *Probe) Shapes(inputs map[string]*Value) *Result {
	w := p.Walk(inputs)
	for _, n := range p.model.Graph.Nodes {
		w.Step(n)
	}
	return w.Result
}

// Walk is a pass over shapes that its caller leads from node to node, in the
// graph's order.
type Walk struct {
	Result *Result
	e      *evaluator
}

// Walk starts a pass with the given shapes of the graph's inputs.
func (p *Probe) Walk(inputs map[string]*Value) *Walk {
	r := &Result{Values: map[string]*Value{}, Failed: map[*onnx.Node]error{}}
	for name, v := range inputs {
		r.Values[name] = v
	}
	return &Walk{Result: r, e: &evaluator{probe: p, result: r, small: true, asDeclared: p.asDeclared(inputs)}}
}

// Step works out the outputs of n.
func (w *Walk) Step(n *onnx.Node) { w.e.node(n) }

// Value returns what is known about name so far, nil where nothing is.
func (w *Walk) Value(name string) *Value { return w.e.value(name) }

// Force takes v for the first output of n instead.
func (w *Walk) Force(n *onnx.Node, v *Value) { w.Result.Values[n.Outputs[0]] = v }

// Numbers computes the outputs from the numbers in feeds, which may lie inside
// the graph. base is a pass over shapes; what does not depend on feeds' numbers
// is taken from it. It fails where an operator is not known.
func (p *Probe) Numbers(base *Result, feeds map[string]*Value, outputs []string) (map[string]*Value, error) {
	r := &Result{Values: map[string]*Value{}, Failed: map[*onnx.Node]error{}}
	for name, v := range feeds {
		r.Values[name] = v
	}
	// what is needed, going back from the outputs
	need := map[string]int{}
	for _, name := range outputs {
		need[name]++
	}
	nodes := p.model.Graph.Nodes
	keep := make([]bool, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		missing := false
		for _, name := range n.Outputs {
			if need[name] == 0 || r.Values[name] != nil {
				continue
			}
			if v := base.Values[name]; v != nil && v.Known {
				r.Values[name] = v
				continue
			}
			missing = true
		}
		if !missing {
			continue
		}
		if n.Is("Shape", "Size") {
			return nil, fmt.Errorf("%s: %w", n.Label(), errUnknown)
		}
		keep[i] = true
		for _, name := range n.Inputs {
			need[name]++
		}
	}
	e := &evaluator{probe: p, result: r}
	for i, n := range nodes {
		if !keep[i] {
			continue
		}
		e.node(n)
		if err := r.Failed[n]; err != nil {
			return nil, fmt.Errorf("%s: %w", n.Label(), err)
		}
		if v := r.Values[n.Outputs[0]]; v != nil && !v.Known && n.Is("Conv", "ConvTranspose", "Gemm", "MatMul") {
			return nil, fmt.Errorf("%s lies between the head and the outputs", n.Label())
		}
		for _, name := range n.Inputs {
			if need[name]--; need[name] <= 0 && feeds[name] == nil {
				e.drop(name) // this was its last reader
			}
		}
	}
	found := map[string]*Value{}
	for _, name := range outputs {
		v := r.Values[name]
		if v == nil || !v.Known {
			return nil, fmt.Errorf("output %q: %w", name, errUnknown)
		}
		found[name] = v
	}
	return found, nil
}

// evaluator is one pass.
type evaluator struct {
	probe  *Probe
	result *Result
	small  bool // keep numbers of small values only
	// the inputs have the shapes that the file declares, so that what it says of
	// others holds too
	asDeclared bool
	work       int // numbers computed so far
	alive      int // numbers held now
}

// drop gives the memory of a value back.
func (e *evaluator) drop(name string) {
	if v := e.result.Values[name]; v != nil && v.Known {
		e.alive -= v.Len()
	}
	delete(e.result.Values, name)
}

// hold counts the numbers of a new value, and refuses those over the limits.
func (e *evaluator) hold(v *Value) error {
	if !v.Known {
		return nil
	}
	n := v.Len()
	e.work += n
	e.alive += n
	if e.work > maxWork || e.alive > maxAlive || e.small && e.work > maxKept {
		return errLarge
	}
	return nil
}

func (e *evaluator) value(name string) *Value {
	if v, ok := e.result.Values[name]; ok {
		return v
	}
	t := e.probe.index.Initializer(name)
	if t == nil {
		return nil
	}
	limit := maxData
	if e.small {
		limit = maxSmall
	}
	v, err := Tensor(t, limit)
	if err != nil || e.hold(v) != nil {
		v = nil
	}
	e.result.Values[name] = v
	return v
}

func (e *evaluator) node(n *onnx.Node) {
	e.compute(n)
	if e.result.Failed[n] != nil && e.declared(n) {
		delete(e.result.Failed, n)
	}
}

func (e *evaluator) compute(n *onnx.Node) {
	op := operators[n.OpType]
	if op == nil || !n.Is(n.OpType) {
		e.result.Failed[n] = fmt.Errorf("operator %s is not known here", n.OpType)
		return
	}
	c := &call{node: n, opset: e.probe.opset, small: e.small, outs: len(n.Outputs)}
	for _, name := range n.Inputs {
		var v *Value
		if name != "" {
			if v = e.value(name); v == nil {
				e.result.Failed[n] = errUnknown
				return
			}
		}
		c.in = append(c.in, v)
	}
	outs, err := op(c)
	if err != nil {
		e.result.Failed[n] = err
		return
	}
	for i, v := range outs {
		if i >= len(n.Outputs) || n.Outputs[i] == "" || v == nil {
			continue
		}
		_, err := checked(v.Shape)
		if err == nil {
			err = e.hold(v)
		}
		if err != nil {
			e.result.Failed[n] = err
			return
		}
		e.result.Values[n.Outputs[i]] = v
	}
}

// call is one node with the values of its inputs.
type call struct {
	node  *onnx.Node
	opset int64
	small bool
	in    []*Value // nil where an optional input is left out
	outs  int
}

// arg returns input i, nil where it is left out.
func (c *call) arg(i int) *Value {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

// need returns input i or an error where it is left out.
func (c *call) need(i int) (*Value, error) {
	if v := c.arg(i); v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("input %d is missing", i)
}

// both returns the first two inputs or an error where one is left out.
func (c *call) both() (a, b *Value, err error) {
	if a, err = c.need(0); err != nil {
		return nil, nil, err
	}
	b, err = c.need(1)
	return a, b, err
}

// ints returns the numbers of integer input i; ok is false where they are
// unknown or left out.
func (c *call) ints(i int) (values []int64, ok bool) {
	v := c.arg(i)
	if v == nil || !v.Known || v.F != nil {
		return nil, false
	}
	return v.I, true
}

// computes reports whether numbers of n elements should be computed from the
// inputs: they are all known, and few enough in a pass over shapes.
func (c *call) computes(n int) bool {
	if c.small && n > maxSmall || n > maxData {
		return false
	}
	for _, v := range c.in {
		if v != nil && !v.Known {
			return false
		}
	}
	return true
}

// result makes an output with room for numbers where they should be computed,
// and without otherwise.
func (c *call) result(typ onnx.DataType, shape []int) (*Value, error) {
	n, err := checked(shape)
	if err != nil {
		return nil, err
	}
	if !c.computes(n) {
		return &Value{Type: typ, Shape: shape}, nil
	}
	return blank(typ, shape)
}

type operator func(*call) ([]*Value, error)

func one(v *Value, err error) ([]*Value, error) {
	if err != nil {
		return nil, err
	}
	return []*Value{v}, nil
}
