package engine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/await"
)

const carried = "../models/emoji/decoupled-base.onnx"

func openPicture(t *testing.T, name string) *imaging.Picture {
	t.Helper()
	p, err := imaging.Open("../models/emoji/images/"+name, imaging.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// One Detector serves many goroutines, and each picture gets its own boxes,
// however many batches the network works on at once.
func TestDetectFromManyGoroutines(t *testing.T) {
	for _, c := range []struct{ asked, slots int }{{0, 1}, {2, 2}, {8, 3}} {
		d, err := Open(t.Context(), carried, &Options{Height: 256, Width: 256, Batch: 4, Threads: 3, Slots: c.asked})
		if err != nil {
			t.Fatal(err)
		}
		if d.Slots() != c.slots {
			t.Errorf("asked for %d slots with 3 threads: %d, want %d", c.asked, d.Slots(), c.slots)
		}
		detectFromMany(t, d)
		d.Close()
	}
}

func detectFromMany(t *testing.T, d *Detector) {
	t.Helper()
	pictures := []*imaging.Picture{openPicture(t, "mountains.jpg"), openPicture(t, "room.jpg"), openPicture(t, "sunset.jpg")}
	want := make([]Result, len(pictures))
	for i, p := range pictures {
		var err error
		if want[i], err = d.Detect(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if len(want[i].Detections) == 0 {
			t.Fatalf("nothing found in picture %d", i)
		}
	}
	var all sync.WaitGroup
	for worker := range 6 {
		all.Go(func() {
			for round := range 4 {
				i := (worker + round) % len(pictures)
				j := (i + 1) % len(pictures)
				got, err := d.DetectBatch(t.Context(), []imaging.Source{pictures[i], pictures[j]})
				if err != nil {
					t.Error(err)
					return
				}
				for k, index := range []int{i, j} {
					if !sameObjects(got[k].Detections, want[index].Detections) {
						t.Errorf("picture %d: got %v, want %v", index, got[k].Detections, want[index].Detections)
					}
				}
			}
		})
	}
	all.Wait()
}

// sameObjects compares classes and, within a tenth of a pixel, boxes: a batch
// of two may sum in another order than a batch of one.
func sameObjects(a, b []Detection) bool {
	if len(a) != len(b) {
		return false
	}
	near := func(x, y float32) bool { return x-y < 0.1 && y-x < 0.1 }
	for i := range a {
		p, q := a[i].Box, b[i].Box
		if a[i].ClassID != b[i].ClassID || !near(p.X1, q.X1) || !near(p.Y1, q.Y1) || !near(p.X2, q.X2) || !near(p.Y2, q.Y2) {
			return false
		}
	}
	return true
}

func TestDetectEnds(t *testing.T) {
	d, err := Open(t.Context(), carried, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := openPicture(t, "room.jpg")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Detect(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
	if results, err := d.DetectBatch(t.Context(), nil); err != nil || len(results) != 0 {
		t.Errorf("an empty batch: %v, %v", results, err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := d.Detect(t.Context(), p); !errors.Is(err, ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name, path string
		options    Options
		kind       error
		words      string
	}{
		{"a GPU that is not there", carried, Options{Device: Device{CUDA: []int{0}}}, ErrNoGPU, "--device cpu"},
		{"an engine", "model.engine", Options{}, ErrNoGPU, "trtdet run MODEL.onnx"},
		{"an engine on the CPU", "model.engine", Options{Device: Device{CPU: true}}, ErrNoGPU, "a GPU only"},
		{"a class that is not there", carried, Options{Classes: []int{12}}, nil, "classes 0 to 11: dog, cat, car"},
		{"a class of another name", carried, Options{Classes: []int{1}, ClassNames: []string{"car", "bus"}}, nil, "class bus does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Open(t.Context(), c.path, &c.options)
			if err == nil {
				d.Close()
				t.Fatal("no error")
			}
			if (c.kind != nil && !errors.Is(err, c.kind)) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %v with %q", err, c.kind, c.words)
			}
		})
	}
}

func TestInputSizeIsWholeStrides(t *testing.T) {
	for in, want := range map[[2]int][2]int{{0, 0}: {640, 640}, {100, 200}: {128, 224}, {64, 32}: {64, 32}, {1, 1}: {32, 32}} {
		d, err := Open(t.Context(), carried, &Options{Height: in[0], Width: in[1], Log: discard})
		if err != nil {
			t.Fatal(err)
		}
		h, w := d.InputSize()
		if got := [2]int{h, w}; !reflect.DeepEqual(got, want) {
			t.Errorf("%v became %v, want %v", in, got, want)
		}
		d.Close()
	}
}

// A caller with one image does not wait behind all that another has put in.
func TestCallersTakeTurns(t *testing.T) {
	d, err := Open(t.Context(), carried, &Options{Height: 320, Width: 320})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := openPicture(t, "room.jpg")
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // what still waits then is not computed
	const many = 1000
	for range many {
		all.Go(func() {
			if _, err := d.Detect(WithCaller(ctx, "many"), p); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	await.Until(t, "the images are handed in", func() bool { return d.Stats().Pictures == many })
	if _, err := d.Detect(WithCaller(t.Context(), "one"), p); err != nil {
		t.Fatal(err)
	}
	if waiting := d.Stats().Waiting; waiting == 0 {
		t.Error("the other caller's images were all computed first")
	}
}

// Memory that files are decoded into is used again.
func TestEncodedKeepsMemory(t *testing.T) {
	if _, err := imaging.TurboJPEG(); err != nil {
		t.Skipf("Go's own decoder has memory of its own: %v", err)
	}
	d, err := Open(t.Context(), carried, &Options{Height: 64, Width: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	data, err := os.ReadFile("../models/emoji/images/room.jpg")
	if err != nil {
		t.Fatal(err)
	}
	pixels := uint64(len(openPicture(t, "room.jpg").Pix))
	const calls = 40
	kept := 0
	var before, after runtime.MemStats
	for range calls {
		runtime.ReadMemStats(&before)
		if _, err := d.Detect(t.Context(), imaging.Encoded{Data: data}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if after.TotalAlloc-before.TotalAlloc < pixels/2 {
			kept++
		}
	}
	if kept < calls/4 { // the race detector has a pool forget some
		t.Errorf("of %d calls %d used memory again", calls, kept)
	}
}

func TestDetectionAsJSON(t *testing.T) {
	want := Detection{ClassID: 3, Class: "dog", Score: 0.75, Box: decode.Box{X1: 1, Y1: 2.5, X2: 30, Y2: 40}}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"class_id":3,"class":"dog","score":0.75,"box":[1,2.5,30,40]}` {
		t.Fatalf("%s, %v", text, err)
	}
	var got Detection
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if err := json.Unmarshal([]byte(`{"box":"wide"}`), &got); err == nil {
		t.Error("a box of letters was read")
	}
}
