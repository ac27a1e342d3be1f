package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dustin/go-humanize"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/schedule"
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
	// Batch is the maximum number of images in a batch; 0 means all that the engine
	// takes.
	Batch int
	// Slots is how many batches each device works on at once; 0 means 2.
	Slots int
	// HostMemory is how many bytes of host memory images are read into; 0 means as
	// many as they need.
	HostMemory int64
	// DeviceMemory is how many bytes of each device are taken beside the engine
	// itself; 0 means as many as the streams need and half of what is free then.
	DeviceMemory int64
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
	config  Config
	plan    []byte // for GPUs that come back
	library *trt.Library
	decoder *decode.Decoder
	batch   int   // largest
	half    bool  // the network's input is float16
	pixels  int64 // bytes that a batch's images may take on a device
	pool    *pool

	mu     sync.Mutex // held while a GPU is opened anew
	gpus   []*gpu
	memory []deviceMemory // of each
}

var _ backend.Backend = (*Backend)(nil)

// gpu is an engine on one GPU.
type gpu struct {
	device *Device
	module *Module
	engine *trt.Engine
	shape  batches
	slots  []*slot
	pixels int64 // bytes that a batch's images may take
}

// deviceMemory is what is known of a device's memory without a lock.
type deviceMemory struct {
	limit  atomic.Int64
	device atomic.Pointer[Device] // the last that was opened
}

// Open makes a plan ready to run on one or more GPUs. The plan must not change
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
	b := &Backend{config: c, plan: plan, library: library, decoder: decoder, pool: &pool{explain: c.Explain, limit: c.HostMemory}}
	b.memory = make([]deviceMemory, len(c.Devices))
	for i, ordinal := range c.Devices {
		b.gpus = append(b.gpus, &gpu{})
		if err := b.open(i); err != nil {
			return nil, errors.Join(fmt.Errorf("cuda:%d: %w", ordinal, err), b.Close())
		}
		b.take(b.gpus[i])
		device, err := OpenDevice(ordinal)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cuda:%d: %w", ordinal, err), b.Close())
		}
		b.pool.devices = append(b.pool.devices, device)
	}
	return b, nil
}

// open makes one of the GPUs ready.
func (b *Backend) open(i int) (err error) {
	g := b.gpus[i]
	if g.device, err = OpenDevice(b.config.Devices[i]); err != nil {
		return err
	}
	b.memory[i].device.Store(g.device)
	if g.module, err = g.device.Load(); err != nil {
		return err
	}
	if err := g.device.Do(func() (err error) {
		g.engine, err = b.library.LoadEngine(b.plan, b.config.Cache, b.config.Log)
		return err
	}); err != nil {
		return err
	}
	shape, err := inputShape(g.engine, b.config.Height, b.config.Width)
	if err != nil {
		return err
	}
	if b.config.Batch > 0 {
		shape.largest = max(min(shape.largest, b.config.Batch), shape.least)
	}
	g.shape = shape
	lost := func(err error) error { return lossOf(g.device, err, b.config.Explain) }
	for range b.config.Slots {
		s, err := newSlot(g.device, g.module, g.engine, shape, b.decoder, b.config, lost)
		if err != nil {
			return err
		}
		g.slots = append(g.slots, s)
	}
	return b.share(i)
}

// minRoom is the least that a slot gets for images: one of 12 megapixels.
const minRoom = 48 << 20

// share settles how much of a device's memory its slots may take for what depends
// on the images: three quarters of it for pixels, the rest for candidates beyond
// the usual.
func (b *Backend) share(i int) error {
	g := b.gpus[i]
	fixed := g.device.taken.Load()
	room := b.config.DeviceMemory - fixed
	if b.config.DeviceMemory == 0 {
		free, _, err := g.device.Memory()
		if err != nil {
			return err
		}
		room = int64(free / 2)
	} else if need := int64(len(g.slots)) * minRoom; room < need {
		return fmt.Errorf("%w: %d batches at once of %d images take %s of device memory and at least %s for images, the limit is %s: "+
			"a smaller batch, or fewer at once, or a higher limit", backend.ErrMemoryLimit, len(g.slots), b.batch,
			humanize.IBytes(uint64(fixed)), humanize.IBytes(uint64(need)), humanize.IBytes(uint64(b.config.DeviceMemory)))
	}
	b.memory[i].limit.Store(fixed + room)
	each := room / int64(len(g.slots))
	g.pixels = each / 4 * 3
	for _, s := range g.slots {
		// one that is opened anew takes what batches may take, though less may be free now
		s.limits = roomLimits{pixels: max(g.pixels, b.pixels), candidates: each / 4}
	}
	return nil
}

// take settles, before anything runs, what holds for all GPUs.
func (b *Backend) take(g *gpu) {
	b.batch, b.half = g.shape.largest, g.shape.input.DType == "float16"
	if b.pixels == 0 || g.pixels < b.pixels {
		b.pixels = g.pixels
	}
}

// close frees all of a GPU's but what belongs to nobody: on a lost one that is
// gone already.
func (g *gpu) close() error {
	var errs []error
	add := func(err error) { errs = append(errs, unlessLost(err)) }
	for _, s := range slices.Backward(g.slots) {
		add(s.Close())
	}
	if g.engine != nil {
		add(g.device.Do(g.engine.Close))
	}
	if g.module != nil {
		add(g.module.Close())
	}
	if g.device != nil {
		add(g.device.Close())
	}
	*g = gpu{}
	return errors.Join(errs...)
}

// Cache returns the kernels that TensorRT-RTX has compiled so far for the first
// GPU, nothing with other TensorRTs.
func (b *Backend) Cache() (cache []byte, err error) {
	g := b.gpus[0]
	if g.engine == nil { // lost, and not back
		return nil, nil
	}
	err = g.device.Do(func() error {
		cache, err = g.engine.Cache()
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
	taken          int // the most that the profile takes
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
			b.profile, b.least, b.largest, b.taken = i, r.Min[0], r.Max[0], r.Max[0]
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

// Lanes are the slots, none of a GPU that is lost and could not be opened anew.
func (b *Backend) Lanes() []backend.Lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lanes []backend.Lane
	for _, g := range b.gpus {
		lanes = append(lanes, g.lanes()...)
	}
	return lanes
}

func (g *gpu) lanes() []backend.Lane {
	var lanes []backend.Lane
	for _, s := range g.slots {
		lanes = append(lanes, s)
	}
	return lanes
}

// Slots is how many batches the GPUs work on at once.
func (b *Backend) Slots() int { return b.config.Slots * len(b.config.Devices) }

// Device returns "cuda:0" or "cuda:0,1".
func (b *Backend) Device() string {
	var numbers []string
	for _, ordinal := range b.config.Devices {
		numbers = append(numbers, fmt.Sprint(ordinal))
	}
	return "cuda:" + strings.Join(numbers, ",")
}

// Device implements backend.Lane.
func (s *slot) Device() string { return s.device.String() }

// Classify implements backend.Backend.
func (b *Backend) Classify(err error) schedule.Failure {
	switch {
	case errors.Is(err, ErrLost) && Permanent(err):
		return schedule.DeviceLostForGood
	case errors.Is(err, ErrLost):
		return schedule.DeviceLost
	case errors.Is(err, backend.ErrMemoryLimit):
		return schedule.Refused
	}
	return schedule.Failed
}

// Copies implements backend.Backend: images are read into pinned memory.
func (b *Backend) Copies() bool { return true }

// Size implements backend.Backend.
func (b *Backend) Size(p *backend.Picture) int64 {
	if s := backend.Staged[stagedPicture](p); !s.tensor {
		return int64(s.size)
	}
	return 0
}

// BatchBytes implements backend.Backend.
func (b *Backend) BatchBytes() int64 { return b.pixels }

// Memory implements backend.Backend.
func (b *Backend) Memory() backend.Memory {
	m := backend.Memory{Host: b.pool.bytes()}
	for i, ordinal := range b.config.Devices {
		of := backend.DeviceMemory{Device: fmt.Sprintf("cuda:%d", ordinal), Limit: b.memory[i].limit.Load()}
		if device := b.memory[i].device.Load(); device != nil {
			of.Taken = device.taken.Load()
		}
		m.Devices = append(m.Devices, of)
	}
	return m
}

// Reopen implements backend.Backend. A GPU whose context does not answer is left
// as it is, for the next try.
func (b *Backend) Reopen(device string) ([]backend.Lane, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.config.Devices, func(ordinal int) bool { return device == fmt.Sprintf("cuda:%d", ordinal) })
	if i < 0 {
		return nil, fmt.Errorf("there is no %s", device)
	}
	if err := b.reopen(i); err != nil {
		return nil, lossOf(&Device{Ordinal: b.config.Devices[i]}, err, b.config.Explain)
	}
	return b.gpus[i].lanes(), nil
}

func (b *Backend) reopen(i int) error {
	g := b.gpus[i]
	if g.device != nil {
		if _, _, err := g.device.Memory(); err != nil {
			return err
		}
		if err := g.close(); err != nil {
			return err
		}
	}
	if err := b.open(i); err != nil {
		return errors.Join(err, g.close())
	}
	return nil
}

// Close implements backend.Backend; what lay on a lost GPU is gone already.
func (b *Backend) Close() error {
	errs := []error{b.pool.Close()}
	for _, g := range slices.Backward(b.gpus) {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}
