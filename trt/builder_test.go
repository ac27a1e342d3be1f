package trt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func parse(t testing.TB, b *Builder, g *graph) *Network {
	t.Helper()
	n, err := b.ParseONNX(g.write(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() }) // cannot fail
	return n
}

// build returns a copy of the plan.
func build(t testing.TB, b *Builder, n *Network, c BuildConfig) []byte {
	t.Helper()
	p, err := b.Build(t.Context(), n, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() // cannot fail
	return bytes.Clone(p.Bytes())
}

func images(lowest, best, highest, size int) []Profile {
	shape := func(n int) []int { return []int{n, 3, size, size} }
	return []Profile{{"images": {Min: shape(lowest), Opt: shape(best), Max: shape(highest)}}}
}

func TestParseONNX(t *testing.T) {
	b := rtxBuilder(t, nil)
	two := convNet(2, 16)
	two.node("Sigmoid", []string{"r1"}, "scores")
	two.outputs = append(two.outputs, valueInfo("scores", onnxFloat32, 2, 8, 16, 16))
	for _, c := range []struct {
		name            string
		g               *graph
		inputs, outputs []TensorInfo
	}{
		{"fixed", convNet(1, 32),
			[]TensorInfo{{"images", "float32", []int{1, 3, 32, 32}}},
			[]TensorInfo{{"maps", "float32", []int{1, 6, 32, 32}}}},
		{"dynamic batch", convNet(-1, 32),
			[]TensorInfo{{"images", "float32", []int{-1, 3, 32, 32}}},
			[]TensorInfo{{"maps", "float32", []int{-1, 6, 32, 32}}}},
		{"two outputs", two,
			[]TensorInfo{{"images", "float32", []int{2, 3, 16, 16}}},
			[]TensorInfo{{"maps", "float32", []int{2, 6, 16, 16}}, {"scores", "float32", []int{2, 8, 16, 16}}}},
		{"half", typedNet(onnxFloat16),
			[]TensorInfo{{"images", "float16", []int{1, 16, 32, 32}}},
			[]TensorInfo{{"maps", "float16", []int{1, 16, 32, 32}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := parse(t, b, c.g)
			if got := n.Inputs(); !reflect.DeepEqual(got, c.inputs) {
				t.Errorf("inputs %v, want %v", got, c.inputs)
			}
			if got := n.Outputs(); !reflect.DeepEqual(got, c.outputs) {
				t.Errorf("outputs %v, want %v", got, c.outputs)
			}
			n.Outputs()[0].Shape[0] = 99
			if n.Outputs()[0].Shape[0] == 99 {
				t.Error("a caller can change the network's shapes")
			}
		})
	}
}

func TestParseONNXRefuses(t *testing.T) {
	b := rtxBuilder(t, nil)
	unknown := convNet(1, 16)
	unknown.node("NoSuchOperator", []string{"maps"}, "more")
	unknown.outputs = append(unknown.outputs, valueInfo("more", onnxFloat32, 1, 6, 16, 16))
	quantizedBias := convNet(1, 16)
	quantizedBias.weights("bias", onnxInt32, []byte{1, 0, 0, 0}, 6)
	quantizedBias.weights("scale", onnxFloat32, float32Bytes(0.05))
	quantizedBias.node("DequantizeLinear", []string{"bias", "scale"}, "more")
	quantizedBias.outputs = append(quantizedBias.outputs, valueInfo("more", onnxFloat32, 6))
	whole := convNet(1, 16).bytes()
	for _, c := range []struct{ name, path, words string }{
		{"missing", "/no/such.onnx", "/no/such.onnx: no such file or directory"},
		{"a folder", t.TempDir(), "it is a folder"},
		{"empty", writeFile(t, "empty.onnx", nil), "empty.onnx: the file is empty"},
		{"a zero byte", "a\x00b", "zero byte"},
		{"garbage", writeFile(t, "garbage.onnx", []byte("this is no network")), "garbage.onnx"},
		{"valid protobuf, no network", writeFile(t, "no.onnx", message{}.num(1, 9)), "no.onnx"},
		{"cut short", writeFile(t, "cut.onnx", whole[:len(whole)/2]), "cut.onnx"},
		{"no outputs", (&graph{inputs: convNet(1, 16).inputs}).write(t), "no outputs"},
		{"an unknown operator", unknown.write(t), "NoSuchOperator"},
		{"a zero point", quantizedNet(onnxInt8, 3).write(t), "quantize symmetrically"},
		{"a quantized bias", quantizedBias.write(t), "leave the biases unquantized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := b.ParseONNX(c.path)
			if err == nil {
				n.Close() // cannot fail
				t.Fatal("parsed")
			}
			if !errors.Is(err, ErrParse) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "CUDA") {
				t.Errorf("%q is not one line about the file", err)
			}
		})
	}
}

// Weights in another file are found beside the network, not in the folder that
// the process happens to be in.
func TestParseONNXExternalData(t *testing.T) {
	folder := t.TempDir()
	external := func(location string) []byte {
		g := convNet(1, 16)
		entry := func(key, value string) message { return message{}.str(1, key).str(2, value) }
		w := message{}
		for _, d := range []int{8, 3, 3, 3} {
			w = w.num(1, d)
		}
		g.initializers[0] = w.num(2, onnxFloat32).str(8, "w1").sub(13, entry("location", location)).num(14, 1)
		return g.bytes()
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("weights.bin", bytes.Repeat(float32Bytes(0.25), 8*3*3*3))
	b := rtxBuilder(t, nil)
	n, err := b.ParseONNX(write("net.onnx", external("weights.bin")))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close() // cannot fail
	if !bytes.Equal(build(t, b, n, BuildConfig{}), build(t, b, parse(t, b, convNet(1, 16)), BuildConfig{})) {
		t.Error("the plan differs from that of the same weights inside")
	}
	if _, err := b.ParseONNX(write("lost.onnx", external("lost.bin"))); !errors.Is(err, ErrParse) {
		t.Errorf("weights that are not there: %v", err)
	}
}

func TestBuildPlanHeader(t *testing.T) {
	l := rtx(t)
	b := rtxBuilder(t, nil)
	n := parse(t, b, convNet(1, 32))
	for _, c := range []struct {
		name          string
		targets, want []ComputeCapability
	}{
		{"no targets", nil, RTXTargets()[1:]},
		{"Turing", []ComputeCapability{75}, []ComputeCapability{75}},
		{"two", []ComputeCapability{120, 89}, []ComputeCapability{89, 120}},
		{"all", RTXTargets(), RTXTargets()},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := build(t, b, n, BuildConfig{Targets: c.targets})
			h, err := ReadPlanHeader(plan)
			if err != nil {
				t.Fatal(err)
			}
			if h.Format != 2 || h.Size != uint64(len(plan)) || h.Version != l.Version() {
				t.Errorf("%+v of a plan with %d bytes from %s", h, len(plan), l.Version())
			}
			if !slices.Equal(h.ComputeCapabilities, c.want) {
				t.Errorf("capabilities %v, want %v", h.ComputeCapabilities, c.want)
			}
			const weights = (8*3*3*3 + 6*8) * 4
			if h.WeightsBytes < weights || h.WeightsBytes > 8*weights { // each target lays them out its own way
				t.Errorf("%d bytes of weights, the network has %d", h.WeightsBytes, weights)
			}
		})
	}
}

func TestBuildRepeats(t *testing.T) {
	first, second := rtxBuilder(t, nil), rtxBuilder(t, nil)
	n := parse(t, first, convNet(-1, 32))
	config := BuildConfig{Profiles: images(1, 2, 4, 32)}
	plan := build(t, first, n, config)
	if !bytes.Equal(plan, build(t, first, n, config)) {
		t.Error("the same network built twice gives two plans")
	}
	if !bytes.Equal(plan, build(t, second, parse(t, second, convNet(-1, 32)), config)) {
		t.Error("another builder gives another plan")
	}
	if !bytes.Equal(plan, build(t, first, parse(t, first, convNet(-1, 32)), config)) {
		t.Error("the same file parsed twice gives two plans")
	}
	if bytes.Equal(plan, build(t, first, n, BuildConfig{Profiles: images(1, 2, 8, 32)})) {
		t.Error("another profile gives the same plan")
	}
	// What RTX ignores must not change the plan.
	level := 5
	config.OptLevel, config.TimingCache = &level, []byte{}
	if !bytes.Equal(plan, build(t, first, n, config)) {
		t.Error("the optimization level or the timing cache changed the plan")
	}
}

func TestBuildRefuses(t *testing.T) {
	b, other := rtxBuilder(t, nil), rtxBuilder(t, nil)
	dynamic, fixed := parse(t, b, convNet(-1, 32)), parse(t, b, convNet(1, 32))
	level := 6
	for _, c := range []struct {
		name  string
		n     *Network
		c     BuildConfig
		kind  error
		words string
	}{
		{"no profile", dynamic, BuildConfig{}, ErrInvalid, "input images: its shape ?x3x32x32 is dynamic"},
		{"min above opt", dynamic, BuildConfig{Profiles: images(3, 2, 4, 32)}, ErrInvalid, "min 3x3x32x32"},
		{"opt above max", dynamic, BuildConfig{Profiles: images(1, 5, 4, 32)}, ErrInvalid, "must not fall"},
		{"no batch", dynamic, BuildConfig{Profiles: images(0, 1, 1, 32)}, ErrInvalid, "start at 1"},
		{"another size", dynamic, BuildConfig{Profiles: images(1, 1, 1, 64)}, ErrInvalid, "fixes its shape to ?x3x32x32"},
		{"a range of the fixed", fixed, BuildConfig{Profiles: images(1, 2, 4, 32)}, ErrInvalid, "fixes its shape"},
		{"an unknown input", dynamic, BuildConfig{Profiles: []Profile{{"image": images(1, 1, 1, 32)[0]["images"]}}},
			ErrInvalid, "images"},
		{"an empty profile", dynamic, BuildConfig{Profiles: []Profile{{}}}, ErrInvalid, "profile 0 names no input"},
		{"uneven shapes", dynamic, BuildConfig{Profiles: []Profile{{"images": {Min: []int{1}, Opt: []int{1}}}}},
			ErrInvalid, "1, 1 and 0 dimensions"},
		{"no shape", dynamic, BuildConfig{Profiles: []Profile{{"images": {}}}}, ErrInvalid, "1 to 8 dimensions"},
		{"Hopper", fixed, BuildConfig{Targets: []ComputeCapability{90}}, ErrUnsupported, "compute capability 9.0"},
		{"Hopper among others", fixed, BuildConfig{Targets: []ComputeCapability{80, 100}}, ErrUnsupported, "10.0"},
		{"this machine's", fixed, BuildConfig{Targets: []ComputeCapability{1}}, ErrInvalid, "no compute capability"},
		{"a target twice", fixed, BuildConfig{Targets: []ComputeCapability{80, 80}}, ErrInvalid, "twice"},
		{"a level", fixed, BuildConfig{OptLevel: &level}, ErrInvalid, "0 to 5"},
		{"a workspace", fixed, BuildConfig{WorkspaceBytes: -1}, ErrInvalid, "workspace"},
		{"too little workspace", fixed, BuildConfig{WorkspaceBytes: 1}, ErrBuild, "built no plan: "},
		{"another builder's network", parse(t, other, convNet(1, 32)), BuildConfig{}, ErrInvalid, "another builder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := b.Build(t.Context(), c.n, c.c, nil)
			if err == nil {
				p.Close() // cannot fail
				t.Fatal("built")
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
		})
	}
	// A refused build leaves builder and network good.
	build(t, b, fixed, BuildConfig{})
}

func TestBuildCanceled(t *testing.T) {
	b := rtxBuilder(t, nil)
	n := parse(t, b, convNet(1, 32))

	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := b.Build(ctx, n, BuildConfig{}, func(Progress) { t.Error("the build has begun") })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("meanwhile", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := b.Build(ctx, n, BuildConfig{}, func(Progress) { cancel(errors.New("had enough")) })
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "had enough") {
			t.Errorf("%v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // clock: it passes, sooner or later
		defer cancel()
		_, err := b.Build(ctx, n, BuildConfig{}, func(Progress) { <-ctx.Done() })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	// None of it harms the builder.
	build(t, b, n, BuildConfig{})
}

func TestBuildProgress(t *testing.T) {
	b := rtxBuilder(t, nil)
	n := parse(t, b, convNet(1, 32))
	var seen []Progress
	p, err := b.Build(t.Context(), n, BuildConfig{}, func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() // cannot fail
	open := map[string]int{}
	var last time.Duration
	for _, p := range seen {
		if p.Phase == "" || p.Step < 0 || p.Step > p.Steps || p.Elapsed < last {
			t.Errorf("%+v after %v", p, last)
		}
		last = p.Elapsed
		if _, known := open[p.Parent]; p.Parent != "" && !known {
			t.Errorf("%+v: its parent is not running", p)
		}
		open[p.Phase] = p.Step
		if p.Done {
			delete(open, p.Phase)
		}
	}
	if len(seen) == 0 || len(open) != 0 {
		t.Errorf("%d reports, not ended: %v", len(seen), open)
	}
}

// syncBuffer is a log that TensorRT's threads may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestLog(t *testing.T) {
	var log syncBuffer
	b := rtxBuilder(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	n := parse(t, b, convNet(1, 32))
	build(t, b, n, BuildConfig{})
	text := log.String()
	if !strings.Contains(text, "level=DEBUG") || strings.Contains(text, "level=INFO") {
		t.Errorf("levels are not as asked for:\n%s", text)
	}
	if strings.Contains(text, "level=ERROR") || strings.Contains(text, "error: 35") {
		t.Errorf("a good build logs an error:\n%s", text)
	}
	_, err := b.Build(t.Context(), n, BuildConfig{WorkspaceBytes: 1}, nil)
	var e *Error
	if !errors.As(err, &e) || len(e.Log) == 0 || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%#v with the log\n%s", err, log.String())
	}
}

func TestLevel(t *testing.T) {
	want := []slog.Level{slog.LevelError + 4, slog.LevelError, slog.LevelWarn, slog.LevelDebug, slog.LevelDebug}
	for severity, l := range want {
		if got := level(severity); got != l {
			t.Errorf("severity %d is %v, want %v", severity, got, l)
		}
	}
}

// typedNet is one convolution of 16 channels in a 16-bit type.
func typedNet(dtype int) *graph {
	g := &graph{}
	g.inputs = append(g.inputs, valueInfo("images", dtype, 1, 16, 32, 32))
	g.weights("w", dtype, []byte{0, 0x38}, 16, 16, 3, 3)
	g.node("Conv", []string{"images", "w"}, "maps", attr{"pads", []int{1, 1, 1, 1}})
	g.outputs = append(g.outputs, valueInfo("maps", dtype, 1, 16, 32, 32))
	return g
}

// quantizedNet is the same in an 8-bit type; a symmetric quantizer has zero 0.
func quantizedNet(dtype int, zero byte) *graph {
	g := &graph{}
	g.inputs = append(g.inputs, valueInfo("images", onnxFloat32, 1, 16, 32, 32))
	g.weights("w", onnxFloat32, float32Bytes(0.25), 16, 16, 3, 3)
	g.weights("scale", onnxFloat32, float32Bytes(0.05))
	g.weights("zero", dtype, []byte{zero})
	g.node("QuantizeLinear", []string{"images", "scale", "zero"}, "xq")
	g.node("DequantizeLinear", []string{"xq", "scale", "zero"}, "x")
	g.node("QuantizeLinear", []string{"w", "scale", "zero"}, "wq")
	g.node("DequantizeLinear", []string{"wq", "scale", "zero"}, "wx")
	g.node("Conv", []string{"x", "wx"}, "maps", attr{"pads", []int{1, 1, 1, 1}})
	g.outputs = append(g.outputs, valueInfo("maps", onnxFloat32, 1, 16, 32, 32))
	return g
}

// ComputeCapability.Supports is held to what TensorRT-RTX really builds.
func TestSupports(t *testing.T) {
	b := rtxBuilder(t, nil)
	for _, c := range []struct {
		dtype string
		g     *graph
	}{
		{"float32", convNet(1, 32)},
		{"float16", typedNet(onnxFloat16)},
		{"bfloat16", typedNet(onnxBFloat16)},
		{"int8", quantizedNet(onnxInt8, 0)},
		{"float8e4m3fn", quantizedNet(onnxFloat8, 0)},
	} {
		n := parse(t, b, c.g)
		for _, target := range RTXTargets() {
			p, err := b.Build(t.Context(), n, BuildConfig{Targets: []ComputeCapability{target}}, nil)
			if err == nil {
				p.Close() // cannot fail
			}
			if (err == nil) != target.Supports(c.dtype) {
				t.Errorf("%s for %v: Supports says %v, the build says %v", c.dtype, target, target.Supports(c.dtype), err)
			}
			if err != nil && !errors.Is(err, ErrBuild) {
				t.Errorf("%s for %v: %v", c.dtype, target, err)
			}
		}
	}
}

// The builder recurses along the graph: a chain this long overflows a usual
// stack, and the process with it. It takes most of a minute.
func TestDeepGraph(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute's build")
	}
	const nodes = 4000
	name := func(i int) string { return fmt.Sprintf("n%d", i) }
	g := &graph{}
	g.inputs = append(g.inputs, valueInfo(name(0), onnxFloat32, 1, 3, 8, 8))
	for i := range nodes {
		g.node("Relu", []string{name(i)}, name(i+1))
	}
	g.outputs = append(g.outputs, valueInfo(name(nodes), onnxFloat32, 1, 3, 8, 8))
	b := rtxBuilder(t, nil)
	build(t, b, parse(t, b, g), BuildConfig{})
}

func TestBuildersAtOnce(t *testing.T) {
	path := convNet(1, 32).write(t)
	l := rtx(t)
	alone := rtxBuilder(t, nil)
	want := build(t, alone, parse(t, alone, convNet(1, 32)), BuildConfig{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			b, err := l.NewBuilder(slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close() // cannot fail
			n, err := b.ParseONNX(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer n.Close() // cannot fail
			p, err := b.Build(t.Context(), n, BuildConfig{}, func(Progress) {})
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close() // cannot fail
			if !bytes.Equal(p.Bytes(), want) {
				t.Error("builds at once give other plans")
			}
		})
	}
	wait.Wait()
}

func TestCloseInAnyOrder(t *testing.T) {
	l, err := Load(RTX, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.NewBuilder(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n := parse(t, b, convNet(1, 32))
	p, err := b.Build(t.Context(), n, BuildConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, c := range []interface{ Close() error }{l, b, n} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := b.Build(t.Context(), n, BuildConfig{}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("building with a closed builder: %v", err)
	}
	if _, err := b.ParseONNX(convNet(1, 32).write(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("parsing with a closed builder: %v", err)
	}
	if len(n.Inputs()) != 1 {
		t.Error("a closed network forgot its inputs")
	}
	if _, err := ReadPlanHeader(p.Bytes()); err != nil {
		t.Errorf("the plan died with its parents: %v", err)
	}
	for range 2 {
		if err := p.Close(); err != nil || p.Bytes() != nil {
			t.Errorf("%v, %d bytes", err, len(p.Bytes()))
		}
	}
}
