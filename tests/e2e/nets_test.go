package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/nets"
)

// net is one that tests/nets/make.py has made.
type net struct{ nets.Net }

// flags are what a user has to say about the net because the file does not.
func (n *net) flags(t *testing.T) []string {
	t.Helper()
	var flags []string
	if len(n.Hints.Names) > 0 {
		data, err := json.Marshal(map[string]any{"names": n.Hints.Names}) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "data.yaml")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--data", path)
	}
	if len(n.Hints.Anchors) > 0 {
		var levels []string
		for _, level := range n.Hints.Anchors {
			var sizes []string
			for _, a := range level {
				for _, side := range a {
					sizes = append(sizes, strconv.FormatFloat(float64(side), 'g', -1, 32))
				}
			}
			levels = append(levels, strings.Join(sizes, ","))
		}
		flags = append(flags, "--anchors", strings.Join(levels, ":"))
	}
	if n.Hints.Head != "" {
		flags = append(flags, "--head", n.Hints.Head)
	}
	return flags
}

func loadNets(t *testing.T) []net {
	t.Helper()
	var all []net
	for _, n := range nets.Load(t) {
		all = append(all, net{n})
	}
	return all
}

// What info reads off each net is what its maker put in.
func TestNetsAreUnderstood(t *testing.T) {
	for _, n := range loadNets(t) {
		t.Run(n.File, func(t *testing.T) {
			t.Parallel()
			o := must(t, "", append([]string{"info", n.Path(), "--format", "json"}, n.flags(t)...)...)
			var got struct {
				Head       decode.Head
				Preprocess decode.Preprocess
				Thresholds decode.Thresholds
				Precision  string
				Names      []string
			}
			if err := json.Unmarshal([]byte(o.stdout), &got); err != nil {
				t.Fatal(err)
			}
			n.checkHead(t, got.Head)
			if got.Preprocess != n.Preprocess || got.Thresholds != n.Thresholds || got.Precision != n.Precision {
				t.Errorf("got %+v %+v %s, want %+v %+v %s", got.Preprocess, got.Thresholds, got.Precision, n.Preprocess, n.Thresholds, n.Precision)
			}
			if len(n.Names) > 0 && !slices.Equal(got.Names, n.Names) {
				t.Errorf("names %q, want %q", got.Names, n.Names)
			}
		})
	}
}

// checkHead compares all but the outputs' names, which the cut chooses, and
// takes any of the layouts that a cut may leave.
func (n *net) checkHead(t *testing.T, got decode.Head) {
	t.Helper()
	if !slices.Contains(n.Layouts, string(got.Layout)) {
		t.Errorf("layout %s, want one of %q", got.Layout, n.Layouts)
	}
	want := n.Head
	if got.Family != want.Family || got.Kind != want.Kind || got.Classes != want.Classes || got.SigmoidApplied != want.SigmoidApplied {
		t.Errorf("head %+v, want %+v", got, want)
	}
	if len(got.Levels) != len(want.Levels) {
		t.Fatalf("%d levels, want %d", len(got.Levels), len(want.Levels))
	}
	for i, l := range got.Levels {
		if l.Stride != want.Levels[i].Stride || !slices.Equal(l.Anchors, want.Levels[i].Anchors) {
			t.Errorf("level %d is %+v, want %+v", i, l, want.Levels[i])
		}
	}
}

// Every net becomes a real engine, and the manifest says what TensorRT parsed.
func TestNetsAreBuilt(t *testing.T) {
	for _, n := range loadNets(t) {
		t.Run(n.File, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, dir, slices.Concat([]string{"build", n.Path(), "-o", "m.engine", "--quiet"}, n.flags(t))...)
			engine := filepath.Join(dir, "m.engine")
			m := readManifest(t, engine)
			planHeader(t, engine)
			n.checkHead(t, m.Head)
			outputs := map[string]model.TensorInfo{}
			for _, out := range m.Outputs {
				outputs[out.Name] = out
			}
			for _, l := range m.Head.Levels {
				for _, name := range l.Outputs {
					if _, ok := outputs[name]; !ok {
						t.Errorf("the head reads %s, which the engine does not have", name)
					}
				}
			}
			if dynamic := m.Inputs[0].Shape[0] == -1; dynamic != n.Dynamic.Batch || (len(m.Profiles) == 1) != (n.Dynamic.Batch || n.Dynamic.Size) {
				t.Errorf("input %v, profiles %v, want dynamic %+v", m.Inputs[0].Shape, m.Profiles, n.Dynamic)
			}
		})
	}
}
