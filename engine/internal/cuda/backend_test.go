package cuda

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/ort"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/simgpu"
	"github.com/trtdet/trtdet/trt"
)

// planOf builds a plan of the network with one profile for each shape (least,
// largest batch, height, width).
func planOf(t *testing.T, n *model.Network, library *trt.Library, shapes ...[4]int) []byte {
	t.Helper()
	onnx := filepath.Join(t.TempDir(), "m.onnx")
	data, err := n.Marshal()
	if err == nil {
		err = os.WriteFile(onnx, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	var c trt.BuildConfig
	if simgpu.Real() { // whose builder times kernels for minutes otherwise
		fast := 0
		c.OptLevel = &fast
	}
	for _, s := range shapes {
		least, largest := []int{s[0], 3, s[2], s[3]}, []int{s[1], 3, s[2], s[3]}
		c.Profiles = append(c.Profiles, trt.Profile{n.Inputs[0].Name: {Min: least, Opt: largest, Max: largest}})
	}
	builder, err := library.NewBuilder(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer builder.Close()
	network, err := builder.ParseONNX(onnx)
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	plan, err := builder.Build(t.Context(), network, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	return slices.Clone(plan.Bytes())
}

// TestProfiles opens a plan of several profiles at the size of each: the one
// with the most pictures is taken, and finds what the CPU does.
func TestProfiles(t *testing.T) {
	n, err := model.Load("../../../models/emoji/decoupled-base.onnx", &model.Hints{})
	if err != nil {
		t.Fatal(err)
	}
	library, err := trt.Load(trt.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	plan := planOf(t, n, library, [4]int{1, 2, 256, 256}, [4]int{1, 8, 256, 256}, [4]int{3, 4, 192, 320})
	picture, err := imaging.Open("../../../models/emoji/images/room.jpg", imaging.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pictures := []*imaging.Picture{picture, picture, picture}
	for _, c := range []struct{ height, width, batch int }{{256, 256, 8}, {192, 320, 4}, {320, 320, 0}} {
		simgpu.CheckClean(t)
		b, err := Open(plan, library, Config{Devices: []int{0}, Head: n.Head, Preprocess: n.Preprocess, Height: c.height, Width: c.width, Slots: 1})
		if c.batch == 0 {
			for _, words := range []string{"no input of 320x320", "[3 3 192 320] to [4 3 192 320]"} {
				if err == nil || !strings.Contains(err.Error(), words) {
					t.Errorf("%v does not say %q", err, words)
				}
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.MaxBatch() != c.batch {
			t.Errorf("%dx%d takes %d pictures, want %d", c.height, c.width, b.MaxBatch(), c.batch)
		}
		got := candidates(t, b, pictures...)
		sameCandidates(t, got, onCPU(t, c.height, c.width, picture))
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// candidates runs pictures as one batch on a backend's first lane.
func candidates(t *testing.T, b backend.Backend, pictures ...*imaging.Picture) []*backend.Picture {
	t.Helper()
	batch := make([]*backend.Picture, len(pictures))
	for i, p := range pictures {
		batch[i] = &backend.Picture{Conf: 0.25}
		if err := b.Stage(batch[i], p); err != nil {
			t.Fatal(err)
		}
		defer b.Unstage(batch[i])
	}
	if err := b.Lanes()[0].Run(batch, t.Context); err != nil {
		t.Fatal(err)
	}
	return batch
}

func onCPU(t *testing.T, height, width int, picture *imaging.Picture) *backend.Picture {
	t.Helper()
	n, err := model.Load("../../../models/emoji/decoupled-base.onnx", &model.Hints{}) // ort.Open changes it
	if err != nil {
		t.Fatal(err)
	}
	cpu, err := ort.Open(n, ort.Config{Height: height, Width: width})
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	return candidates(t, cpu, picture)[0]
}

// sameCandidates wants each picture to have the same candidates, in any order.
func sameCandidates(t *testing.T, got []*backend.Picture, want *backend.Picture) {
	t.Helper()
	for _, g := range got {
		if len(want.Candidates) == 0 || (len(g.Candidates) != len(want.Candidates) && !simgpu.Real()) || g.Fit != want.Fit {
			t.Fatalf("%d candidates at %+v, want %d at %+v", len(g.Candidates), g.Fit, len(want.Candidates), want.Fit)
		}
		holdsCandidates(t, g.Candidates, want.Candidates)
		holdsCandidates(t, want.Candidates, g.Candidates)
	}
}

// holdsCandidates wants each of some candidates among others. A real GPU computes
// in TF32: what is close to the threshold may be missing there.
func holdsCandidates(t *testing.T, some, all []decode.Candidate) {
	t.Helper()
	pixels, scores, least := 0.01, 1e-4, float32(0)
	if simgpu.Real() {
		pixels, scores, least = 0.5, 0.01, 0.3
	}
	byAnchor := map[int32]decode.Candidate{}
	for _, c := range all {
		byAnchor[c.Anchor] = c
	}
	for _, c := range some {
		if c.Score < least {
			continue
		}
		other, ok := byAnchor[c.Anchor]
		if !ok || other.Class != c.Class || math.Abs(float64(other.Box.X1-c.Box.X1)) > pixels || math.Abs(float64(other.Score-c.Score)) > scores {
			t.Errorf("candidate %+v has for counterpart %+v", c, other)
		}
	}
}
