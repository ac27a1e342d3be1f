package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/model/onnx"
)

// hostileModels writes what hostile.py makes and returns the folder with the
// models.
func hostileModels(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hostile")
	out, err := exec.Command(filepath.Join(top, "build/deps/venv/bin/python"), filepath.Join(top, "tests/e2e/hostile.py"), dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "model")
}

// refused wants every command to refuse a model in one line that names it, and
// to leave the folder as it was.
func refused(t *testing.T, dir, file string, words []string, flags ...string) {
	t.Helper()
	before := names(t, dir)
	words = append([]string{file, ";"}, words...) // the way out stands behind a semicolon
	for _, command := range [][]string{{"info", file}, {"build", file, "--quiet"}, {"run", file, heldOut(t)[0], "--nosave"}} {
		fails(t, dir, 1, words, append(command, flags...)...)
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("%s: %q became %q", file, before, after)
	}
}

// Models that crash, stall or mislead a parser, and those that are no detector.
func TestHostileModels(t *testing.T) {
	dir := hostileModels(t)
	for file, words := range map[string][]string{
		"no-outputs": {"Relu", "no outputs"},
		"topk":       {"TopK", "two"},
		"recursive":  {"local function", "calls itself"},
		"explosive":  {"10000 nodes"},
		"opsets":     {"local function", "version 9", "13"},
		"misnamed":   {"nothing in it makes"},
		"chain":      {"10000 nodes"},
		"nested":     {"nested deeper"},
		"empty":      {"empty"},
		"cycle":      {"nothing before it makes"},
		"outside":    {"../secret", "beside the model"},
		"absolute":   {"secret", "beside the model"},
		"link":       {"link", "beside the model"},
		"missing":    {"nothing.bin", "no such file", "beside the model"},
		"itself":     {"needs 864"},
		"classifier": {"not a detector"},
		"two-inputs": {"2 inputs"},
		"bytes":      {"uint8", "float input"},
	} {
		t.Run(file, func(t *testing.T) {
			refused(t, dir, file+".onnx", words, "--anchors", "4,5")
		})
	}
}

// A model cut short anywhere is refused, or has lost nothing that counts.
func TestModelsCutShort(t *testing.T) {
	whole, err := os.ReadFile(carried())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, size := range []int{0, 1, 2, 10, 1000, len(whole) / 2, len(whole) - 20000, len(whole) - 1} {
		if err := os.WriteFile(filepath.Join(dir, "cut.onnx"), whole[:size], 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "cut.onnx", nil)
	}
}

// What is said of a model and does not fit it is refused with the flag's name.
func TestHintsThatDoNotFit(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("a: ", 1<<17)
	for name, content := range map[string]string{
		"few.yaml": "names: [cat, dog]", "none.yaml": "nc: 3", "gap.yaml": "names: {0: a, 5: b}", "kind.yaml": "names: 7",
		"empty.yaml": "", "text.yaml": "just words", "binary.yaml": "\x00\xff\xfe\x01", "open.yaml": "names: [a, b",
		"bomb.yaml": "a: &a [x]\nb: &b [*a,*a]\nnames: [*b,*b]", "deep.yaml": "names: " + strings.Repeat("[", 100_000), "long.yaml": long,
		"two.yaml":  "nc: 8\nanchors:\n  - [10,13, 16,30]\n  - [30,61, 62,45]\n",
		"nine.yaml": "nc: 9\nanchors:\n  - [10,13, 16,30, 33,23]\n  - [30,61, 62,45, 59,119]\n  - [116,90, 156,198, 373,326]\n",
		"auto.yaml": "nc: 8\nanchors: 3\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw := rawNet(t)
	for _, c := range []struct {
		model, flags string
		words        []string
	}{
		{carried(), "--data few.yaml", []string{"--data few.yaml", "2 names", "classes"}},
		{carried(), "--data none.yaml", []string{"--data none.yaml", "no names"}},
		{carried(), "--data gap.yaml", []string{"--data gap.yaml", "key 5"}},
		{carried(), "--data kind.yaml", []string{"--data kind.yaml"}},
		{carried(), "--data empty.yaml", []string{"empty.yaml", "empty"}},
		{carried(), "--data text.yaml", []string{"text.yaml", "mapping"}},
		{carried(), "--data binary.yaml", []string{"binary.yaml"}},
		{carried(), "--data open.yaml", []string{"open.yaml", "YAML"}},
		{carried(), "--data bomb.yaml", []string{"bomb.yaml", "aliases"}},
		{carried(), "--data deep.yaml", []string{"deep.yaml", "nested"}},
		{carried(), "--data long.yaml", []string{"long.yaml", "larger"}},
		{carried(), "--data .", []string{"--data", "directory"}},
		{raw, "--cfg two.yaml", []string{"--cfg two.yaml", "anchors"}},
		{raw, "--cfg nine.yaml", []string{"--cfg nine.yaml", "9"}},
		{raw, "--cfg auto.yaml", []string{"auto.yaml", "--anchors"}},
		{raw, "--anchors 10,13:30,61", []string{"--anchors", "2"}},
		{raw, "", []string{"--anchors", "--cfg"}},
	} {
		t.Run(c.flags, func(t *testing.T) {
			for _, command := range [][]string{{"info", c.model}, {"build", c.model, "-o", "x.engine", "--quiet"}, {"run", c.model, heldOut(t)[0], "--nosave"}} {
				fails(t, dir, 1, append(c.words, c.model), append(command, strings.Fields(c.flags)...)...)
			}
		})
	}
}

// rawNet is a made net of three levels whose file says nothing of its anchors.
func rawNet(t *testing.T) string {
	t.Helper()
	for _, n := range loadNets(t) {
		if n.Head.Family == "yolov5" && len(n.Hints.Anchors) == 3 && len(n.Hints.Anchors[0]) == 3 && n.Hints.Head == "" && n.Head.Classes != 9 {
			return n.Path()
		}
	}
	t.Fatal("none of the made nets has three levels of three anchors that must be said")
	return ""
}

// A manifest that was tampered with is refused with the command that makes it
// anew.
func TestDamagedManifest(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "build", carried(), "-o", "m.engine", "--quiet")
	path := filepath.Join(dir, "m.engine.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edited := func(edit func(map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(whole, &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, content := range map[string][]byte{
		"empty":        nil,
		"cut short":    whole[:len(whole)/2],
		"no JSON":      []byte("no manifest"),
		"a list":       []byte("[]"),
		"deep":         bytes.Repeat([]byte("["), 1<<20),
		"too long":     bytes.Repeat([]byte(" "), 5<<20),
		"zeros":        make([]byte, 1000),
		"version":      edited(func(m map[string]any) { m["version"] = 99 }),
		"no head":      edited(func(m map[string]any) { delete(m, "head") }),
		"names":        edited(func(m map[string]any) { m["names"] = []string{"a"} }),
		"another plan": edited(func(m map[string]any) { m["plan"].(map[string]any)["sha256"] = strings.Repeat("0", 64) }),
		"other GPUs":   edited(func(m map[string]any) { m["compute_capabilities"] = []string{"7.5"} }),
		"tensorrt":     edited(func(m map[string]any) { m["tensorrt"].(map[string]any)["version"] = "1.0.0" }),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			fails(t, dir, 1, []string{"m.engine", "trtdet build"}, "info", "m.engine")
		})
	}
}

// What TensorRT's parser refuses is said of the file that the user gave, once.
func TestParserNamesTheFile(t *testing.T) {
	m, err := onnx.Read(carried())
	if err != nil {
		t.Fatal(err)
	}
	g := m.Graph
	m.Opsets = append(m.Opsets, onnx.Opset{Domain: "elsewhere", Version: 1})
	conv := g.Nodes[slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return n.Is("Conv") })]
	// a unary operator of nobody's between the input and the first layer
	g.Nodes = append([]*onnx.Node{{Name: "odd", OpType: "Odd", Domain: "elsewhere", Inputs: []string{g.Inputs[0].Name}, Outputs: []string{"odd"}}}, g.Nodes...)
	conv.Inputs[0] = "odd"
	g.ValueInfo = append(g.ValueInfo, &onnx.ValueInfo{Name: "odd", ElemType: onnx.Float32, HasShape: true, Shape: []onnx.Dim{
		{Known: true, Value: 1}, {Known: true, Value: 3}, {Known: true, Value: 320}, {Known: true, Value: 320},
	}})
	g.Inputs[0].Shape = g.ValueInfo[len(g.ValueInfo)-1].Shape // the size for which that holds
	for _, o := range g.Outputs {
		o.HasShape, o.Shape = false, nil
	}
	dir := t.TempDir()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "odd.onnx"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	o := call(t, dir, "", "build", "odd.onnx", "--quiet")
	if o.status != 1 || !strings.Contains(o.stderr, `"odd" (Odd)`) || strings.Contains(o.stderr, "/proc/") || strings.Count(o.stderr, "odd.onnx") != 1 {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
}
