package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/model/onnx"
	"github.com/trtdet/trtdet/tests/await"
)

// Models that something has happened to: a damaged file, or a sound file of an
// absurd graph. Whatever they are, info, build and run end by themselves with
// status 0 or 1, say why in one line, and leave nothing but a whole engine.
func TestMutations(t *testing.T) {
	rounds := uint64(400)
	if testing.Short() {
		rounds = 30
	}
	sources := mutationSources(t)
	var mu sync.Mutex
	ends := map[string]int{}
	t.Cleanup(func() { t.Logf("%d mutations: %v", rounds, ends) })
	slots := make(chan struct{}, runtime.NumCPU())
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			dir := t.TempDir()
			rng := rand.New(rand.NewPCG(seed, 1))
			source := sources[rng.IntN(len(sources))]
			what, data := mutate(rng, source.model)
			if err := os.WriteFile(filepath.Join(dir, "m.onnx"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			picture := heldOut(t)[0]
			for _, args := range [][]string{
				{"info", "m.onnx"},
				{"build", "m.onnx", "--quiet", "--timeout", "20s"},
				{"build", "m.onnx", "--quiet", "--timeout", "20s", "--half", "--batch", "4", "--force"},
				{"run", "m.onnx", picture, "--nosave", "--format", "jsonl"},
			} {
				o := survives(t, dir, fmt.Sprintf("seed %d: %s", seed, what), append(args, source.flags...)...)
				mu.Lock()
				ends[fmt.Sprint(args[0], " ", o.status)]++
				mu.Unlock()
			}
		})
	}
}

// survives runs the program on a mutated model and wants it to end as it
// should, whichever way that is.
func survives(t *testing.T, dir, what string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	c := exec.CommandContext(ctx, trtdet, args...)
	c.Dir = dir
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	o := outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	label := fmt.Sprintf("trtdet %s (%s)", args[0], what)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Errorf("%s: still at it after %s", label, await.Limit)
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	case o.status != 0 && o.status != 1:
		t.Errorf("%s: it ended with %s\n%.2000s", label, c.ProcessState, o.stderr)
	case o.status == 1 && lastLine(o.stderr) == "":
		t.Errorf("%s: it failed without a word", label)
	case strings.Contains(o.stderr, "goroutine "):
		t.Errorf("%s: it panicked\n%.2000s", label, o.stderr)
	}
	for _, line := range strings.Split(strings.TrimSuffix(o.stderr, "\n"), "\n") {
		if line != "" && !strings.HasPrefix(line, "trtdet: ") {
			t.Errorf("%s: a line on standard error is not ours: %.300q", label, line)
			break
		}
	}
	left := names(t, dir)
	whole := []string{"m.engine", "m.engine.json", "m.onnx"}
	if !slices.Equal(left, whole[2:]) && !slices.Equal(left, whole) {
		t.Errorf("%s: it left %q", label, left)
	}
	if o.status == 0 && args[0] == "build" {
		if m := readManifest(t, filepath.Join(dir, "m.engine")); len(m.Outputs) == 0 {
			t.Errorf("%s: an engine without outputs", label)
		}
		must(t, dir, "info", "m.engine")
	}
	return o
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// mutationSource is a sound model, with what its user has to say about it.
type mutationSource struct {
	model *onnx.Model
	flags []string
}

// mutationSources are the models that are mutated: the carried one, and of the
// made nets one of each family and layout, the smallest.
func mutationSources(t *testing.T) []mutationSource {
	t.Helper()
	read := func(path string) *onnx.Model {
		m, err := onnx.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	least, sizes := map[string]net{}, map[string]int64{}
	for _, n := range loadNets(t) {
		info, err := os.Stat(n.Path())
		if err != nil {
			t.Fatal(err)
		}
		key := string(n.Head.Family) + " " + n.Layout
		if size, ok := sizes[key]; !ok || info.Size() < size {
			least[key], sizes[key] = n, info.Size()
		}
	}
	sources := []mutationSource{{model: read(carried())}}
	for _, key := range slices.Sorted(maps.Keys(least)) {
		n := least[key]
		sources = append(sources, mutationSource{read(n.Path()), n.flags(t)})
	}
	return sources
}

// mutate makes a mutant of a model, and says what was done to it.
func mutate(rng *rand.Rand, source *onnx.Model) (what string, data []byte) {
	m := clone(source)
	var done []string
	if rng.IntN(3) > 0 {
		for range 1 + rng.IntN(3) {
			e := edits[rng.IntN(len(edits))]
			e.edit(rng, m.Graph)
			done = append(done, e.name)
		}
	}
	data, err := m.Marshal()
	if err != nil {
		panic(err)
	}
	if len(done) == 0 {
		d := damages[rng.IntN(len(damages))]
		done, data = []string{d.name}, d.damage(rng, data)
	}
	return strings.Join(done, ", "), data
}

func clone(m *onnx.Model) *onnx.Model {
	b, err := m.Marshal()
	if err == nil {
		m, err = onnx.Parse(b, "")
	}
	if err != nil {
		panic(err)
	}
	return m
}

// damages are what happens to files.
var damages = []struct {
	name   string
	damage func(*rand.Rand, []byte) []byte
}{
	{"cut short", func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b))] }},
	{"head cut off", func(rng *rand.Rand, b []byte) []byte { return b[rng.IntN(len(b)):] }},
	{"bits flipped", func(rng *rand.Rand, b []byte) []byte {
		for range 1 + rng.IntN(20) {
			b[place(rng, b)] ^= 1 << rng.IntN(8)
		}
		return b
	}},
	{"bytes replaced", func(rng *rand.Rand, b []byte) []byte {
		for range 1 + rng.IntN(8) {
			b[place(rng, b)] = []byte{0, 1, 0x7f, 0x80, 0xff}[rng.IntN(5)]
		}
		return b
	}},
	{"a span gone", func(rng *rand.Rand, b []byte) []byte {
		at := place(rng, b)
		return slices.Delete(b, at, min(len(b), at+1+rng.IntN(64)))
	}},
	{"a span twice", func(rng *rand.Rand, b []byte) []byte {
		at := place(rng, b)
		return slices.Insert(b, at, bytes.Clone(b[at:min(len(b), at+1+rng.IntN(256))])...)
	}},
	{"zeros from here on", func(rng *rand.Rand, b []byte) []byte { clear(b[rng.IntN(len(b)):]); return b }},
}

// place picks a byte, most often one of the first or last ten thousand: the
// middle of a model is weights.
func place(rng *rand.Rand, b []byte) int {
	at := rng.IntN(min(len(b), 10_000))
	switch rng.IntN(5) {
	case 0:
		return rng.IntN(len(b))
	case 1, 2:
		return len(b) - 1 - at
	}
	return at
}

// edits are what a hostile or confused exporter writes.
var edits = []struct {
	name string
	edit func(*rand.Rand, *onnx.Graph)
}{
	{"a node without outputs", func(rng *rand.Rand, g *onnx.Graph) { node(rng, g).Outputs = nil }},
	{"a node without inputs", func(rng *rand.Rand, g *onnx.Graph) { node(rng, g).Inputs = nil }},
	{"a node without attributes", func(rng *rand.Rand, g *onnx.Graph) { node(rng, g).Attributes = nil }},
	{"an input left out", func(rng *rand.Rand, g *onnx.Graph) {
		if n := node(rng, g); len(n.Inputs) > 0 {
			n.Inputs[rng.IntN(len(n.Inputs))] = ""
		}
	}},
	{"an input too many", func(rng *rand.Rand, g *onnx.Graph) {
		n := node(rng, g)
		n.Inputs = append(n.Inputs, name(rng, g))
	}},
	{"an output too many", func(rng *rand.Rand, g *onnx.Graph) {
		n := node(rng, g)
		n.Outputs = append(n.Outputs, fmt.Sprint("extra", rng.Uint32()))
	}},
	{"another input", func(rng *rand.Rand, g *onnx.Graph) {
		if n := node(rng, g); len(n.Inputs) > 0 {
			n.Inputs[rng.IntN(len(n.Inputs))] = name(rng, g)
		}
	}},
	{"another operator", func(rng *rand.Rand, g *onnx.Graph) { node(rng, g).OpType = operators[rng.IntN(len(operators))] }},
	{"another domain", func(rng *rand.Rand, g *onnx.Graph) {
		node(rng, g).Domain = []string{"ai.onnx.ml", "com.microsoft", "x"}[rng.IntN(3)]
	}},
	{"another attribute", func(rng *rand.Rand, g *onnx.Graph) {
		n := node(rng, g)
		if len(n.Attributes) == 0 {
			return
		}
		a := n.Attributes[rng.IntN(len(n.Attributes))]
		a.Int = extreme(rng)
		if len(a.Ints) > 0 {
			a.Ints[rng.IntN(len(a.Ints))] = extreme(rng)
		}
	}},
	{"an attribute of another length", func(rng *rand.Rand, g *onnx.Graph) {
		for _, a := range node(rng, g).Attributes {
			a.Ints = slices.Repeat(a.Ints, 2)[:rng.IntN(2*len(a.Ints)+1)]
		}
	}},
	{"an attribute of another type", func(rng *rand.Rand, g *onnx.Graph) {
		for _, a := range node(rng, g).Attributes {
			a.Type = onnx.AttributeType(rng.IntN(12))
		}
	}},
	{"another constant", func(rng *rand.Rand, g *onnx.Graph) {
		var whole []*onnx.Tensor
		for _, t := range g.Initializers {
			if t.DataType == onnx.Int64 && t.Len() > 0 {
				whole = append(whole, t)
			}
		}
		if len(whole) == 0 {
			return
		}
		t := whole[rng.IntN(len(whole))]
		values, err := t.Int64s()
		if err != nil {
			return
		}
		values[rng.IntN(len(values))] = extreme(rng)
		t.SetInt64s(t.Dims, values)
	}},
	{"weights of another shape", func(rng *rand.Rand, g *onnx.Graph) {
		if len(g.Initializers) > 0 {
			slices.Reverse(g.Initializers[rng.IntN(len(g.Initializers))].Dims)
		}
	}},
	{"weights gone", func(rng *rand.Rand, g *onnx.Graph) {
		if len(g.Initializers) > 0 {
			i := rng.IntN(len(g.Initializers))
			g.Initializers = slices.Delete(g.Initializers, i, i+1)
		}
	}},
	{"a node gone", func(rng *rand.Rand, g *onnx.Graph) {
		i := rng.IntN(len(g.Nodes))
		g.Nodes = slices.Delete(g.Nodes, i, i+1)
	}},
	{"two nodes swapped", func(rng *rand.Rand, g *onnx.Graph) {
		i, j := rng.IntN(len(g.Nodes)), rng.IntN(len(g.Nodes))
		g.Nodes[i], g.Nodes[j] = g.Nodes[j], g.Nodes[i]
	}},
	{"a chain of nodes", func(rng *rand.Rand, g *onnx.Graph) {
		last := name(rng, g)
		for i := range 500 + rng.IntN(3000) {
			next := fmt.Sprintf("chain%d.%d", rng.Uint32(), i)
			g.Nodes = append(g.Nodes, &onnx.Node{OpType: "Relu", Inputs: []string{last}, Outputs: []string{next}})
			last = next
		}
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: last, ElemType: onnx.Float32})
	}},
	{"another input size", func(rng *rand.Rand, g *onnx.Graph) {
		if s := g.Inputs[0].Shape; len(s) > 0 {
			s[rng.IntN(len(s))] = onnx.Dim{Known: true, Value: extreme(rng)}
		}
	}},
	{"another input type", func(rng *rand.Rand, g *onnx.Graph) { g.Inputs[0].ElemType = onnx.DataType(rng.IntN(24)) }},
	{"a free input", func(rng *rand.Rand, g *onnx.Graph) {
		if s := g.Inputs[0].Shape; len(s) > 0 {
			s[rng.IntN(len(s))] = onnx.Dim{Param: "free"}
		}
	}},
	{"another output", func(rng *rand.Rand, g *onnx.Graph) {
		g.Outputs[rng.IntN(len(g.Outputs))] = &onnx.ValueInfo{Name: name(rng, g), ElemType: onnx.Float32}
	}},
	{"an output declared wrongly", func(rng *rand.Rand, g *onnx.Graph) {
		o := g.Outputs[rng.IntN(len(g.Outputs))]
		o.HasShape, o.Shape = true, []onnx.Dim{{Known: true, Value: extreme(rng)}, {Param: "x"}}
	}},
	{"a graph inside a node", func(rng *rand.Rand, g *onnx.Graph) {
		n := node(rng, g)
		branch := &onnx.Graph{Name: "b", Nodes: []*onnx.Node{{OpType: "Relu", Inputs: slices.Clone(n.Inputs), Outputs: []string{"inside"}}},
			Outputs: []*onnx.ValueInfo{{Name: "inside", ElemType: onnx.Float32}}}
		n.OpType = "If"
		n.Attributes = []*onnx.Attribute{{Name: "then_branch", Type: onnx.AttrGraph, Graph: branch}, {Name: "else_branch", Type: onnx.AttrGraph, Graph: branch}}
	}},
}

// operators are those that crash, stall or confuse parsers, and a few that
// compute.
var operators = []string{"TopK", "If", "Loop", "Scan", "Split", "Resize", "NonMaxSuppression", "ConstantOfShape", "Range", "Tile", "Expand",
	"Reshape", "Transpose", "Slice", "Concat", "Gather", "ScatterND", "Conv", "ConvTranspose", "MaxPool", "Softmax", "Cast", "Shape",
	"QuantizeLinear", "DequantizeLinear", "Constant", "Einsum", "LSTM", "", "Nonsense"}

func node(rng *rand.Rand, g *onnx.Graph) *onnx.Node { return g.Nodes[rng.IntN(len(g.Nodes))] }

// name picks a value of the graph.
func name(rng *rand.Rand, g *onnx.Graph) string {
	if n := node(rng, g); len(n.Outputs) > 0 && rng.IntN(10) > 0 {
		return n.Outputs[0]
	}
	return g.Inputs[0].Name
}

// extreme is a number that breaks things.
func extreme(rng *rand.Rand) int64 {
	return []int64{0, 1, -1, 2, 3, 7, 64, 255, 1 << 16, 1 << 31, math.MaxInt64, math.MinInt64, int64(rng.IntN(1000))}[rng.IntN(13)]
}
