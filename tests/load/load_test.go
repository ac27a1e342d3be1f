// Package load puts more on a Detector than it can take, from many callers that
// come and go, while devices are lost, models are swapped and it is closed: each
// request is answered once, with its own picture's boxes or an error, and nothing
// is left behind.
package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/await"
	"github.com/trtdet/trtdet/tests/nets"
	"github.com/trtdet/trtdet/tests/simgpu"
)

const gpus = 3

func TestMain(m *testing.M) {
	if err := simgpu.Use(gpus); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// net is a network that takes a fraction of a millisecond.
func net(t *testing.T) nets.Net {
	t.Helper()
	for _, n := range nets.Load(t) {
		if n.Precision == "fp32" && n.Dynamic.Batch && len(n.Head.Levels) == 1 && n.Head.Family == decode.YOLOv5 {
			return n
		}
	}
	t.Fatal("there is no small network")
	return nets.Net{}
}

// askable is a picture in each of the forms that a Detector takes, and what is to
// be found in it.
type askable struct {
	sources []imaging.Source
	want    []engine.Detection
}

// askables are pictures of many sizes, with what the CPU finds in each.
func askables(t *testing.T, d *engine.Detector) []askable {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	all := make([]askable, 12)
	for i := range all {
		p := imaging.NewPicture(20+rng.IntN(200), 20+rng.IntN(200))
		for at := range p.Pix {
			p.Pix[at] = byte(rng.IntN(256) * (at / 300 % 2)) // stripes of noise
		}
		gap := rng.IntN(10)
		raw := &imaging.Raw{Width: p.Width, Height: p.Height, Pitch: 3*p.Width + gap, Order: decode.BGR}
		raw.Pix = make([]byte, raw.Pitch*raw.Height)
		for y := range p.Height {
			for x := range p.Width {
				r, g, b, _ := p.At(x, y).RGBA()
				copy(raw.Pix[y*raw.Pitch+3*x:], []byte{byte(b >> 8), byte(g >> 8), byte(r >> 8)})
			}
		}
		path := filepath.Join(t.TempDir(), "p.png")
		if err := imaging.Save(path, p); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		result, err := d.Detect(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Detections) == 0 {
			t.Fatalf("nothing is found in picture %d", i)
		}
		all[i] = askable{[]imaging.Source{p, raw, imaging.Encoded{Data: data}, imaging.Image{Image: p}}, result.Detections}
	}
	return all
}

// check wants the boxes of a picture, within roundings.
func check(t *testing.T, got engine.Result, want []engine.Detection) {
	if len(got.Detections) != len(want) {
		t.Errorf("%d detections, want %d", len(got.Detections), len(want))
		return
	}
	for i, w := range want {
		g := got.Detections[i]
		if g.ClassID != w.ClassID || math.Abs(float64(g.Box.X1-w.Box.X1)) > 0.05 || math.Abs(float64(g.Score-w.Score)) > 1e-4 {
			t.Errorf("detection %d is %+v, want %+v", i, g, w)
			return
		}
	}
}

// outcomes count what came of requests.
type outcomes struct{ answered, overloaded, ended, lost atomic.Int64 }

// patience is one of eight kinds of request. The first two are most often over
// before they are answered.
type patience int

const (
	canceled patience = iota
	late
)

// ask puts one random request in, and reports whether it was taken.
func (o *outcomes) ask(t *testing.T, d *engine.Detector, rng *rand.Rand, p patience, all []askable) (taken bool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if rng.IntN(2) == 0 {
		ctx = engine.WithCaller(ctx, fmt.Sprint(rng.IntN(3)))
	}
	switch p {
	case canceled:
		time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel) // clock: any moment will do
	case late:
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(rng.IntN(5000))*time.Microsecond) // clock: kept or not
		defer stop()
	}
	pick := func() (imaging.Source, []engine.Detection) {
		a := all[rng.IntN(len(all))]
		return a.sources[rng.IntN(len(a.sources))], a.want
	}
	var err error
	switch rng.IntN(4) {
	case 0:
		var sources []imaging.Source
		var wants [][]engine.Detection
		most := 3
		if rng.IntN(10) == 0 {
			most = 20 // more than a batch
		}
		for range 1 + rng.IntN(most) {
			source, want := pick()
			sources, wants = append(sources, source), append(wants, want)
		}
		var results []engine.Result
		if results, err = d.DetectBatch(ctx, sources); err == nil {
			for i, r := range results {
				check(t, r, wants[i])
			}
		}
	case 1:
		source, want := pick()
		answer := <-d.Submit(ctx, source)
		if err = answer.Err; err == nil {
			check(t, answer.Result, want)
		}
	default:
		source, want := pick()
		var result engine.Result
		if result, err = d.Detect(ctx, source); err == nil {
			check(t, result, want)
		}
	}
	switch {
	case err == nil:
		o.answered.Add(1)
	case errors.Is(err, engine.ErrOverloaded):
		o.overloaded.Add(1)
		return false
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		o.ended.Add(1)
	case errors.Is(err, engine.ErrLost):
		o.lost.Add(1)
	default:
		t.Error(err)
	}
	return true
}

// left is what a process holds.
func left(t *testing.T) (goroutines, files int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(entries)
}

func TestOnGPU(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real GPU is not lost when it is told to be")
	}
	n := net(t)
	plan := filepath.Join(t.TempDir(), "model.engine")
	o := engine.BuildOptions{InProcess: true, Head: n.ModelHints(), Height: n.ImgSize[0], Width: n.ImgSize[1], Batch: engine.BatchRange{Min: 1, Opt: 8, Max: 8}}
	if _, err := engine.Build(t.Context(), n.Path(), plan, &o); err != nil {
		t.Fatal(err)
	}
	options := engine.Options{Device: engine.Device{CUDA: []int{0, 1, 2}}}
	run(t, plan, requests(t), options, func(rng *rand.Rand, opening *sync.Mutex, pass func(requests int) bool) {
		// two GPUs come and go, the third stays
		for more := true; more; {
			lost := rng.IntN(2)
			opening.Lock()
			simgpu.Lose(lost, 46) // unavailable, as while another process has it for itself
			pass(rng.IntN(500))
			simgpu.Lose(lost, 0)
			opening.Unlock()
			more = pass(rng.IntN(3000))
		}
	})
}

// requests is TRTDET_REQUESTS, or 10,000.
func requests(t *testing.T) int64 {
	t.Helper()
	n := int64(10_000)
	if text := os.Getenv("TRTDET_REQUESTS"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestOnCPU(t *testing.T) {
	n := net(t)
	run(t, n.Path(), 10_000, engine.Options{Head: n.ModelHints(), Height: n.ImgSize[0], Width: n.ImgSize[1], Batch: 8}, nil)
}

// run puts requests on a model, and swaps it for itself now and then, while
// trouble makes some, and has requests pass until there are no more. opening is
// held while that would keep a model from being opened, and the old one from
// being freed.
func run(t *testing.T, path string, requests int64, o engine.Options,
	trouble func(rng *rand.Rand, opening *sync.Mutex, pass func(requests int) bool)) {
	n := net(t)
	cpu, err := engine.Open(t.Context(), n.Path(), &engine.Options{Head: n.ModelHints(), Height: n.ImgSize[0], Width: n.ImgSize[1]})
	if err != nil {
		t.Fatal(err)
	}
	all := askables(t, cpu)
	if err := cpu.Close(); err != nil {
		t.Error(err)
	}
	if !simgpu.Real() {
		simgpu.CheckClean(t)
	}
	goroutines, files := left(t)
	o.QueueLimit, o.MaxDelay, o.Log = 48, 100*time.Microsecond, slog.New(slog.DiscardHandler)
	d, err := engine.Open(t.Context(), path, &o)
	if err != nil {
		t.Fatal(err)
	}
	var beside sync.WaitGroup
	var opening sync.Mutex
	var next atomic.Int64
	if trouble != nil {
		beside.Go(func() {
			trouble(rand.New(rand.NewPCG(3, 3)), &opening, func(n int) bool {
				until := min(next.Load()+int64(n), requests)
				for next.Load() < until {
					time.Sleep(time.Millisecond) // clock: between two looks
				}
				return until < requests
			})
		})
	}
	var out outcomes
	var callers sync.WaitGroup
	for caller := range 96 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(caller), 2))
			for i := next.Add(1); i <= requests; i = next.Add(1) {
				if i%(requests/4) == 0 {
					opening.Lock()
					if err := d.Swap(t.Context(), path, nil); err != nil {
						t.Errorf("swap: %v", err)
					}
					opening.Unlock()
				}
				// the same at each try: the impatient do not find it full for long
				p := patience(rng.IntN(8))
				for tries := 1; !out.ask(t, d, rng, p, all); tries++ { // later, as callers ought to
					time.Sleep(time.Duration(rng.IntN(20*min(tries, 20))) * time.Millisecond) // clock: part of the load
				}
			}
		})
	}
	callers.Wait()
	beside.Wait()
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	t.Logf("%d answered, %d overloaded, %d canceled or late, %d lost", out.answered.Load(), out.overloaded.Load(), out.ended.Load(), out.lost.Load())
	if out.answered.Load() < requests/2 || out.ended.Load() == 0 || out.overloaded.Load() == 0 || out.lost.Load() > requests/100 {
		t.Errorf("of %d requests %d were answered", requests, out.answered.Load())
	}
	await.Until(t, fmt.Sprintf("there are %d goroutines and %d files, as before", goroutines, files), func() bool {
		g, f := left(t)
		return g <= goroutines && f <= files
	})
}
