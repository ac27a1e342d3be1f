package gpu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/model/onnx"
	"github.com/trtdet/trtdet/tests/nets"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// behind adds nodes to a graph whose one output is columns (B, 4+nc, N).
type behind struct {
	g    *onnx.Graph
	last int
}

func (b *behind) node(op string, inputs []string, attributes ...*onnx.Attribute) []string {
	b.last++
	name := "behind" + string(rune('a'+b.last))
	outputs := []string{name}
	if op == "TopK" {
		outputs = append(outputs, name+"_places")
	}
	b.g.Nodes = append(b.g.Nodes, &onnx.Node{Name: name, OpType: op, Inputs: inputs, Outputs: outputs, Attributes: attributes})
	return outputs
}

func (b *behind) ints(name string, values ...int64) string {
	b.g.Initializers = append(b.g.Initializers, onnx.NewInt64s(name, []int64{int64(len(values))}, values))
	return name
}

func (b *behind) slice(from, to string) string {
	return b.node("Slice", []string{b.g.Outputs[0].Name, from, to, "one"})[0]
}

// corners gives columns whose boxes are x1, y1, x2, y2.
func (b *behind) corners(classes int) (all, scores string) {
	zero, two, four, end := b.ints("zero", 0), b.ints("two", 2), b.ints("four", 4), b.ints("end", int64(4+classes))
	b.ints("one", 1)
	b.g.Initializers = append(b.g.Initializers, onnx.NewFloat32s("half", nil, []float32{0.5}))
	xy := b.slice(zero, two)
	half := b.node("Mul", []string{b.slice(two, four), "half"})[0]
	low, high := b.node("Sub", []string{xy, half})[0], b.node("Add", []string{xy, half})[0]
	scores = b.slice(four, end)
	return b.node("Concat", []string{low, high, scores}, onnx.IntAttr("axis", 1))[0], scores
}

// best gives the k best boxes (B, k, 6), as YOLOv10 chooses them.
func (b *behind) best(classes int, k int64) string {
	all, scores := b.corners(classes)
	top := b.node("ReduceMax", []string{scores}, onnx.IntsAttr("axes", 1), onnx.IntAttr("keepdims", 0))[0]
	class := b.node("ArgMax", []string{scores}, onnx.IntAttr("axis", 1), onnx.IntAttr("keepdims", 0))[0]
	best := b.node("TopK", []string{top, b.ints("k", k)}, onnx.IntAttr("axis", 1))
	last := b.ints("last", 2)
	boxes := b.node("Transpose", []string{b.node("Slice", []string{all, "zero", "four", "one"})[0]}, onnx.IntsAttr("perm", 0, 2, 1))[0]
	places := b.node("Expand", []string{b.node("Unsqueeze", []string{best[1], last})[0], b.ints("four times", 1, 1, 4)})[0]
	chosen := b.node("Cast", []string{b.node("GatherElements", []string{class, best[1]}, onnx.IntAttr("axis", 1))[0]}, onnx.IntAttr("to", int64(onnx.Float32)))[0]
	return b.node("Concat", []string{
		b.node("GatherElements", []string{boxes, places}, onnx.IntAttr("axis", 1))[0],
		b.node("Unsqueeze", []string{best[0], last})[0], b.node("Unsqueeze", []string{chosen, last})[0],
	}, onnx.IntAttr("axis", 2))[0]
}

// TestOtherFormulas runs YOLOv8's raw outputs, which columns of corners are cut
// back to, and boxes that the graph has selected, on a GPU and on the CPU.
func TestOtherFormulas(t *testing.T) {
	images := imaging.Sources(pictures(t)[:3])
	tried := 0
	for _, n := range nets.Load(t) {
		if n.Family != "yolov8" || n.Precision != model.FP32 || n.Opset >= 18 || n.Opset < 13 || tried > 0 {
			continue
		}
		tried++
		for want, add := range map[decode.Layout]func(*behind) string{
			decode.Split:   func(b *behind) string { all, _ := b.corners(n.Head.Classes); return all },
			decode.End2End: func(b *behind) string { return b.best(n.Head.Classes, 20) },
		} {
			t.Run(string(want), func(t *testing.T) {
				m, err := onnx.Read(n.Path())
				if err != nil {
					t.Fatal(err)
				}
				m.Graph.Outputs = []*onnx.ValueInfo{{Name: add(&behind{g: m.Graph}), ElemType: onnx.Float32}}
				data, err := m.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(t.TempDir(), "other.onnx")
				if err := os.WriteFile(file, data, 0o644); err != nil {
					t.Fatal(err)
				}
				conf := float32(0.01)
				hints := n.ModelHints()
				hints.Conf = &conf
				cpu := open(t, file, engine.Options{Head: hints, Height: n.ImgSize[0], Width: n.ImgSize[1]})
				if head := cpu.Spec().Head; head.Layout != want || head.Family != decode.YOLOv8 {
					t.Fatalf("head %+v", head)
				}
				results, err := cpu.DetectBatch(t.Context(), images)
				if err != nil {
					t.Fatal(err)
				}
				plan := build(t, file, engine.BuildOptions{Head: hints, Height: n.ImgSize[0], Width: n.ImgSize[1]})
				simgpu.CheckClean(t)
				gpu := open(t, plan, engine.Options{Device: devices(1), Head: model.Hints{Conf: &conf}})
				got, err := gpu.DetectBatch(t.Context(), images)
				if err != nil {
					t.Fatal(err)
				}
				found := 0
				for i := range got {
					same(t, string(want), got[i], results[i])
					found += len(got[i].Detections)
				}
				if found == 0 {
					t.Error("nothing was found: the comparison says nothing")
				}
			})
		}
	}
	if tried == 0 {
		t.Fatal("no net is YOLOv8's")
	}
}
