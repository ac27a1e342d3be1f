package onnx

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// sample is a model that uses every part of the document.
func sample() *Model {
	body := &Graph{
		Name:    "body",
		Nodes:   []*Node{{OpType: "Identity", Inputs: []string{"x"}, Outputs: []string{"inner"}}},
		Outputs: []*ValueInfo{{Name: "inner"}},
	}
	return &Model{
		IRVersion: 8, Opsets: []Opset{{Version: 13}, {Domain: "com.microsoft", Version: 1}}, ProducerName: "p",
		ProducerVersion: "1", Domain: "d", ModelVersion: 3, DocString: "doc",
		Metadata: []Entry{{"names", "['a']"}, {"empty", ""}},
		Functions: []*Function{{
			Domain: "f", Name: "F", Overload: "o", Inputs: []string{"a", ""}, Outputs: []string{"b"}, Attributes: []string{"alpha"},
			Defaults: []*Attribute{FloatAttr("beta", 0)}, Opsets: []Opset{{Version: 13}}, DocString: "function",
			Nodes: []*Node{{OpType: "Elu", Overload: "p", Inputs: []string{"a"}, Outputs: []string{"b"},
				Attributes: []*Attribute{{Name: "alpha", Type: AttrFloat, Ref: "alpha"}}}},
		}},
		Graph: &Graph{
			Name: "g", DocString: "graph",
			Nodes: []*Node{
				{Name: "n", OpType: "Conv", Inputs: []string{"x", "w", ""}, Outputs: []string{"y"}, DocString: "node",
					Attributes: []*Attribute{
						IntsAttr("pads", 0, -1, 2), FloatAttr("alpha", 0.5), TextAttr("auto_pad", "VALID"), IntAttr("group", 1),
						{Name: "fs", Type: AttrFloats, Floats: []float32{1, -2}},
						{Name: "ss", Type: AttrStrings, Strings: [][]byte{[]byte("a"), {}}},
						TensorAttr("t", NewHalfs("h", []int64{2}, []float32{1, 2})),
						{Name: "g", Type: AttrGraph, Graph: body},
						{Name: "ts", Type: AttrTensors, Tensors: []*Tensor{NewInt64s("", nil, []int64{7})}},
					}},
				{OpType: "Relu", Inputs: []string{"y"}, Outputs: []string{"z"}},
			},
			Initializers: []*Tensor{NewFloat32s("w", []int64{1, 2}, []float32{1, 2})},
			Inputs:       []*ValueInfo{{Name: "x", ElemType: Float32, HasShape: true, Shape: []Dim{{Param: "batch"}, {Value: 3, Known: true}, {}}}},
			Outputs:      []*ValueInfo{{Name: "z", ElemType: Float32}},
			ValueInfo:    []*ValueInfo{{Name: "y", ElemType: Float32, HasShape: true, Shape: []Dim{{Value: 0, Known: true, Denotation: "D"}}}},
		},
	}
}

func marshal(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMarshalRepeatsWhatWasParsed(t *testing.T) {
	want := marshal(t, sample())
	m, err := Parse(want, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := marshal(t, m); !bytes.Equal(got, want) {
		t.Fatalf("%d bytes came back as %d others", len(want), len(got))
	}
	if m.Opset("ai.onnx") != 13 || m.Graph.Nodes[0].Int("group", 0) != 1 || m.Graph.Nodes[0].Text("auto_pad", "") != "VALID" {
		t.Error("opset or attributes were lost")
	}
	if v, ok := m.Meta("names"); !ok || v != "['a']" {
		t.Errorf("metadata names is %q, %v", v, ok)
	}
}

func TestUnknownFieldsAreKept(t *testing.T) {
	extra := protowire.AppendTag(nil, 900, protowire.BytesType)
	extra = protowire.AppendBytes(extra, []byte("from the future"))
	m := sample()
	m.unknown, m.Graph.unknown = extra, extra
	m.Graph.Nodes[0].unknown, m.Graph.Nodes[0].Attributes[0].unknown = extra, extra
	m.Graph.Initializers[0].unknown, m.Graph.Inputs[0].unknown, m.Functions[0].unknown = extra, extra, extra
	want := marshal(t, m)
	if n := bytes.Count(want, []byte("from the future")); n != 7 {
		t.Fatalf("the sample has the field %d times", n)
	}
	back, err := Parse(want, "")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, back), want) {
		t.Error("unknown fields were lost")
	}
}

func TestWeightsAreNotCopied(t *testing.T) {
	m := sample()
	m.Graph.Initializers[0] = NewFloat32s("w", []int64{1000}, make([]float32, 1000))
	b := marshal(t, m)
	back, err := Parse(b, "")
	if err != nil {
		t.Fatal(err)
	}
	raw := back.Graph.Initializers[0].raw
	if len(raw) != 4000 || raw[0] != 0 {
		t.Fatalf("%d bytes of weights", len(raw))
	}
	for i := range b {
		b[i] = 1
	}
	if raw[0] != 1 {
		t.Error("the weights were copied")
	}
}

func TestElementsOfEveryForm(t *testing.T) {
	floats := []byte{0, 0, 128, 63, 0, 0, 0, 192} // 1, -2
	cases := []struct {
		name string
		t    Tensor
		f    []float32
		i    []int64
	}{
		{"raw float32", Tensor{DataType: Float32, Dims: []int64{2}, raw: floats}, []float32{1, -2}, nil},
		{"float_data", Tensor{DataType: Float32, Dims: []int64{2}, floats: floats}, []float32{1, -2}, nil},
		{"half in int32_data", Tensor{DataType: Float16, Dims: []int64{1}, ints: protowire.AppendVarint(nil, 0x3c00)}, []float32{1}, nil},
		{"raw half", Tensor{DataType: Float16, Dims: []int64{1}, raw: []byte{0, 0xc0}}, []float32{-2}, nil},
		{"raw bfloat16", Tensor{DataType: BFloat16, Dims: []int64{1}, raw: []byte{0x80, 0x3f}}, []float32{1}, nil},
		{"double_data", Tensor{DataType: Float64, Dims: []int64{1}, doubles: protowire.AppendFixed64(nil, math.Float64bits(2.5))}, []float32{2.5}, nil},
		{"raw int64", Tensor{DataType: Int64, Dims: []int64{1}, raw: []byte{255, 255, 255, 255, 255, 255, 255, 255}}, nil, []int64{-1}},
		{"int64_data", Tensor{DataType: Int64, Dims: []int64{1}, longs: protowire.AppendVarint(nil, math.MaxUint64)}, nil, []int64{-1}},
		{"raw int8", Tensor{DataType: Int8, Dims: []int64{2}, raw: []byte{0x80, 0x7f}}, nil, []int64{-128, 127}},
		{"raw uint8", Tensor{DataType: Uint8, Dims: []int64{1}, raw: []byte{0xff}}, nil, []int64{255}},
		{"bool in int32_data", Tensor{DataType: Bool, Dims: []int64{1}, ints: []byte{1}}, nil, []int64{1}},
		{"scalar", Tensor{DataType: Int32, raw: []byte{5, 0, 0, 0}}, nil, []int64{5}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.f != nil {
				got, err := c.t.Float32s()
				if err != nil || len(got) != len(c.f) {
					t.Fatalf("%v, %v", got, err)
				}
				for i := range got {
					if got[i] != c.f[i] {
						t.Errorf("got %v, want %v", got, c.f)
					}
				}
				return
			}
			got, err := c.t.Int64s()
			if err != nil || len(got) != len(c.i) {
				t.Fatalf("%v, %v", got, err)
			}
			for i := range got {
				if got[i] != c.i[i] {
					t.Errorf("got %v, want %v", got, c.i)
				}
			}
		})
	}
	short := Tensor{DataType: Float32, Dims: []int64{3}, floats: floats}
	if _, err := short.Float32s(); !errors.Is(err, ErrInvalid) {
		t.Errorf("2 elements for a shape of 3: %v", err)
	}
}

func TestHalfSaturates(t *testing.T) {
	x := NewFloat32s("w", []int64{4}, []float32{1, 70000, -1e9, float32(math.Inf(1))})
	clamped, err := x.SetHalf()
	if err != nil || clamped != 2 {
		t.Fatalf("clamped %d, %v; want 2", clamped, err)
	}
	got, err := x.Float32s()
	if err != nil || got[0] != 1 || got[1] != 65504 || got[2] != -65504 || !math.IsInf(float64(got[3]), 1) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(outside, make([]byte, 64))
	write(filepath.Join(dir, "w.bin"), []byte{9, 9, 9, 9, 0, 0, 128, 63, 0, 0, 0, 64})
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "linkdir")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("w.bin", filepath.Join(dir, "inside")); err != nil {
		t.Fatal(err)
	}
	load := func(entries ...Entry) (*Model, error) {
		m := sample()
		m.Graph.Initializers[0] = &Tensor{Name: "w", DataType: Float32, Dims: []int64{2}, location: 1, external: entries}
		path := filepath.Join(dir, "m.onnx")
		write(path, marshal(t, m))
		return Read(path)
	}
	for _, location := range []string{"w.bin", "./w.bin", "inside"} {
		m, err := load(Entry{"location", location}, Entry{"offset", "4"}, Entry{"length", "8"})
		if err != nil {
			t.Fatalf("%s: %v", location, err)
		}
		got, err := m.Graph.Initializers[0].Float32s()
		if err != nil || got[0] != 1 || got[1] != 2 {
			t.Errorf("%s: got %v, %v", location, got, err)
		}
		if again, err := Parse(marshal(t, m), ""); err != nil || again.Graph.Initializers[0].location != 0 {
			t.Errorf("%s: the weights did not come inside: %v", location, err)
		}
	}
	m := sample()
	m.Graph.Initializers[0] = &Tensor{Name: "w", DataType: Float32, Dims: []int64{2}, location: 1, external: []Entry{{"location", "w.bin"}}}
	if _, err := Parse(marshal(t, m), ""); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "open the model by its path") {
		t.Errorf("bytes alone: %v", err)
	}
	for _, c := range [][]Entry{
		{{"location", "../" + filepath.Base(filepath.Dir(outside)) + "/secret"}},
		{{"location", outside}}, {{"location", "link"}}, {{"location", "linkdir/secret"}},
		{{"location", "sub/../w.bin"}}, {{"location", ""}}, {{"location", "."}}, {{"location", "missing"}},
		{{"location", "w.bin"}, {"offset", "8"}}, {{"location", "w.bin"}, {"offset", "-1"}},
		{{"location", "w.bin"}, {"offset", "9223372036854775807"}}, {{"location", "w.bin"}, {"length", "4"}},
		{{"location", "w.bin"}, {"offset", "x"}}, {},
	} {
		if _, err := load(c...); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "m.onnx") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := &Graph{}
	for range 2 * maxNesting {
		deep = &Graph{Nodes: []*Node{{OpType: "If", Outputs: []string{"y"}, Attributes: []*Attribute{{Name: "b", Type: AttrGraph, Graph: deep}}}}}
	}
	if _, err := Parse(marshal(t, &Model{Graph: deep}), ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("nested graphs: %v", err)
	}
	many := protowire.AppendTag(nil, 7, protowire.BytesType)
	many = protowire.AppendBytes(many, bytes.Repeat([]byte{10, 0}, maxItems+1))
	if _, err := Parse(many, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many nodes: %v", err)
	}
	for _, dims := range [][]int64{{-1}, {1 << 40}, {1 << 20, 1 << 20}} {
		m := sample()
		m.Graph.Initializers[0].Dims = dims
		if _, err := Parse(marshal(t, m), ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("dims %v: %v", dims, err)
		}
	}
	for _, b := range [][]byte{nil, {8}, {255}, []byte("not a model")} {
		if _, err := Parse(b, ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", b, err)
		}
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, ErrInvalid) {
		t.Errorf("a folder: %v", err)
	}
}

func TestIndexRefusesUnsoundGraphs(t *testing.T) {
	node := func(in, out string) *Node { return &Node{OpType: "Relu", Inputs: []string{in}, Outputs: []string{out}} }
	input := []*ValueInfo{{Name: "x"}}
	for name, g := range map[string]*Graph{
		"cycle":       {Inputs: input, Nodes: []*Node{node("b", "a"), node("a", "b")}},
		"made twice":  {Inputs: input, Nodes: []*Node{node("x", "a"), node("x", "a")}},
		"never made":  {Inputs: input, Nodes: []*Node{node("q", "a")}},
		"no output":   {Inputs: input, Outputs: []*ValueInfo{{Name: "y"}}},
		"over input":  {Inputs: input, Nodes: []*Node{node("x", "x")}},
		"two weights": {Initializers: []*Tensor{{Name: "w"}, {Name: "w"}}},
	} {
		if _, err := NewIndex(g); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrune(t *testing.T) {
	g := sample().Graph
	g.Nodes = append(g.Nodes, &Node{OpType: "Relu", Inputs: []string{"dead"}, Outputs: []string{"deader"}})
	g.Initializers = append(g.Initializers, &Tensor{Name: "dead"})
	g.Outputs = []*ValueInfo{{Name: "y"}}
	if err := g.Prune(); err != nil {
		t.Fatal(err)
	}
	if len(g.Nodes) != 1 || g.Nodes[0].OpType != "Conv" || len(g.Initializers) != 1 || g.Initializers[0].Name != "w" || len(g.Inputs) != 1 {
		t.Errorf("left %d nodes, %d initializers, %d inputs", len(g.Nodes), len(g.Initializers), len(g.Inputs))
	}
	// a name that only a subgraph reads is needed as well
	g = sample().Graph
	g.Nodes[0].Inputs = []string{"w"}
	g.Nodes[0].Attributes[7].Graph.Nodes[0].Inputs = []string{"captured"}
	g.Initializers = append(g.Initializers, &Tensor{Name: "captured"})
	if err := g.Prune(); err != nil || len(g.Initializers) != 2 {
		t.Errorf("a captured initializer was dropped: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, sample()))
	f.Add([]byte{0x3a, 0})
	for _, m := range odd() {
		f.Add(marshal(f, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b, "")
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		once := marshal(t, m)
		again, err := Parse(once, "")
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !bytes.Equal(marshal(t, again), once) {
			t.Fatal("writing twice gives two files")
		}
		if err := m.Graph.Prune(); err == nil {
			_ = marshal(t, m)
		}
		checkNormalize(t, again)
	})
}
