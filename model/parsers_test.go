package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

func TestParseLiteral(t *testing.T) {
	for text, want := range map[string]string{
		`['a', "b's", 'c\'d', 'e\\f', '\u00e9\x41\n']`: `[a b's c'd e\f éA` + "\n]",
		`{0: 'a', 1: 'b',}`:                            `[{0 a} {1 b}]`,
		` [ [10, 13.5], (1,), -2e3, +4 ] `:             `[[10 13.5] [1] -2000 4]`,
		`[True, False, None]`:                          `[true false <nil>]`,
		`[]`:                                           `[]`, `{}`: `[]`, `32`: `32`, `'x'`: `x`,
		// JSON, and what json.dumps makes of characters outside of 16 bits
		`["\ud83d\ude00", "a\/b\b", "\ud83d", "\ud83d\u0041", "\ude00\ud83d"]`: "[\U0001f600 a/b\b \ufffd \ufffdA \ufffd\ufffd]",
		`{"0": null, "1": true, "2": false}`:                                   `[{0 <nil>} {1 true} {2 false}]`,
		// Python's other forms
		`OrderedDict([(0, 'a'), (1, 'b')])`: `[[0 a] [1 b]]`, `collections.OrderedDict()`: `[]`, `OrderedDict({0: 'a'})`: `[{0 a}]`,
		`{0: u'a', 1: u"b", 2: np.str_('c')}`: `[{0 a} {1 b} {2 c}]`, `[np.int64(3), np.float32(1.5,)]`: `[3 1.5]`,
	} {
		v, err := parseLiteral(text)
		if err != nil || fmt.Sprint(v) != want {
			t.Errorf("%s: got %v, %v; want %s", text, v, err, want)
		}
	}
	for _, text := range []string{"", "[", "['a'", "{1}", "{1:", "[1 2]", "x", "'a", `'\`, `'\x4'`, `'\U00110000'`, "1 2", "]", "--1", "Nonesense", "u", "u1", "list", "list(", "list(1, 2)", "eval(1)", "os.system('x')", `'\ud83d\u'`, `'\ud83d\uzzzz'`, strings.Repeat("dict(", 50), strings.Repeat("[", 50), strings.Repeat(" ", maxLiteralBytes+1)} {
		if v, err := parseLiteral(text); !errors.Is(err, errLiteral) {
			t.Errorf("%.40q: got %v, %v", text, v, err)
		}
	}
}

func FuzzLiteral(f *testing.F) {
	f.Add(`{0: 'person', 1: "it's", 2: [1, 2.5, None]}`)
	f.Add(`{0: 'person', 1: "it's", 2: 3}`)
	f.Add(`[[10, 13, 16, 30], [(30, 61), (62.5, 45)]]`)
	f.Add(`['\x41', '\u00e9', '\U0001f600']`)
	f.Add(`["\ud83d\ude00", "\ud83d"]`)
	f.Add(`OrderedDict([(0, 'a'), (1, None)])`)
	f.Add(`{1: u'a', 2: np.str_('b')}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseLiteral(text)
		if err != nil && !errors.Is(err, errLiteral) {
			t.Fatalf("error of another kind: %v", err)
		}
		checkWords(t, v, v)
		if names, _, _ := metaNames(text); len(names) > maxClasses {
			t.Fatalf("%d names", len(names))
		}
	})
}

// What exporters write as names, and what is said of it.
func TestNamesInMetadata(t *testing.T) {
	for text, want := range map[string]string{
		`{0: 'a', 1: 'b'}`: "[a b]", `['a', 'b']`: "[a b]", `("a", "b")`: "[a b]", `{"0": "a", "1": "b"}`: "[a b]", `{1: 'b', 0: 'a'}`: "[a b]",
		`{0: 3, 1: 2.5, 2: True}`: "[3 2.5 true]", `["\ud83d\ude00", "b"]`: "[\U0001f600 b]",
		`{1: 'a', 2: 'b'}`:                  "[a b] from 1",
		`{"2": "b", "1": "a"}`:              "[a b] from 1",
		`OrderedDict([(0, 'a'), (1, 'b')])`: "[a b]", `OrderedDict({0: 'a', 1: 'b'})`: "[a b]", `[(0, 'a'), (1, 'b')]`: "[a b]",
		`OrderedDict([(1, 'a'), (2, 'b')])`: "[a b] from 1",
		`None`:                              "[]", `null`: "[]", `[]`: "[]", `{}`: "[]",
		`['a', None, 'c']`:           "[a class1 c] 1 of the metadata names are None; such a class is called by its number, as class1",
		`{0: None, 1: 'b', 2: None}`: "[class0 b class2] 2 of the metadata names are None; such a class is called by its number, as class0",
		`{1: 'a', 2: None}`:          "[a class2] from 1 1 of the metadata names are None; such a class is called by its number, as class2",
		`[None, None]`:               "[] metadata names is dropped: every name in it is None",
		`{0: 'a', 2: 'b'}`:           "[] metadata names is dropped: names has key 2, want each of the class ids 0 to 1 once",
		`{2: 'a', 3: 'b'}`:           "[] metadata names is dropped: names has key 2, want each of the class ids 0 to 1 once",
		`{'a': 0, 'b': 1}`:           "[] metadata names is dropped: names has key a, want each of the class ids 0 to 1 once",
		`[['a'], ['b']]`:             "[] metadata names is dropped: names has a list or dict for class 0, want a text",
		`7`:                          "[] metadata names is dropped: names is neither a list nor a dict",
		`person, car`:                `[] metadata names is dropped: not a Python literal: unexpected "person, car"`,
	} {
		names, first, remark := metaNames(text)
		if first == 1 {
			remark = "from 1 " + remark
		}
		if got := strings.TrimSpace(fmt.Sprint(names, " ", remark)); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// A remark reaches whoever asks about the model, and so does an invented name.
func TestNamesAreRemarkedOn(t *testing.T) {
	for text, want := range map[string]string{
		`{0: 'a', 1: 'b', 2: 'c'}`: "[a b c] []",
		`{1: 'a', 2: 'b', 3: 'c'}`: "[a b c] [the ids of metadata names start at 1; its first name is taken for class 0]",
		`{1: 'b', 2: 'c'}`:         "[class0 b c] [the ids of metadata names start at 1; class 0 has none and is called class0]",
		`{1: 'a'}`: "[class0 class1 class2] [metadata names is dropped: it names classes 1 to 1, the outputs have room for 3 " +
			"the class names are invented: the file has none (--data names them)]",
		`None`: "[class0 class1 class2] [the class names are invented: the file has none (--data names them)]",
		`{0: 'a'`: "[class0 class1 class2] [metadata names is dropped: not a Python literal: it ends too early " +
			"the class names are invented: the file has none (--data names them)]",
	} {
		s := heads(false, 1, 3, 64, 96)
		s.m.Metadata = []onnx.Entry{{Key: "names", Value: text}, {Key: "head", Value: "decoupled"}}
		n, err := parse(s.bytes(t), "", &Hints{Anchors: twoAnchors})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(n.Names, " ", n.Notes); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
		// who names the classes need not be told
		if n, err = parse(s.bytes(t), "", &Hints{Anchors: twoAnchors, Names: []string{"x", "y", "z"}}); err != nil || len(n.Notes) > 0 {
			t.Errorf("%s, and names given: %q, %v", text, n.Notes, err)
		}
	}
}

// What else of the metadata cannot be used is told too, and cut short.
func TestMetadataThatIsDropped(t *testing.T) {
	for anchors, want := range map[string]string{"None": "", "7": "metadata anchors is dropped: anchors is not a list", `"` + strings.Repeat("x", 1000): "metadata anchors is dropped: not a Python literal"} {
		said, err := gather(nil, func(key string) (string, bool) {
			return map[string]string{"names": "['a', 'b', 'c']", "head": strings.Repeat("Detect", 100), "anchors": anchors}[key], true
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(said.remarks, "\n"); !strings.HasPrefix(got, `metadata head is dropped: "DetectDetect`) || !strings.Contains(got, want) || len(got) > 1000 {
			t.Errorf("%.40s: got %s, want %s", anchors, got, want)
		}
	}
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("nc: 80\nanchors:\n  - [10,13, 16,30]\nnames:\n  0: a\n  1: 'b'\n"))
	f.Add([]byte("path: ../x\nnames: [cat, 'dog', 3, yes]\n"))
	f.Add([]byte("names: {0: a, 1: b, 3: c}\nanchors: [[1, 2], [.inf, .nan]]\n"))
	f.Add([]byte("a: &x [1]\nb: *x\n"))
	f.Add([]byte("a: |\n  text\nb: !!str 3\n? x\n: y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		top, err := parseYAML(b)
		if err != nil {
			if !errors.Is(err, ErrHint) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		checkWords(t, top["names"], top["anchors"])
	})
}

// checkWords takes names and anchors out of what a parser gave: names by every
// id from 0 on, anchors of positive sizes.
func checkWords(t *testing.T, names, anchors any) {
	if list, err := namesOf(names); err == nil && len(list) > maxClasses {
		t.Fatalf("%d names", len(list))
	}
	levels, err := anchorsOf(anchors)
	if err != nil || checkAnchors(levels) != nil {
		return
	}
	for _, level := range ascending(levels) {
		for _, a := range level {
			if !(a[0] > 0 && a[1] > 0) {
				t.Fatalf("anchor %v", a)
			}
		}
	}
}

func TestYAMLLimits(t *testing.T) {
	for name, text := range map[string]string{
		"long": strings.Repeat("a", maxYAMLBytes+1), "flow": "a: " + strings.Repeat("[", 1000), "dashes": strings.Repeat("- ", 1000),
		"alias": "a: &x [1]\nb: *x", "merge": "a: &x {b: 1}\nc:\n  <<: *x\n",
	} {
		if _, err := parseYAML([]byte(text)); !errors.Is(err, ErrHint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestYAMLByteOrderMark(t *testing.T) {
	top, err := parseYAML([]byte("\ufeffval: images\r\nnc: 2\r\n"))
	if err != nil || top["val"] != "images" {
		t.Errorf("%v, %v", top, err)
	}
}

// Class ids as YAML users quote them.
func TestNamesByText(t *testing.T) {
	for text, want := range map[string]string{
		"names: {'0': dog, '1': cat}": "[dog cat]", "names:\n  \"1\": cat\n  0: dog\n": "[dog cat]", `{"names": {"0": "dog"}}`: "[dog]",
		"names: {'0': dog, '00': cat}": "key 00, want each of the class ids 0 to 1 once", "names: {'0': dog, x: cat}": "key x, want each",
		"names: {'0': dog, '2': cat}": "key 2, want", "names: [dog, ~]": "nothing for class 1", "names: {1: dog, 2: cat}": "key 2, want each",
		"names: [[dog]]": "want a text",
	} {
		top, err := parseYAML([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		names, err := namesOf(top["names"])
		if got := fmt.Sprint(names, err); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// manifest is a sound one.
func manifest() *Manifest {
	return &Manifest{
		Version: ManifestVersion, Plan: ManifestPlan{SHA256: strings.Repeat("ab", 32), Bytes: 12}, ONNX: ManifestONNX{SHA256: strings.Repeat("cd", 32)},
		TensorRT: ManifestTensorRT{Flavor: "rtx", Version: "1.7.1"}, ComputeCapabilities: []string{"8.0"},
		Inputs:   []TensorInfo{{Name: "images", DType: "float32", Shape: []int{-1, 3, 64, 64}}},
		Outputs:  []TensorInfo{{Name: "p3", DType: "float32", Shape: []int{-1, 16, 8, 8}}},
		Profiles: []Profile{{"images": {Min: []int{1, 3, 64, 64}, Opt: []int{4, 3, 64, 64}, Max: []int{8, 3, 64, 64}}}}, Precision: FP32,
		Head: decode.Head{Family: decode.YOLOv5, Kind: decode.Decoupled, Layout: decode.Fused, Classes: 3,
			Levels: []decode.Level{{Stride: 8, Anchors: [][2]float32{{1, 2}, {3, 4}}, Outputs: []string{"p3"}}}},
		Preprocess: decode.YOLOv5.Preprocess(), Names: []string{"a", "b<c>", "ü"}, Thresholds: decode.Thresholds{Conf: 0.4, IoU: 0.45},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.engine.json")
	want := manifest()
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"plan"`, `"sha256"`, `"compute_capabilities"`, `"gpu"`, `"profiles"`, `"channel_order"`, `"b<c>"`} {
		if !strings.Contains(string(b), key) {
			t.Errorf("%s is missing in %s", key, b)
		}
	}
	if left, err := fs.Glob(os.DirFS(filepath.Dir(path)), ".*"); err != nil || len(left) > 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func TestManifestIsValidated(t *testing.T) {
	for name, edit := range map[string]func(*Manifest){
		"version":      func(m *Manifest) { m.Version = 2 },
		"hash":         func(m *Manifest) { m.Plan.SHA256 = "ab" },
		"onnx hash":    func(m *Manifest) { m.ONNX.SHA256 = strings.Repeat("x", 64) },
		"bytes":        func(m *Manifest) { m.Plan.Bytes = 0 },
		"flavor":       func(m *Manifest) { m.TensorRT.Flavor = "" },
		"precision":    func(m *Manifest) { m.Precision = "fp64" },
		"head":         func(m *Manifest) { m.Head.Layout = "x" },
		"names":        func(m *Manifest) { m.Names = m.Names[:1] },
		"thresholds":   func(m *Manifest) { m.Thresholds.Conf = 2 },
		"preprocess":   func(m *Manifest) { m.Preprocess.PixelRange = 0 },
		"no inputs":    func(m *Manifest) { m.Inputs = nil },
		"dimension":    func(m *Manifest) { m.Outputs[0].Shape[0] = -2 },
		"twice":        func(m *Manifest) { m.Outputs = append(m.Outputs, m.Outputs[0]) },
		"output":       func(m *Manifest) { m.Head.Levels[0].Outputs[0] = "p4" },
		"profile name": func(m *Manifest) { m.Profiles[0]["x"] = m.Profiles[0]["images"] },
		"profile rank": func(m *Manifest) { m.Profiles[0]["images"] = ProfileShape{Min: []int{1}, Opt: []int{1}, Max: []int{1}} },
		"min over opt": func(m *Manifest) { m.Profiles[0]["images"].Min[0] = 5 },
	} {
		m := manifest()
		edit(m)
		path := filepath.Join(t.TempDir(), "m.json")
		if err := m.Write(path); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: it was written all the same", name)
		}
	}
	for _, text := range []string{"", "{}", "[]", `{"version": 7}`, `{"version": "1"}`, `{"version": 1}`, strings.Repeat(" ", maxManifestBytes+1)} {
		if _, err := ParseManifest([]byte(text)); !errors.Is(err, ErrManifest) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	path := filepath.Join(f.TempDir(), "m.json")
	if err := manifest().Write(path); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte(`{"version": 1, "head": {"levels": [{"anchors": [[1e999, 1]]}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		once, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseManifest(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(once) {
			t.Fatalf("writing twice gives two manifests: %v\n%s\n%s", err, once, twice)
		}
	})
}

// What others have put in the manifest's place is replaced.
func TestManifestIsWrittenThroughNoLink(t *testing.T) {
	victim, path := filepath.Join(t.TempDir(), "victim"), filepath.Join(t.TempDir(), "model.engine.json")
	if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o666), os.Chmod(victim, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, plant := range []func(string, string) error{os.Symlink, os.Link} {
		if err := plant(victim, path); err != nil {
			t.Fatal(err)
		}
		if err := manifest().Write(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("it is %v, %v", info, err)
		}
		if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
			t.Errorf("the other file holds %d bytes, %v", len(b), err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
