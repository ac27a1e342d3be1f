package cuda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/trt"
)

// Config says how an engine is run.
type Config struct {
	// Devices by their numbers in the driver's order.
	Devices []int
	// Head and Preprocess are the network's.
	Head       decode.Head
	Preprocess decode.Preprocess
	// Height and Width of the network's input in pixels.
	Height, Width int
	// Slots is how many batches each device works on at once; 0 means 2.
	Slots int
	// MultiLabel makes a candidate of every label that passes.
	MultiLabel bool
	// Cache is what Backend.Cache returned for this plan on this machine, nil for
	// none.
	Cache []byte
	// StageTimes times each stage of a batch; NoGraphs does without CUDA graphs.
	StageTimes, NoGraphs bool
	// Explain says what is known elsewhere of why a GPU was lost, "" for nothing;
	// nil where nothing is.
	Explain func(ordinal int) string
	// Log gets TensorRT's words and the loss of a GPU; nil means none.
	Log *slog.Logger
}

// DefaultSlots of a device: one batch is copied in while another is computed.
const DefaultSlots = 2

// Backend runs one engine on GPUs. See backend.Backend.
type Backend struct {
	decoder *decode.Decoder
	batch   int // largest
	closers []interface{ Close() error }
	engines []engineOn
	slots   chan *slot // those that are free
	losses  *losses
}

var _ backend.Backend = (*Backend)(nil)

// Open makes a plan ready to run on one or more GPUs. The plan is not needed
// afterwards.
func Open(plan []byte, library *trt.Library, c Config) (*Backend, error) {
	decoder, err := decode.NewDecoder(c.Head)
	if err != nil {
		return nil, err
	}
	decoder.MultiLabel = c.MultiLabel
	if c.Slots == 0 {
		c.Slots = DefaultSlots
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	b := &Backend{decoder: decoder, slots: make(chan *slot, c.Slots*len(c.Devices)), losses: newLosses(len(c.Devices), c.Explain, c.Log)}
	for _, ordinal := range c.Devices {
		if err := b.open(ordinal, plan, library, c); err != nil {
			return nil, errors.Join(fmt.Errorf("cuda:%d: %w", ordinal, err), b.Close())
		}
	}
	return b, nil
}

// open makes one device ready.
func (b *Backend) open(ordinal int, plan []byte, library *trt.Library, c Config) error {
	device, err := OpenDevice(ordinal)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, device)
	module, err := device.Load()
	if err != nil {
		return err
	}
	b.closers = append(b.closers, module)
	var engine *trt.Engine
	if err := device.Do(func() (err error) {
		engine, err = library.LoadEngine(plan, c.Cache, c.Log)
		return err
	}); err != nil {
		return err
	}
	b.engines = append(b.engines, engineOn{device, engine})
	b.closers = append(b.closers, engineOn{device, engine})
	shape, err := inputShape(engine, c.Height, c.Width)
	if err != nil {
		return err
	}
	b.batch = shape.largest
	for range c.Slots {
		s, err := newSlot(device, module, engine, shape, b.decoder, c)
		if err != nil {
			return err
		}
		b.closers = append(b.closers, s)
		b.slots <- s
	}
	return nil
}

// engineOn is an engine with the device it was loaded on.
type engineOn struct {
	device *Device
	engine *trt.Engine
}

func (e engineOn) Close() error { return e.device.Do(e.engine.Close) }

// Cache returns the kernels that TensorRT-RTX has compiled so far for the first
// GPU, nothing with other TensorRTs.
func (b *Backend) Cache() (cache []byte, err error) {
	e := b.engines[0]
	err = e.device.Do(func() error {
		cache, err = e.engine.Cache()
		return err
	})
	return cache, err
}

// batches is what an engine takes: its input and the profile that has the most
// pictures.
type batches struct {
	input          trt.TensorInfo
	profile        int
	least, largest int
}

// inputShape finds the profile for an input of height x width.
func inputShape(engine *trt.Engine, height, width int) (batches, error) {
	inputs := engine.Inputs()
	if len(inputs) != 1 || len(inputs[0].Shape) != 4 {
		return batches{}, fmt.Errorf("the engine has inputs %v, want one of (B, 3, H, W)", inputs)
	}
	b := batches{input: inputs[0], profile: -1}
	var taken []string
	for i, profile := range engine.Profiles() {
		r := profile[b.input.Name]
		taken = append(taken, fmt.Sprintf("%v to %v", r.Min, r.Max))
		holds := r.Min[2] <= height && height <= r.Max[2] && r.Min[3] <= width && width <= r.Max[3]
		if holds && r.Max[0] > b.largest {
			b.profile, b.least, b.largest = i, r.Min[0], r.Max[0]
		}
	}
	if b.profile < 0 {
		return batches{}, fmt.Errorf("the engine takes no input of %dx%d (height x width), only %s: choose another --imgsz, or build one",
			height, width, strings.Join(taken, ", "))
	}
	return b, nil
}

// bucket is the batch size that a number of pictures is run with: the next
// power of two that the engine takes.
func (b batches) bucket(pictures int) int {
	n := 1
	for n < pictures {
		n *= 2
	}
	return min(max(n, b.least), b.largest)
}

// MaxBatch is the largest batch the engine takes.
func (b *Backend) MaxBatch() int { return b.batch }

// Slots is how many batches the GPUs work on at once.
func (b *Backend) Slots() int { return cap(b.slots) }

// Device returns "cuda:0" or "cuda:0,1".
func (b *Backend) Device() string {
	var numbers []string
	for _, c := range b.closers {
		if d, ok := c.(*Device); ok {
			numbers = append(numbers, fmt.Sprint(d.Ordinal))
		}
	}
	return "cuda:" + strings.Join(numbers, ",")
}

// Candidates implements backend.Backend. A batch that a GPU was lost under runs
// on another; where there is none left the error wraps ErrLost.
func (b *Backend) Candidates(ctx context.Context, pictures []*imaging.Picture, conf float32) (found []backend.Found, t backend.Timing, err error) {
	if err := b.checkBatch(len(pictures)); err != nil {
		return nil, backend.Timing{}, err
	}
	err = b.onSlot(ctx, func(s *slot, queue time.Duration) (err error) {
		found, t, err = s.run(pictures, conf)
		t.Queue = queue
		return err
	})
	return found, t, err
}

// Maps implements backend.Backend.
func (b *Backend) Maps(ctx context.Context, pictures []*imaging.Picture) (maps []decode.Tensor, err error) {
	if err := b.checkBatch(len(pictures)); err != nil {
		return nil, err
	}
	err = b.onSlot(ctx, func(s *slot, _ time.Duration) (err error) {
		maps, err = s.maps(pictures)
		return err
	})
	return maps, err
}

// NetworkRate implements backend.Backend: enqueueV3, or a graph of it, over and
// over.
func (b *Backend) NetworkRate(ctx context.Context, pictures int, d time.Duration) (float64, error) {
	if err := b.checkBatch(pictures); err != nil {
		return 0, err
	}
	return backend.Rate(ctx, b.Slots(), pictures, d, func(ctx context.Context, stop func() bool) (runs int, err error) {
		err = b.onSlot(ctx, func(s *slot, _ time.Duration) (err error) {
			runs, err = s.rate(pictures, stop)
			return err
		})
		return runs, err
	})
}

func (b *Backend) checkBatch(pictures int) error {
	if pictures > b.batch {
		return fmt.Errorf("a batch of %d pictures, but the engine takes %d", pictures, b.batch)
	}
	return nil
}

// onSlot calls use with a slot of its own, and again with another where the GPU
// was lost under it. queue is how long it waited for one.
func (b *Backend) onSlot(ctx context.Context, use func(s *slot, queue time.Duration) error) error {
	start := time.Now()
	for {
		var s *slot
		select {
		case s = <-b.slots:
		case <-b.losses.all:
			return b.losses.err()
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.losses.of(s.device) != nil {
			continue
		}
		err := use(s, time.Since(start))
		if isLost(err) {
			b.losses.add(s.device, err)
			continue
		}
		b.slots <- s
		if err != nil {
			return fmt.Errorf("%s: %w", s.device, err)
		}
		return nil
	}
}

// Close frees all that was made; what lay on a lost GPU is gone already. It is
// safe to call twice, not during Candidates.
func (b *Backend) Close() error {
	var errs []error
	for _, c := range slices.Backward(b.closers) {
		if err := c.Close(); !isLost(err) {
			errs = append(errs, err)
		}
	}
	b.closers = nil
	return errors.Join(errs...)
}
