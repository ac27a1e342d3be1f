package probe

import (
	"fmt"
	"testing"

	"github.com/trtdet/trtdet/model/onnx"
)

func floats(shape []int, v ...float32) *Value {
	return &Value{Type: onnx.Float32, Shape: shape, F: v, Known: true}
}

func whole(v ...int64) *Value {
	return &Value{Type: onnx.Int64, Shape: []int{len(v)}, I: v, Known: true}
}

func shaped4(shape ...int) *Value { return &Value{Type: onnx.Float32, Shape: shape} }

// run evaluates one node on its own.
func run(t *testing.T, opset int64, n *onnx.Node, inputs ...*Value) *Result {
	t.Helper()
	feeds := map[string]*Value{}
	g := &onnx.Graph{Nodes: []*onnx.Node{n}}
	for i, v := range inputs {
		name := ""
		if v != nil {
			name = fmt.Sprintf("in%d", i)
			feeds[name] = v
			g.Inputs = append(g.Inputs, &onnx.ValueInfo{Name: name})
		}
		n.Inputs = append(n.Inputs, name)
	}
	if n.Outputs == nil {
		n.Outputs = []string{"out"}
	}
	p, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: opset}}, Graph: g})
	if err != nil {
		t.Fatal(err)
	}
	return p.Shapes(feeds)
}

func op(name string, attributes ...*onnx.Attribute) *onnx.Node {
	return &onnx.Node{OpType: name, Attributes: attributes}
}

// TestNumbers holds operators to what the ONNX specification says of them.
func TestNumbers(t *testing.T) {
	matrix := floats([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	cases := []struct {
		name  string
		node  *onnx.Node
		in    []*Value
		shape string
		want  string
	}{
		{"transpose", op("Transpose", onnx.IntsAttr("perm", 1, 0)), []*Value{matrix}, "[3 2]", "[1 4 2 5 3 6]"},
		{"transpose reverses", op("Transpose"), []*Value{matrix}, "[3 2]", "[1 4 2 5 3 6]"},
		{"reshape 0 and -1", op("Reshape"), []*Value{matrix, whole(0, -1, 1)}, "[2 3 1]", "[1 2 3 4 5 6]"},
		{"flatten", op("Flatten", onnx.IntAttr("axis", -1)), []*Value{matrix}, "[2 3]", "[1 2 3 4 5 6]"},
		{"slice", op("Slice"), []*Value{matrix, whole(1), whole(1 << 40), whole(1), whole(1)}, "[2 2]", "[2 3 5 6]"},
		{"slice backwards", op("Slice"), []*Value{matrix, whole(-1), whole(-100), whole(-1), whole(-2)}, "[2 2]", "[3 1 6 4]"},
		{"slice without axes", op("Slice"), []*Value{matrix, whole(1), whole(2)}, "[1 3]", "[4 5 6]"},
		{"slice empty", op("Slice"), []*Value{matrix, whole(2), whole(1), whole(1)}, "[2 0]", "[]"},
		{"concat", op("Concat", onnx.IntAttr("axis", -1)), []*Value{matrix, matrix}, "[2 6]", "[1 2 3 1 2 3 4 5 6 4 5 6]"},
		{"gather", op("Gather", onnx.IntAttr("axis", 1)), []*Value{matrix, whole(-1, 0)}, "[2 2]", "[3 1 6 4]"},
		{"expand", op("Expand"), []*Value{floats([]int{2, 1}, 1, 2), whole(2, 1, 2)}, "[2 2 2]", "[1 1 2 2 1 1 2 2]"},
		{"tile", op("Tile"), []*Value{floats([]int{1, 2}, 1, 2), whole(2, 2)}, "[2 4]", "[1 2 1 2 1 2 1 2]"},
		{"range", op("Range"), []*Value{whole(5), whole(0), whole(-2)}, "[3]", "[5 3 1]"},
		{"broadcast", op("Sub"), []*Value{matrix, floats([]int{3}, 1, 1, 2)}, "[2 3]", "[0 1 1 3 4 4]"},
		{"integer division", op("Div"), []*Value{whole(-7), whole(2)}, "[1]", "[-3]"},
		{"modulo takes the divisor's sign", op("Mod"), []*Value{whole(-7), whole(3)}, "[1]", "[2]"},
		{"fmod takes the dividend's", op("Mod", onnx.IntAttr("fmod", 1)), []*Value{whole(-7), whole(3)}, "[1]", "[-1]"},
		{"power of integers", op("Pow"), []*Value{matrix, whole(2)}, "[2 3]", "[1 4 9 16 25 36]"},
		{"cast cuts", op("Cast", onnx.IntAttr("to", int64(onnx.Int64))), []*Value{floats([]int{2}, -1.7, 2.9)}, "[2]", "[-1 2]"},
		{"cast to bool", op("Cast", onnx.IntAttr("to", int64(onnx.Bool))), []*Value{floats([]int{2}, 0.5, 0)}, "[2]", "[1 0]"},
		{"where", op("Where"), []*Value{{Type: onnx.Bool, Shape: []int{2}, I: []int64{1, 0}, Known: true}, whole(1, 2), whole(3)}, "[2]", "[1 3]"},
		{"scatter", op("ScatterND"), []*Value{matrix, {Type: onnx.Int64, Shape: []int{2, 1}, I: []int64{1, -2}, Known: true}, floats([]int{2, 3}, 7, 8, 9, 10, 11, 12)}, "[2 3]", "[10 11 12 7 8 9]"},
		{"matrix product", op("MatMul"), []*Value{floats([]int{2, 1, 2}, 1, 2, 3, 4), floats([]int{2, 2}, 1, 10, 100, 1000)}, "[2 1 2]", "[201 2010 403 4030]"},
		{"matrix product of stacks", op("MatMul"), []*Value{floats([]int{2, 1, 1}, 2, 3), floats([]int{2, 1, 1}, 5, 7)}, "[2 1 1]", "[10 21]"},
		{"pointwise conv", op("Conv"), []*Value{floats([]int{1, 2, 1, 2}, 1, 2, 3, 4), floats([]int{1, 2, 1, 1}, 10, 1), floats([]int{1}, 0.5)}, "[1 1 1 2]", "[13.5 24.5]"},
		{"softmax", op("Softmax", onnx.IntAttr("axis", 0)), []*Value{floats([]int{2, 2}, 5, 0, 5, 0)}, "[2 2]", "[0.5 0.5 0.5 0.5]"},
		{"max along an axis", op("ReduceMax", onnx.IntsAttr("axes", 1)), []*Value{matrix}, "[2 1]", "[3 6]"},
		{"mean of all", op("ReduceMean", onnx.IntAttr("keepdims", 0)), []*Value{matrix}, "[]", "[3.5]"},
		{"sum along the first axis", op("ReduceSum", onnx.IntsAttr("axes", 0), onnx.IntAttr("keepdims", 0)), []*Value{matrix}, "[3]", "[5 7 9]"},
		{"first of the greatest", op("ArgMax", onnx.IntAttr("axis", 1)), []*Value{floats([]int{2, 3}, 1, 9, 9, -1, -3, -2)}, "[2 1]", "[1 0]"},
		{"first of the least", op("ArgMin", onnx.IntAttr("axis", 1), onnx.IntAttr("keepdims", 0)), []*Value{floats([]int{2, 3}, 1, 9, 9, -1, -3, -2)}, "[2]", "[0 1]"},
		{"gather elements", op("GatherElements", onnx.IntAttr("axis", 1)), []*Value{matrix, {Type: onnx.Int64, Shape: []int{2, 2}, I: []int64{2, 0, -1, 1}, Known: true}}, "[2 2]", "[3 1 6 5]"},
		{"the best", op("TopK"), []*Value{floats([]int{1, 4}, 3, 7, 7, 5), whole(3)}, "[1 3]", "[7 7 5]"},
		{"the least", op("TopK", onnx.IntAttr("largest", 0)), []*Value{floats([]int{1, 4}, 3, 7, 7, 5), whole(2)}, "[1 2]", "[3 5]"},
		{"quantize leaves numbers", op("QuantizeLinear"), []*Value{matrix, floats([]int{}, 0.5)}, "[2 3]", "[1 2 3 4 5 6]"},
		{"dequantize", op("DequantizeLinear"), []*Value{{Type: onnx.Int8, Shape: []int{2}, I: []int64{3, -1}, Known: true}, floats([]int{}, 0.5), {Type: onnx.Int8, Shape: []int{}, I: []int64{1}, Known: true}}, "[2]", "[1 -1]"},
		{"dequantize along an axis", op("DequantizeLinear"), []*Value{{Type: onnx.Int8, Shape: []int{1, 2}, I: []int64{3, -1}, Known: true}, floats([]int{2}, 0.5, 2)}, "[1 2]", "[1.5 -2]"},
		{"nonzero", op("NonZero"), []*Value{floats([]int{2, 2}, 0, 1, 2, 0)}, "[2 2]", "[0 1 1 0]"},
		{"shape", op("Shape", onnx.IntAttr("start", -1)), []*Value{shaped4(1, 3, 64, 96)}, "[1]", "[96]"},
		{"size", op("Size"), []*Value{matrix}, "[]", "[6]"},
		{"fill", op("ConstantOfShape", onnx.TensorAttr("value", onnx.NewInt64s("", []int64{1}, []int64{-1}))), []*Value{whole(2)}, "[2]", "[-1 -1]"},
		{"unsqueeze", op("Unsqueeze"), []*Value{matrix, whole(-1, 0)}, "[1 2 3 1]", "[1 2 3 4 5 6]"},
		{"squeeze", op("Squeeze"), []*Value{floats([]int{1, 2, 1}, 1, 2)}, "[2]", "[1 2]"},
		{"sigmoid of 0", op("Sigmoid"), []*Value{floats([]int{1}, 0)}, "[1]", "[0.5]"},
		{"leaky", op("LeakyRelu", onnx.FloatAttr("alpha", 0.5)), []*Value{floats([]int{2}, -2, 2)}, "[2]", "[-1 2]"},
		{"clip", op("Clip"), []*Value{matrix, floats([]int{}, 2), floats([]int{}, 4)}, "[2 3]", "[2 2 3 4 4 4]"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, 13, c.node, c.in...)
			v := r.Values["out"]
			if v == nil || !v.Known {
				t.Fatalf("unknown: %v, %v", v, r.Failed[c.node])
			}
			got := fmt.Sprint(v.F)
			if v.F == nil {
				got = fmt.Sprint(v.I)
			}
			if fmt.Sprint(v.Shape) != c.shape || got != c.want {
				t.Errorf("got %v %s, want %s %s", v.Shape, got, c.shape, c.want)
			}
		})
	}
}

func TestShapes(t *testing.T) {
	image := shaped4(1, 3, 65, 96)
	square := []*onnx.Attribute{onnx.IntsAttr("kernel_shape", 3, 3), onnx.IntsAttr("strides", 2, 2), onnx.IntsAttr("pads", 1, 1, 1, 1)}
	cases := []struct {
		name string
		node *onnx.Node
		in   []*Value
		want string
	}{
		{"conv", op("Conv", square...), []*Value{image, shaped4(8, 3, 3, 3)}, "[1 8 33 48]"},
		{"depthwise", op("Conv", onnx.IntAttr("group", 3)), []*Value{image, shaped4(3, 1, 1, 1)}, "[1 3 65 96]"},
		{"same", op("Conv", onnx.TextAttr("auto_pad", "SAME_UPPER"), onnx.IntsAttr("strides", 2, 2)), []*Value{image, shaped4(8, 3, 3, 3)}, "[1 8 33 48]"},
		{"valid", op("Conv", onnx.TextAttr("auto_pad", "VALID")), []*Value{image, shaped4(8, 3, 3, 3)}, "[1 8 63 94]"},
		{"transposed", op("ConvTranspose", onnx.IntsAttr("strides", 2, 2)), []*Value{image, shaped4(3, 4, 2, 2)}, "[1 4 130 192]"},
		{"pool", op("MaxPool", square...), []*Value{image}, "[1 3 33 48]"},
		{"pool rounds up", op("MaxPool", onnx.IntsAttr("kernel_shape", 2, 2), onnx.IntsAttr("strides", 2, 2), onnx.IntAttr("ceil_mode", 1)), []*Value{image}, "[1 3 33 48]"},
		{"global", op("GlobalAveragePool"), []*Value{image}, "[1 3 1 1]"},
		{"resize by scales", op("Resize"), []*Value{image, nil, floats([]int{4}, 1, 1, 2, 2)}, "[1 3 130 192]"},
		{"resize to sizes", op("Resize"), []*Value{image, nil, nil, whole(1, 3, 10, 20)}, "[1 3 10 20]"},
		{"pad", op("Pad"), []*Value{image, whole(0, 0, 1, 2, 0, 0, 3, 4)}, "[1 3 69 102]"},
		{"matmul", op("MatMul"), []*Value{shaped4(5, 1, 2, 3), shaped4(4, 3, 7)}, "[5 4 2 7]"},
		{"gemm", op("Gemm", onnx.IntAttr("transB", 1)), []*Value{shaped4(2, 3), shaped4(7, 3)}, "[2 7]"},
		{"depth to space", op("DepthToSpace", onnx.IntAttr("blocksize", 2)), []*Value{shaped4(1, 8, 2, 3)}, "[1 2 4 6]"},
		{"space to depth", op("SpaceToDepth", onnx.IntAttr("blocksize", 2)), []*Value{shaped4(1, 2, 4, 6)}, "[1 8 2 3]"},
		{"reduce", op("ReduceMean", onnx.IntsAttr("axes", -1, 2), onnx.IntAttr("keepdims", 0)), []*Value{image}, "[1 3]"},
		{"argmax", op("ArgMax", onnx.IntAttr("axis", 1)), []*Value{image}, "[1 1 65 96]"},
		{"topk", op("TopK"), []*Value{image, whole(5)}, "[1 3 65 5]"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, 13, c.node, c.in...)
			if got := fmt.Sprint(r.Shape("out")); got != c.want {
				t.Errorf("got %s, want %s (%v)", got, c.want, r.Failed[c.node])
			}
		})
	}
}

func TestSplit(t *testing.T) {
	x := floats([]int{1, 5}, 1, 2, 3, 4, 5)
	three := func(a ...*onnx.Attribute) *onnx.Node {
		n := op("Split", append(a, onnx.IntAttr("axis", 1))...)
		n.Outputs = []string{"a", "", "c"}
		return n
	}
	r := run(t, 13, three(), x, whole(2, 2, 1))
	if a, c := r.Values["a"], r.Values["c"]; fmt.Sprint(a.F, c.F) != "[1 2] [5]" {
		t.Errorf("got %v and %v", a, c)
	}
	r = run(t, 11, three(onnx.IntsAttr("split", 1, 1, 3)), x)
	if c := r.Values["c"]; fmt.Sprint(c.F) != "[3 4 5]" {
		t.Errorf("got %v", c)
	}
	r = run(t, 18, three(onnx.IntAttr("num_outputs", 3)), x)
	if a, c := r.Values["a"], r.Values["c"]; fmt.Sprint(a.F, c.F) != "[1 2] [5]" {
		t.Errorf("got %v and %v", a, c)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	image := shaped4(1, 3, 64, 96)
	for name, c := range map[string]struct {
		node *onnx.Node
		in   []*Value
	}{
		"unknown operator": {op("Wonder"), []*Value{image}},
		"no input":         {op("Sigmoid"), nil},
		"wrong channels":   {op("Conv"), []*Value{image, shaped4(8, 4, 3, 3)}},
		"stride 0":         {op("Conv", onnx.IntsAttr("strides", 0, 1)), []*Value{image, shaped4(8, 3, 1, 1)}},
		"huge reshape":     {op("Reshape"), []*Value{image, whole(1<<40, 1<<40)}},
		"negative reshape": {op("Reshape"), []*Value{image, whole(-5)}},
		"huge tile":        {op("Tile"), []*Value{image, whole(1<<30, 1<<30, 1, 1)}},
		"huge expand":      {op("Expand"), []*Value{floats([]int{1}, 1), whole(1<<30, 1<<30)}},
		"huge and empty":   {op("Expand"), []*Value{floats([]int{1}, 1), whole(0, 1<<40)}},
		"huge fill":        {op("ConstantOfShape"), []*Value{whole(1 << 62)}},
		"huge range":       {op("Range"), []*Value{whole(0), whole(1 << 62), whole(1)}},
		"axis":             {op("Concat", onnx.IntAttr("axis", 9)), []*Value{image}},
		"perm twice":       {op("Transpose", onnx.IntsAttr("perm", 0, 0, 1, 2)), []*Value{image}},
		"gather outside":   {op("Gather"), []*Value{whole(1, 2), whole(7)}},
		"step 0":           {op("Slice"), []*Value{image, whole(0), whole(1), whole(0), whole(0)}},
		"broadcast":        {op("Add"), []*Value{shaped4(2), shaped4(3)}},
		"huge scale":       {op("Resize"), []*Value{image, nil, floats([]int{4}, 1, 1, 1e30, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, 13, c.node, c.in...)
			if r.Values["out"] != nil || r.Failed[c.node] == nil {
				t.Errorf("got %+v", r.Values["out"])
			}
		})
	}
}

// TestShapesOfBackbones holds operators that are known by their shapes to the ONNX
// specification.
func TestShapesOfBackbones(t *testing.T) {
	for _, c := range []struct {
		name string
		node *onnx.Node
		in   []*Value
		want string
	}{
		{"grid sample", op("GridSample"), []*Value{shaped4(2, 8, 5, 6), shaped4(2, 3, 4, 2)}, "[2 8 3 4]"},
		{"deformable conv", op("DeformConv"), []*Value{shaped4(2, 8, 5, 6), shaped4(16, 8, 3, 3), shaped4(2, 18, 5, 6)}, "[2 16 5 6]"},
		{"einsum", op("Einsum", onnx.TextAttr("equation", "bchw, cd -> bdhw")), []*Value{shaped4(2, 8, 5, 6), shaped4(8, 3)}, "[2 3 5 6]"},
		{"einsum without an output", op("Einsum", onnx.TextAttr("equation", "ij,jk")), []*Value{shaped4(2, 8), shaped4(8, 3)}, "[2 3]"},
		{"attention", op("Attention"), []*Value{shaped4(1, 2, 5, 8), shaped4(1, 2, 7, 8), shaped4(1, 2, 7, 4)}, "[1 2 5 4]"},
		{"attention of joined heads", op("Attention", onnx.IntAttr("q_num_heads", 4), onnx.IntAttr("kv_num_heads", 2)), []*Value{shaped4(1, 5, 16), shaped4(1, 7, 8), shaped4(1, 7, 6)}, "[1 5 12]"},
		{"LSTM", op("LSTM"), []*Value{shaped4(7, 2, 3), shaped4(1, 20, 3), shaped4(1, 20, 5)}, "[7 1 2 5]"},
		{"Fourier transform", op("DFT"), []*Value{shaped4(1, 9, 1)}, "[1 9 2]"},
		{"sum of sizes", op("ReduceL1", onnx.IntsAttr("axes", 2, 3)), []*Value{shaped4(1, 8, 5, 6)}, "[1 8 1 1]"},
		{"group normalization", op("GroupNormalization"), []*Value{shaped4(1, 8, 5, 6)}, "[1 8 5 6]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, 21, c.node, c.in...)
			if got := fmt.Sprint(r.Shape("out")); got != c.want {
				t.Errorf("shape %s, want %s (%v)", got, c.want, r.Failed)
			}
		})
	}
}

// TestDeclaredShapes takes what a file says of an operator that is not known,
// for the file's own size of input and no other.
func TestDeclaredShapes(t *testing.T) {
	dim := func(v int64) onnx.Dim { return onnx.Dim{Known: true, Value: v} }
	g := &onnx.Graph{
		Nodes: []*onnx.Node{
			{OpType: "Odd", Domain: "elsewhere", Inputs: []string{"in"}, Outputs: []string{"mid"}},
			{OpType: "Relu", Inputs: []string{"mid"}, Outputs: []string{"out"}},
		},
		Inputs:    []*onnx.ValueInfo{{Name: "in", ElemType: onnx.Float32, HasShape: true, Shape: []onnx.Dim{dim(1), dim(4)}}},
		ValueInfo: []*onnx.ValueInfo{{Name: "mid", ElemType: onnx.Float32, HasShape: true, Shape: []onnx.Dim{dim(1), dim(9)}}},
	}
	p, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: 13}}, Graph: g})
	if err != nil {
		t.Fatal(err)
	}
	for batch, want := range map[int]string{1: "[1 9]", 2: "[]"} {
		r := p.Shapes(map[string]*Value{"in": shaped4(batch, 4)})
		if got := fmt.Sprint(r.Shape("out")); got != want {
			t.Errorf("batch %d: %s, want %s", batch, got, want)
		}
	}
}
