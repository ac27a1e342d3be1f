package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/await"
)

// A model's bytes are as good as its file.
func TestOpenBytes(t *testing.T) {
	data, err := os.ReadFile(carried)
	if err != nil {
		t.Fatal(err)
	}
	options := &Options{Height: 256, Width: 256, Batch: 2}
	picture := openPicture(t, "meadow.jpg")
	file, err := Open(t.Context(), carried, options)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := file.Detect(t.Context(), picture)
	if err != nil {
		t.Fatal(err)
	}
	d, err := OpenBytes(t.Context(), data, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got, err := d.Detect(t.Context(), picture)
	if err != nil || len(got.Detections) == 0 || !sameObjects(got.Detections, want.Detections) || d.MaxBatch() != file.MaxBatch() {
		t.Errorf("%v, %v, in batches of %d, want %v", got.Detections, err, d.MaxBatch(), want.Detections)
	}
	if err := d.Swap(t.Context(), carried, nil); err != nil {
		t.Errorf("a file in place of bytes: %v", err)
	}
}

func TestOpenBytesRefuses(t *testing.T) {
	data, err := os.ReadFile(carried)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		model, manifest []byte
		want            error
	}{
		"nothing":           {nil, nil, model.ErrInvalid},
		"text":              {[]byte("not a model"), nil, model.ErrInvalid},
		"half a file":       {data[:len(data)/2], nil, model.ErrInvalid},
		"an engine alone":   {[]byte("ftrt" + strings.Repeat("\x00", 100)), nil, model.ErrInvalid},
		"no manifest in it": {data, []byte{}, model.ErrManifest},
	} {
		// with a manifest it is an engine, and where there is no GPU that is said first
		if _, err := OpenBytes(t.Context(), c.model, c.manifest, nil); !(errors.Is(err, c.want) || (c.manifest != nil && errors.Is(err, ErrNoGPU))) ||
			!strings.HasPrefix(err.Error(), "the model: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	plan := []byte("ftrt" + strings.Repeat("\x00", 100))
	if _, err := OpenBytes(t.Context(), plan, nil, nil); !strings.Contains(err.Error(), "manifest") {
		t.Errorf("an engine without its manifest: %v", err)
	}
}

// A Swap that is given up leaves the model that there was, and one in whose time
// the Detector is closed leaves none.
func TestSwapIsGivenUp(t *testing.T) {
	d, err := Open(t.Context(), carried, &Options{Height: 256, Width: 256})
	if err != nil {
		t.Fatal(err)
	}
	picture := openPicture(t, "meadow.jpg")
	for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), after) // clock: it ends before, within or after, and each is right
		if err := d.Swap(ctx, carried, nil); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up after %s: %v", after, err)
		}
		cancel()
		if _, err := d.Detect(t.Context(), picture); err != nil {
			t.Errorf("a Swap given up after %s: %v", after, err)
		}
	}
	if err := d.Swap(hostileContext{t.Context()}, carried, nil); err == nil {
		t.Error("a context that panics is taken")
	}
	ended := make(chan error)
	for range 4 {
		go func() { ended <- d.Swap(t.Context(), carried, nil) }()
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-ended; err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("a Swap while the Detector is closed: %v", err)
		}
	}
	if _, err := d.Detect(t.Context(), picture); !errors.Is(err, ErrClosed) {
		t.Errorf("a call once it is closed: %v", err)
	}
}

// A Detector that nobody opened is a closed one.
func TestZeroDetector(t *testing.T) {
	var d Detector
	if _, err := d.Detect(t.Context(), openPicture(t, "meadow.jpg")); !errors.Is(err, ErrClosed) {
		t.Errorf("a call: %v", err)
	}
	if _, err := d.With(Conf(0.5)); !errors.Is(err, ErrClosed) {
		t.Errorf("With: %v", err)
	}
	if err := d.Swap(t.Context(), carried, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Swap: %v", err)
	}
	if err := d.Close(); err != nil || d.MaxBatch() != 0 {
		t.Errorf("Close: %v", err)
	}
}

// Open returns when its context ends, whatever it is at, and leaves nothing.
func TestOpenIsGivenUp(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ended, carried, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	var hostile *PanicError
	if _, err := Open(hostileContext{t.Context()}, carried, nil); !errors.As(err, &hostile) {
		t.Errorf("with a context that panics: %v", err)
	}
	first, err := Open(t.Context(), carried, nil) // ONNX Runtime's own goroutines and threads begin with it
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	before := runtime.NumGoroutine()
	for _, after := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after) // clock: it ends before, within or after, and each is right
		d, err := Open(ctx, carried, &Options{Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			d.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up after %s: %v", after, err)
		}
		cancel()
	}
	await.Until(t, "what was given up has ended", func() bool { return runtime.NumGoroutine() <= before })
}

// hostileContext panics at everything.
type hostileContext struct{ context.Context }

func (hostileContext) Done() <-chan struct{} { panic("no") }
