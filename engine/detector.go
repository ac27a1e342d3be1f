package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/cuda"
	"github.com/trtdet/trtdet/engine/internal/guard"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// Errors of a Detector's calls, beside those of the context and of pictures. A
// deadline that passes, or that the measured times of batches say cannot be kept,
// is context.DeadlineExceeded; an image or a context that panics is a *PanicError.
var (
	// ErrLost is wrapped by errors of calls that no GPU is left for: each has
	// failed in a way that ends everything on it. A new process may have them
	// back.
	ErrLost = cuda.ErrLost
	// ErrOverloaded: Options.QueueLimit pictures wait already. Try again later, or
	// have fewer at once.
	ErrOverloaded = errors.New("overloaded: as many pictures wait as Options.QueueLimit allows")
	// ErrMemoryLimit is wrapped by errors of images that need more memory by
	// themselves than Options.HostMemory, or Options.DeviceMemory, leaves for them.
	ErrMemoryLimit = backend.ErrMemoryLimit
	// ErrClosed: the Detector has been closed.
	ErrClosed = errors.New("the detector is closed")
)

// Detector finds objects in pictures with one model. Any number of goroutines may
// use one.
//
// A call waits for its turn, has its pictures read into memory that the network
// takes them from, and waits until a batch that they are in is done. What is
// ready goes at once, as one batch, to a free slot; pictures of several calls
// share batches. Turns go around among callers, see WithCaller.
type Detector struct {
	*opened
	query *query // nil asks for nothing but what the Detector was opened for
}

// opened is what a Detector shares with those that With makes of it.
type opened struct {
	options Options

	opening chan struct{} // full while a Swap is under way, or what one has given up
	swap    sync.Mutex    // held by Swap and Close
	mu      sync.RWMutex  // of core
	core    *core         // nil once closed
}

// Open gets the model ready to run: an ONNX file on the CPU, a TensorRT engine
// on GPUs. The error wraps os errors for the file, model's errors
// for what is in it, ErrNoGPU, or the context's when that ends first: Open returns
// then, and what it had begun comes to its end by itself and frees its memory. The
// context means nothing to the Detector.
func Open(ctx context.Context, path string, o *Options) (*Detector, error) {
	return open(ctx, source{path: path}, o)
}

// OpenBytes is Open of a model's bytes: those of an ONNX file without external data
// and no manifest, or those of a TensorRT engine and of its manifest. They must not
// change until the Detector is closed, nor ever once the context has ended
// OpenBytes: what goes on then still reads them.
func OpenBytes(ctx context.Context, model, manifest []byte, o *Options) (*Detector, error) {
	return open(ctx, source{model: model, manifest: manifest}, o)
}

func open(ctx context.Context, s source, o *Options) (*Detector, error) {
	if o == nil {
		o = &Options{}
	}
	c, _, err := openInTime(ctx, s, o)
	if err != nil {
		return nil, err
	}
	return &Detector{opened: &opened{options: *o, opening: make(chan struct{}, 1), core: c}}, nil
}

// With returns a Detector whose calls ask for something else, of the same model
// and in the same batches: other thresholds, other classes, fewer detections. What
// the options do not say stays as it is. It costs next to nothing and need not be
// closed; Swap and Close are for both. The error is an *OptionError, an
// *UnknownClassError or ErrClosed. After a Swap to a model without a class that was
// asked for, calls end in an *UnknownClassError.
func (d *Detector) With(options ...CallOption) (*Detector, error) {
	c, err := d.current()
	if err != nil {
		return nil, err
	}
	q := &query{}
	if d.query != nil {
		*q = *d.query
	}
	for _, set := range options {
		if set != nil {
			set(q)
		}
	}
	if _, err := c.selectionOf(q); err != nil {
		return nil, err
	}
	return &Detector{opened: d.opened, query: q}, nil
}

// current returns what the Detector has at this moment.
func (d *Detector) current() (*core, error) {
	if d.opened == nil {
		return nil, ErrClosed
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.core == nil {
		return nil, ErrClosed
	}
	return d.core, nil
}

// known returns what the Detector has, or what says nothing once it is closed.
func (d *Detector) known() *core {
	if c, err := d.current(); err == nil {
		return c
	}
	return &core{}
}

// Spec is what the model file and the options say of the network.
func (d *Detector) Spec() model.Spec { return d.known().spec }

// InputSize returns the network's input height and width in pixels.
func (d *Detector) InputSize() (height, width int) {
	c := d.known()
	return c.height, c.width
}

// Device names what the network runs on, such as "cpu"; empty once closed.
func (d *Detector) Device() string {
	if c := d.known(); c.backend != nil {
		return c.backend.Device()
	}
	return ""
}

// MaxBatch is how many pictures are computed at once at most.
func (d *Detector) MaxBatch() int { return d.known().batch }

// Slots is how many batches the network works on at once.
func (d *Detector) Slots() int {
	if c := d.known(); c.backend != nil {
		return c.backend.Slots()
	}
	return 0
}

// ClassName returns the name of class id, or the id as text where the model
// has no names.
func (d *Detector) ClassName(id int) string { return d.known().className(id) }

// Detect finds the objects in one picture, which must not change until it
// returns.
func (d *Detector) Detect(ctx context.Context, picture imaging.Source) (Result, error) {
	one := singles.Get().(*single)
	one.sources[0] = picture
	return d.detectOne(ctx, one, inputs{sources: one.sources[:]})
}

// single is what a call about one picture needs, kept for the next.
type single struct {
	sources [1]imaging.Source
	tensors [1]backend.Tensor
	results [1]Result
}

var singles = sync.Pool{New: func() any { return &single{} }}

// detectOne detects in the picture that one holds, and lets go of it.
func (d *Detector) detectOne(ctx context.Context, one *single, in inputs) (Result, error) {
	err := d.detect(ctx, in, one.results[:])
	result := one.results[0]
	*one = single{}
	singles.Put(one)
	return result, err
}

// DetectBatch finds the objects in any number of pictures, which may differ in
// size, and returns one Result for each, in their order. The first error ends it.
func (d *Detector) DetectBatch(ctx context.Context, pictures []imaging.Source) ([]Result, error) {
	if len(pictures) == 0 {
		return nil, nil
	}
	results := make([]Result, len(pictures))
	if err := d.detect(ctx, inputs{sources: pictures}, results); err != nil {
		return nil, err
	}
	return results, nil
}

// DetectTensor finds the objects in a picture that is the network's input
// already: (3, height, width) of InputSize, letterboxed, in the channel order
// and range that Spec().Preprocess says. Boxes are in pixels of the input. The
// tensor must not change until it returns.
func (d *Detector) DetectTensor(ctx context.Context, tensor []float32) (Result, error) {
	one := singles.Get().(*single)
	one.tensors[0] = tensor
	return d.detectOne(ctx, one, inputs{tensors: one.tensors[:]})
}

// Answer is what came of a picture that was submitted.
type Answer struct {
	Result Result
	Err    error
}

// Submit has the objects found in one picture, which must not change until the
// answer is there, and returns at once. The channel gets one Answer.
func (d *Detector) Submit(ctx context.Context, picture imaging.Source) <-chan Answer {
	answer := make(chan Answer, 1)
	go func() {
		result, err := d.Detect(ctx, picture)
		answer <- Answer{result, err}
	}()
	return answer
}

// Warmup runs batches of every size on every slot, so that no call has to wait
// for memory to be allocated and kernels to be compiled. It may be called while
// the Detector is in use.
func (d *Detector) Warmup(ctx context.Context) error {
	return d.use(func(c *core) error { return c.warmup(ctx) })
}

// use calls f with the current model, which is not freed until f returns.
func (d *Detector) use(f func(*core) error) error {
	c, err := d.current()
	if err != nil {
		return err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return ErrClosed
	}
	return f(c)
}

// Swap opens another model, or the same file again, and has all calls from then
// on answered by it; calls under way are answered by the one that they began
// with. No call fails because of it. It returns when the old model is freed; both
// are in memory until then. The context is Open's; one Swap waits for another, and
// for what that has given up. nil options are those that the Detector was opened
// with. After an error the Detector has the model that it had, unless the error is
// that of freeing it.
func (d *Detector) Swap(ctx context.Context, path string, o *Options) error {
	if _, err := d.current(); err != nil {
		return err
	}
	if o == nil {
		o = &d.options
	}
	var guarded guard.Context
	if err := guarded.Set(ctx); err != nil {
		return panicked(err)
	}
	select {
	case d.opening <- struct{}{}:
	case <-guarded.Done():
		return guarded.Err()
	}
	c, ended, err := openInTime(&guarded, source{path: path}, o)
	swapped := make(chan struct{})
	defer close(swapped)
	go func() { // the next Swap waits for this one, and for what it has given up
		<-swapped
		<-ended
		<-d.opening
	}()
	if err != nil {
		return err
	}
	d.swap.Lock()
	defer d.swap.Unlock()
	d.mu.Lock()
	old := d.core
	if old != nil {
		d.core = c
	}
	d.mu.Unlock()
	if old == nil { // closed in the meantime
		return errors.Join(ErrClosed, c.close())
	}
	return old.close()
}

// NetworkRate measures the network alone, on as many images a batch, on every
// stream at once. It warms up first, measures for about as long as duration and
// five windows at least, and calls wait meanwhile. What the Detector does on one
// stream cannot be faster, apart from noise.
func (d *Detector) NetworkRate(ctx context.Context, images int, duration time.Duration) (t Throughput, err error) {
	err = d.use(func(c *core) error {
		t, err = c.rate(ctx, images, duration)
		return err
	})
	return t, err
}

// Close answers the calls under way and frees the model. It is safe to call
// twice.
func (d *Detector) Close() error {
	if d.opened == nil {
		return nil
	}
	d.swap.Lock()
	defer d.swap.Unlock()
	d.mu.Lock()
	c := d.core
	d.core = nil
	d.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.close()
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
