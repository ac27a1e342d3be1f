package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/x448/float16"
	ort "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

var startRuntime = sync.OnceValue(func() error {
	library, err := filepath.Abs(filepath.Join("..", "build", "deps", "onnxruntime", "lib", "libonnxruntime.so"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(library); err != nil {
		return err
	}
	ort.SetSharedLibraryPath(library)
	return ort.InitializeEnvironment()
})

// tensor is an output of ONNX Runtime.
type tensor struct {
	shape []int64
	data  []float32
}

// execute runs a model with a float32 input on ONNX Runtime and returns the
// named outputs, which must be float32.
func execute(t *testing.T, model []byte, input string, shape []int64, pixels []float32, outputs []string) []tensor {
	t.Helper()
	return executeOn(t, model, input, shape, pixels, outputs)
}

// executeOn does it with an input of any type.
func executeOn[T ort.TensorData](t *testing.T, model []byte, input string, shape []int64, pixels []T, outputs []string) []tensor {
	t.Helper()
	in, err := ort.NewTensor(ort.NewShape(shape...), pixels)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Destroy()
	results := make([]ort.Value, len(outputs))
	perform(t, model, input, in, outputs, results)
	var list []tensor
	for i, r := range results {
		out, ok := r.(*ort.Tensor[float32])
		if !ok {
			t.Fatalf("output %s is a %T", outputs[i], r)
		}
		list = append(list, tensor{r.GetShape(), append([]float32{}, out.GetData()...)})
		r.Destroy()
	}
	return list
}

// executeHalf does the same where input and outputs are float16; it has to be
// told the outputs' shapes.
func executeHalf(t *testing.T, model []byte, input string, shape []int64, pixels []float32, outputs []string, shapes []tensor) []tensor {
	t.Helper()
	in, err := ort.NewCustomDataTensor(ort.NewShape(shape...), onnx.NewHalfs("", nil, pixels).Bytes(), ort.TensorElementDataTypeFloat16)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Destroy()
	results := make([]ort.Value, len(outputs))
	raw := make([][]byte, len(outputs))
	for i := range outputs {
		raw[i] = make([]byte, 2*len(shapes[i].data))
		out, err := ort.NewCustomDataTensor(ort.NewShape(shapes[i].shape...), raw[i], ort.TensorElementDataTypeFloat16)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Destroy()
		results[i] = out
	}
	perform(t, model, input, in, outputs, results)
	var list []tensor
	for i := range outputs {
		out := tensor{shape: shapes[i].shape}
		for k := 0; k < len(raw[i]); k += 2 {
			out.data = append(out.data, float16.Frombits(binary.LittleEndian.Uint16(raw[i][k:])).Float32())
		}
		list = append(list, out)
	}
	return list
}

func perform(t *testing.T, model []byte, input string, in ort.Value, outputs []string, results []ort.Value) {
	t.Helper()
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(model, []string{input}, outputs, nil)
	if err != nil {
		t.Fatalf("ONNX Runtime refuses the model: %v", err)
	}
	defer s.Destroy()
	if err := s.Run([]ort.Value{in}, results); err != nil {
		t.Fatalf("ONNX Runtime cannot run the model: %v", err)
	}
}

// tapped returns the file's own model with the named tensors as outputs.
func tapped(t *testing.T, path string, outputs []*onnx.ValueInfo) []byte {
	t.Helper()
	m, err := onnx.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	have := outputNames(m.Graph.Outputs)
	for _, o := range outputs {
		if !contains(have, o.Name) {
			m.Graph.Outputs = append(m.Graph.Outputs, o)
		}
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pictures fills an input with smooth random patterns, in the range the network
// was trained on.
func pictures(n *Network, batch, h, w int) ([]int64, []float32) {
	random := rand.New(rand.NewSource(1))
	data := make([]float32, batch*3*h*w)
	for plane := range batch * 3 {
		fx, fy, phase := random.Float64()/8, random.Float64()/8, random.Float64()*6
		for i := range h * w {
			v := 0.5 + 0.5*math.Sin(fx*float64(i%w)+fy*float64(i/w)+phase)
			data[plane*h*w+i] = float32(v) * n.Preprocess.PixelRange
		}
	}
	return []int64{int64(batch), 3, int64(h), int64(w)}, data
}

// compare returns the largest difference and the difference in proportion to
// the spread of the values.
func compare(t *testing.T, name string, a, b tensor) (largest, relative float64) {
	t.Helper()
	if fmt.Sprint(a.shape) != fmt.Sprint(b.shape) || len(a.data) != len(b.data) {
		t.Fatalf("%s: shapes %v and %v", name, a.shape, b.shape)
	}
	var sum, square, mean float64
	for _, v := range a.data {
		mean += float64(v) / float64(len(a.data))
	}
	for i := range a.data {
		d := math.Abs(float64(a.data[i]) - float64(b.data[i]))
		if math.IsNaN(d) {
			t.Fatalf("%s: not a number at %d", name, i)
		}
		largest = max(largest, d)
		sum += d * d
		square += (float64(a.data[i]) - mean) * (float64(a.data[i]) - mean)
	}
	if square > 0 {
		relative = math.Sqrt(sum / square)
	}
	return largest, relative
}

// holdEdits loads a model and compares it, cut, with a dynamic batch and in
// half precision, with the file as it is. fine judges half by the largest
// difference, the difference in proportion to the spread of the values, and what
// rounding the input makes of that.
func holdEdits(t *testing.T, path string, hints *Hints, fine func(largest, relative, unrest float64) bool) {
	t.Helper()
	if err := startRuntime(); err != nil {
		t.Fatalf("no ONNX Runtime: %v; make build brings it", err)
	}
	load := func() *Network {
		t.Helper()
		n, err := Load(path, hints)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := load()
	half := n.Inputs[0].DType == "float16"
	original, cut := tapped(t, path, n.model.Graph.Outputs), marshalled(t, n)
	if err := n.FloatIO(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range n.Outputs {
		names = append(names, o.Name)
	}
	batch, freeBatch := n.Batch()
	if freeBatch {
		batch = 1
	}
	h, w, _ := n.InputSize()
	if h == 0 {
		h = 128
	}
	if w == 0 {
		w = 192
	}
	shape, pixels := pictures(n, batch, h, w)
	input := n.Inputs[0].Name
	got := execute(t, marshalled(t, n), input, shape, pixels, names)
	var want []tensor
	if half {
		// what ONNX Runtime rounds inside depends on the Casts around it: halves
		// are compared with halves
		want = executeHalf(t, original, input, shape, pixels, names, got)
		got = executeHalf(t, cut, input, shape, pixels, names, got)
	} else {
		want = execute(t, original, input, shape, pixels, names)
	}
	for i, o := range n.Outputs {
		if largest, _ := compare(t, o.Name, want[i], got[i]); largest != 0 {
			t.Errorf("cut: output %s differs by %g", o.Name, largest)
		}
		for k, d := range o.Shape {
			if d >= 0 && int64(d) != got[i].shape[k] {
				t.Errorf("output %s is declared %v and comes out as %v", o.Name, o.Shape, got[i].shape)
			}
		}
	}
	if batch == 1 {
		b := load()
		if err := b.MakeBatchDynamic(); err != nil {
			t.Fatal(err)
		}
		if err := b.FloatIO(); err != nil {
			t.Fatal(err)
		}
		two, data := pictures(n, 2, h, w)
		both := execute(t, marshalled(t, b), input, two, data, names)
		for picture := range 2 {
			one := data[picture*len(data)/2 : (picture+1)*len(data)/2]
			single := execute(t, marshalled(t, n), input, shape, one, names)
			for i, o := range names {
				size := len(both[i].data) / 2
				part := tensor{single[i].shape, both[i].data[picture*size : (picture+1)*size]}
				if both[i].shape[0] != 2 {
					t.Fatalf("batch: output %s has shape %v", o, both[i].shape)
				}
				// a batch may take another path through a kernel, with sums in another order
				if _, relative := compare(t, o, single[i], part); relative > 1e-4 {
					t.Errorf("batch: picture %d differs by %g in output %s", picture, relative, o)
				}
			}
		}
	}
	hn := load()
	if hn.Precision != FP32 {
		return
	}
	if err := hn.Half(); err != nil {
		t.Fatal(err)
	}
	halved := execute(t, marshalled(t, hn), input, shape, pixels, names)
	// how much the network itself makes of a rounded input
	rounded := append([]float32{}, pixels...)
	for i := range rounded {
		rounded[i] *= 1 + float32(i*7919%3-1)/2048
	}
	moved := execute(t, marshalled(t, n), input, shape, rounded, names)
	for i, o := range names {
		largest, relative := compare(t, o, want[i], halved[i])
		_, unrest := compare(t, o, want[i], moved[i])
		if !fine(largest, relative, unrest) {
			t.Errorf("half: output %s differs by %g, %g of its spread; rounding the input makes %g", o, largest, relative, unrest)
		}
	}
}

// TestEditsGiveTheSameNumbers runs every made net before and after its edits.
// Their random weights magnify what halves round off, some of them to the whole
// spread of an output, so half is measured against what rounding the input alone
// does; trained weights are held to numbers below.
func TestEditsGiveTheSameNumbers(t *testing.T) {
	for _, e := range nets(t) {
		t.Run(e.File, func(t *testing.T) {
			holdEdits(t, filepath.Join(netsDir(), e.File), e.hints(), func(_, relative, unrest float64) bool { return relative <= 0.02+10*unrest })
		})
	}
}

// TestEditsOfARealYOLOX does the same with trained weights.
func TestEditsOfARealYOLOX(t *testing.T) {
	path := filepath.Join("..", "build", "deps", "models", "common_det.onnx")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make setup-test fetches it", err)
	}
	holdEdits(t, path, nil, func(largest, _, _ float64) bool { return largest <= 0.01 })
	n, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h := n.Head; h.Family != decode.YOLOX || h.Kind != decode.KindYOLOX || h.Layout != decode.Fused || h.Classes != 1 || !h.SigmoidApplied || !n.Cut {
		t.Errorf("head is %+v", h)
	}
	for i, want := range []string{"798", "824", "850"} {
		if l := n.Head.Levels[i]; l.Outputs[0] != want || l.Stride != 8<<i {
			t.Errorf("level %d is %+v, want output %s", i, l, want)
		}
	}
}

// TestEditsOfARealYOLOv8 holds a trained network that decodes inside and stays
// whole.
func TestEditsOfARealYOLOv8(t *testing.T) {
	path := filepath.Join("..", "build", "deps", "models", "320n.onnx")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make setup-test fetches it", err)
	}
	holdEdits(t, path, nil, func(_, relative, _ float64) bool { return relative <= 0.01 })
}
