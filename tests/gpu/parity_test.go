package gpu

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/nets"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// way is one way to run an engine.
type way struct {
	tensorRT       string
	batch          engine.BatchRange
	slots, devices int
	graphs, times  bool
}

func (w way) String() string {
	return fmt.Sprintf("TensorRT %s, batch %s, slots %d, devices %d, graphs %t, times %t",
		w.tensorRT, w.batch, w.slots, w.devices, w.graphs, w.times)
}

// use has a test run on the way's TensorRT.
func (w way) use(t *testing.T) {
	t.Helper()
	if !simgpu.Real() {
		simgpu.UseTensorRT(t, w.tensorRT)
	}
}

func (w way) options() engine.Options {
	return engine.Options{Device: devices(w.devices), Slots: w.slots, NoGraphs: !w.graphs, StageTimes: w.times}
}

// ways are all of them, or so few that each two choices still meet. The TensorRTs
// take turns.
func ways(all bool) []way {
	flavors := simgpu.TensorRTs
	if simgpu.Real() { // which has the one that is installed
		flavors = []string{"real"}
	}
	var product []way
	for _, b := range [][3]int{{1, 1, 1}, {1, 4, 8}, {4, 4, 4}, {2, 3, 5}} {
		for slots := 1; slots <= 4; slots++ {
			for devices := 1; devices <= 3; devices++ {
				for bits := range 4 {
					batch := engine.BatchRange{Min: b[0], Opt: b[1], Max: b[2]}
					product = append(product, way{"", batch, slots, devices, bits&1 != 0, bits&2 != 0})
				}
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rng.Shuffle(len(product), func(i, j int) { product[i], product[j] = product[j], product[i] })
	var chosen []way
	met := map[string]bool{}
	for _, w := range product {
		choices := strings.Split(w.String(), ", ")
		before := len(met)
		for i, a := range choices {
			for _, b := range choices[:i] {
				met[a+b] = true
			}
		}
		if all || len(met) > before {
			w.tensorRT = flavors[len(chosen)%len(flavors)]
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// TestSameAsOnCPU runs the network that the repository carries in every way,
// from one goroutine more than there are slots: each picture gets its own
// boxes, wherever it stands in a batch and whatever stands beside it.
func TestSameAsOnCPU(t *testing.T) {
	all := pictures(t)
	cpu := open(t, carried, engine.Options{Height: 256, Width: 256})
	want, err := cpu.DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	plans := map[string]string{}
	folder := t.TempDir()
	for _, w := range ways(!testing.Short()) {
		t.Run(w.String(), func(t *testing.T) {
			w.use(t)
			which := fmt.Sprint(w.tensorRT, w.batch)
			if plans[which] == "" {
				plans[which] = filepath.Join(folder, fmt.Sprint(len(plans), ".engine"))
				buildAt(t, plans[which], carried, engine.BuildOptions{Height: 256, Width: 256, Batch: w.batch})
			}
			simgpu.CheckClean(t)
			d := open(t, plans[which], w.options())
			if d.MaxBatch() != w.batch.Max || d.Device() != devices(w.devices).String() || d.Slots() != w.slots*len(devices(w.devices).CUDA) {
				t.Fatalf("%d pictures at most on %s, %d slots", d.MaxBatch(), d.Device(), d.Slots())
			}
			var workers sync.WaitGroup
			for worker := range d.Slots() + 1 {
				workers.Go(func() { detectShuffled(t, d, worker, all, want) })
			}
			workers.Wait()
			if w.times {
				checkTimes(t, d, all[:1])
			}
		})
	}
}

func detectShuffled(t *testing.T, d *engine.Detector, seed int, all []*imaging.Picture, want []engine.Result) {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	rounds := 6
	if testing.Short() {
		rounds = 3 // a new bucket, its graph, and a third
	}
	for range rounds {
		batch := make([]*imaging.Picture, 1+rng.IntN(d.MaxBatch()))
		which := make([]int, len(batch))
		for i := range batch {
			which[i] = rng.IntN(len(all))
			batch[i] = all[which[i]]
		}
		got, err := d.DetectBatch(t.Context(), imaging.Sources(batch))
		if err != nil {
			t.Error(err)
			return
		}
		for i, n := range which {
			same(t, fmt.Sprintf("picture %d, the %d. of %d", n, i+1, len(batch)), got[i], want[n])
		}
	}
}

// checkTimes wants each stage of a batch timed.
func checkTimes(t *testing.T, d *engine.Detector, pictures []*imaging.Picture) {
	t.Helper()
	got, err := d.DetectBatch(t.Context(), imaging.Sources(pictures))
	if err != nil {
		t.Fatal(err)
	}
	timing := got[0].Timing
	if timing.CopyIn <= 0 || timing.Letterbox <= 0 || timing.Network <= 0 || timing.Decode <= 0 || timing.CopyOut <= 0 {
		t.Errorf("the stages took %+v", timing)
	}
}

// TestTensor hands in the network's input instead of the picture that it is made
// of, on the CPU and on a GPU, in float32 and half: the boxes are the same.
func TestTensor(t *testing.T) {
	for name, d := range map[string]*engine.Detector{
		"cpu":  open(t, carried, engine.Options{Height: 256, Width: 256}),
		"gpu":  open(t, build(t, carried, engine.BuildOptions{Height: 256, Width: 256}), engine.Options{Device: devices(1)}),
		"half": open(t, build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Half: true}), engine.Options{Device: devices(1)}),
	} {
		height, width := d.InputSize()
		pre := d.Spec().Preprocess
		tensor := make([]float32, 3*height*width)
		for i, p := range pictures(t) {
			want, err := d.Detect(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			fit := decode.NewFit(p.Width, p.Height, width, height, pre.Letterbox)
			imaging.Letterbox(tensor, p, fit, pre)
			got, err := d.DetectTensor(t.Context(), tensor)
			if err != nil {
				t.Fatal(err)
			}
			for n := range got.Detections {
				got.Detections[n].Box = fit.ToPicture(got.Detections[n].Box)
			}
			same(t, fmt.Sprintf("%s, picture %d", name, i), got, want)
		}
		for _, wrong := range [][]float32{nil, tensor[1:]} {
			if _, err := d.DetectTensor(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "want 196608") {
				t.Errorf("%s, a tensor of %d numbers: %v", name, len(wrong), err)
			}
		}
	}
}

// TestEveryNet runs a net of every kind, layout and precision, in another way
// each. Their weights are random, and a real GPU computes in half or TF32: there
// the raw outputs are held to what that may do to such a net, see holdRaw, and the
// decoder by the kernels' own tests.
func TestEveryNet(t *testing.T) {
	all := pictures(t)[:5]
	met := map[string]bool{}
	if testing.Short() {
		all = all[:3]
	}
	choices := ways(false)
	for i, n := range nets.Load(t) {
		if kind := fmt.Sprint(n.Family, n.Layout, n.Precision); simgpu.Real() && met[kind] {
			continue // each takes a real builder seconds
		} else {
			met[kind] = true
		}
		t.Run(n.File, func(t *testing.T) {
			w := choices[i%len(choices)]
			w.use(t)
			o := engine.BuildOptions{Head: n.ModelHints(), Height: n.ImgSize[0], Width: n.ImgSize[1]}
			if n.Dynamic.Batch {
				o.Batch = w.batch
			}
			plan := build(t, n.Path(), o)
			cpu := open(t, n.Path(), engine.Options{Head: n.ModelHints(), Height: n.ImgSize[0], Width: n.ImgSize[1]})
			simgpu.CheckClean(t)
			gpu := open(t, plan, w.options())
			found := 0
			for start := 0; start < len(all); start += gpu.MaxBatch() {
				batch := all[start:min(start+gpu.MaxBatch(), len(all))]
				got, err := gpu.DetectBatch(t.Context(), imaging.Sources(batch))
				if err != nil {
					t.Fatal(err)
				}
				for i, p := range batch {
					want, err := cpu.Detect(t.Context(), p)
					if err != nil {
						t.Fatal(err)
					}
					found += len(want.Detections)
					if !simgpu.Real() {
						same(t, fmt.Sprintf("picture %d", start+i), got[i], want)
					}
				}
			}
			if found == 0 {
				t.Error("nothing was found: the comparison says nothing")
			}
			if simgpu.Real() {
				holdRaw(t, n.Path(), plan, n.ModelHints(), o.Height, o.Width, all)
			}
		})
	}
}
