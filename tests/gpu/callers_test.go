package gpu

import (
	"context"
	"errors"
	"image"
	"image/color"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/await"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// wildImage is an image whose pixels are what a test wants.
type wildImage struct {
	image.Rectangle
	at func() color.Color
}

func (w wildImage) ColorModel() color.Model { return color.RGBAModel }
func (w wildImage) Bounds() image.Rectangle { return w.Rectangle }
func (w wildImage) At(int, int) color.Color { return w.at() }

// wildContext panics wherever it is told to.
type wildContext struct {
	context.Context
	done, err, value bool
}

func (w wildContext) Done() <-chan struct{} {
	if w.done {
		panic("the context's Done")
	}
	return w.Context.Done()
}

func (w wildContext) Err() error {
	if w.err {
		panic("the context's Err")
	}
	return w.Context.Err()
}

func (w wildContext) Value(key any) any {
	if w.value {
		panic("the context's Value")
	}
	return w.Context.Value(key)
}

// TestHostileCallers hands a Detector images and contexts that panic or do not
// return, many more than there are turns: each such call gets an error, the others
// their boxes, and nothing is left behind.
func TestHostileCallers(t *testing.T) {
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	all := pictures(t)[:3]
	if !simgpu.Real() {
		simgpu.CheckClean(t)
	}
	for _, on := range []struct {
		name, path string
		options    engine.Options
	}{
		{"GPU", plan, engine.Options{Device: devices(2)}},
		{"CPU", carried, engine.Options{Height: 256, Width: 256, Batch: 4}},
	} {
		d, err := engine.Open(t.Context(), on.path, &on.options)
		if err != nil {
			t.Fatal(err)
		}
		want, err := d.DetectBatch(t.Context(), imaging.Sources(all))
		if err != nil {
			t.Fatal(err)
		}
		block := make(chan struct{})
		never, cancel := context.WithCancel(t.Context())
		ended, end := context.WithCancel(t.Context())
		end()
		short := image.NewRGBA(image.Rect(0, 0, 64, 64))
		short.Pix = short.Pix[:100]
		panics := wildImage{image.Rect(0, 0, 9, 9), func() color.Color { panic("the image's At") }}
		blocks := wildImage{image.Rect(0, 0, 9, 9), func() color.Color { <-block; return color.White }}
		huge := wildImage{image.Rect(0, 0, 1<<30, 1<<30), func() color.Color { return color.White }}
		var good, blocked sync.WaitGroup
		for i := range 60 { // callers with good images, beside all of the following
			good.Go(func() {
				got, err := d.Detect(t.Context(), all[i%3])
				if err != nil {
					t.Errorf("%s: a good image: %v", on.name, err)
					return
				}
				same(t, on.name+", beside hostile callers", got, want[i%3])
			})
		}
		for range 40 {
			blocked.Go(func() {
				if _, err := d.Detect(t.Context(), imaging.Image{Image: blocks}); err != nil {
					t.Errorf("%s: an image that took its time: %v", on.name, err)
				}
			})
			for what, bad := range map[string]image.Image{"short": short, "panics": panics, "nil": (*image.RGBA)(nil)} {
				for _, sources := range [][]imaging.Source{
					{imaging.Image{Image: bad}},
					{all[0], imaging.Image{Image: bad}, all[1]},
					{imaging.Image{Image: bad}, all[0], all[0], all[0], all[0], all[0], imaging.Image{Image: bad}},
				} {
					_, err := d.DetectBatch(t.Context(), sources)
					if panicked := (*engine.PanicError)(nil); !errors.As(err, &panicked) || !strings.Contains(err.Error(), "the image panicked") {
						t.Errorf("%s: %d images, %s: %v", on.name, len(sources), what, err)
					}
				}
			}
			for _, ctx := range []context.Context{nil, wildContext{Context: never, done: true}} {
				if _, err := d.Detect(ctx, all[0]); !errors.As(err, new(*engine.PanicError)) {
					t.Errorf("%s: %v", on.name, err)
				}
			}
			if _, err := d.Detect(wildContext{Context: ended, err: true, value: true}, all[0]); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: a context that does not say why it has ended: %v", on.name, err)
			}
		}
		if _, err := d.Detect(t.Context(), imaging.Image{Image: huge}); !errors.Is(err, imaging.ErrTooLarge) {
			t.Errorf("%s: %v", on.name, err)
		}
		var many []imaging.Source
		for range 30 {
			many = append(many, all[0])
		}
		upset := wildContext{Context: never, err: true, value: true}
		if _, err := d.DetectBatch(upset, many); err != nil {
			t.Errorf("%s: %v", on.name, err)
		}
		good.Wait()
		// those whose images block hold up neither calls nor Close
		if _, err := d.Detect(t.Context(), all[0]); err != nil {
			t.Errorf("%s: %v", on.name, err)
		}
		close(block)
		blocked.Wait()
		cancel()
		if stats := d.Stats(); stats.Waiting != 0 || stats.Memory.HostCalls != 0 {
			t.Errorf("%s: %+v", on.name, stats)
		}
		if err := d.Close(); err != nil {
			t.Errorf("%s: close: %v", on.name, err)
		}
	}
}

// hostileHandler does with each record what a test wants.
type hostileHandler func()

func (h hostileHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (h hostileHandler) Handle(context.Context, slog.Record) error { h(); return nil }
func (h hostileHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h hostileHandler) WithGroup(string) slog.Handler             { return h }

// TestHostileLogHandlers loses a GPU while the log handler calls the Detector,
// panics or blocks.
func TestHostileLogHandlers(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real GPU is not lost when it is told to be")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	all := imaging.Sources(pictures(t)[:3])
	simgpu.CheckClean(t)
	block := make(chan struct{})
	for name, handle := range map[string]func(*engine.Detector){
		"calls Stats":  func(d *engine.Detector) { d.Stats() },
		"calls Detect": func(d *engine.Detector) { d.DetectBatch(context.Background(), all) }, //nolint:errcheck // it returns
		"panics":       func(*engine.Detector) { panic("the log handler") },
		"blocks":       func(*engine.Detector) { <-block },
	} {
		var d atomic.Pointer[engine.Detector]
		called := make(chan struct{}, 100)
		log := slog.New(hostileHandler(func() {
			if d := d.Load(); d != nil {
				called <- struct{}{}
				handle(d)
			}
		}))
		opened, err := engine.Open(t.Context(), plan, &engine.Options{Device: devices(2), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		d.Store(opened)
		simgpu.Lose(0, illegalAddress)
		for range 10 {
			if _, err := opened.DetectBatch(t.Context(), all); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		<-called
		simgpu.Lose(0, 0)
		if name == "blocks" {
			close(block)
		}
		if err := opened.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}

// TestLossBeforeFirstBatch loses a GPU before it has run a batch of any size, so
// that it is TensorRT which fails first: the loss is known for what it is.
func TestLossBeforeFirstBatch(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real GPU is not lost when it is told to be")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	all := imaging.Sources(pictures(t)[:3])
	simgpu.CheckClean(t)
	d := open(t, plan, engine.Options{Device: devices(2), Log: slog.New(slog.DiscardHandler)})
	simgpu.Lose(0, illegalAddress)
	defer simgpu.Lose(0, 0)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			for n := range 3 {
				if _, err := d.DetectBatch(t.Context(), all[:n+1]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	await.Until(t, "GPU 0 is known to be lost", func() bool {
		if _, err := d.DetectBatch(t.Context(), all[:1]); err != nil {
			t.Fatal(err)
		}
		return d.Stats().Devices[0].Lost
	})
}

// TestFailingGPU has one of two GPUs fail all it is asked at once, as one without
// free memory does: no call fails, and it is left alone.
func TestFailingGPU(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real GPU does not fail when it is told to")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	all := pictures(t)[:3]
	simgpu.CheckClean(t)
	d := open(t, plan, engine.Options{Device: devices(2), Log: slog.New(slog.DiscardHandler)})
	want, err := d.DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	simgpu.Lose(0, outOfMemory)
	defer simgpu.Lose(0, 0)
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for i := range 10 {
				n := (caller + i) % 3
				got, err := d.Detect(t.Context(), all[n])
				if err != nil {
					t.Error(err)
					return
				}
				same(t, "beside a GPU that fails", got, want[n])
			}
		})
	}
	callers.Wait()
	stats := d.Stats()
	if stats.Failed != 0 || stats.Devices[1].Suspended ||
		!slices.ContainsFunc(stats.Events, func(e engine.DeviceEvent) bool { return e.Device == "cuda:0" && e.What == "suspended" }) {
		t.Errorf("%+v", stats)
	}
}
