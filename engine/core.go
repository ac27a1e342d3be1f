package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/ort"
	"github.com/trtdet/trtdet/engine/internal/schedule"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// core is one open model: what a Detector has until it gets another.
type core struct {
	spec      model.Spec
	nms       decode.NMSOptions
	width     int
	height    int
	batch     int // the most pictures of a batch
	atOnce    int // calls that detectMany makes
	backend   backend.Backend
	scheduler *schedule.Scheduler[*backend.Picture]
	requests  sync.Pool  // of *request
	rating    sync.Mutex // held by rate, whose lanes wait for each other

	mu     sync.RWMutex // held for reading by every call, so that close waits
	closed bool
}

// request is one call's pictures, kept for the next.
type request struct {
	call     *schedule.Call[*backend.Picture]
	pictures []*backend.Picture
}

// inputs are what is asked about: pictures or tensors.
type inputs struct {
	sources []imaging.Source
	tensors []backend.Tensor
}

func (in inputs) count() int { return len(in.sources) + len(in.tensors) }

func (in inputs) slice(from, to int) inputs {
	if len(in.tensors) > 0 {
		return inputs{tensors: in.tensors[from:to]}
	}
	return inputs{sources: in.sources[from:to]}
}

// openCore gets a model ready.
func openCore(path string, o *Options) (*core, error) {
	if err := checkDevice(path, o.Device); err != nil {
		return nil, err
	}
	c, err := openBackend(path, o)
	if err != nil {
		return nil, err
	}
	c.batch = max(o.Batch, 1)
	if most := c.backend.MaxBatch(); most > 0 {
		c.batch = most
		if o.Batch > 0 {
			c.batch = min(o.Batch, most)
		}
	}
	c.requests.New = func() any { return newRequest(c.batch) }
	lanes := c.backend.Lanes()
	c.atOnce = len(lanes) + 1
	c.scheduler = schedule.New(c.scheduled(lanes), schedule.Config[*backend.Picture]{
		Batch: c.batch, Limit: orDefault(o.QueueLimit, max(DefaultQueueLimit, c.batch)), MaxDelay: o.MaxDelay, Nap: nap,
		Lost: c.backend.Lost, Probe: firstProbe, Log: logger(o.Log),
		Reopen: func(device string) ([]schedule.Lane[*backend.Picture], error) {
			lanes, err := c.backend.Reopen(device)
			return c.scheduled(lanes), err
		},
	})
	return c, nil
}

// nap waits for d, more exactly than time.Sleep does in a process that is idle
// otherwise.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	syscall.Nanosleep(&t, nil) //nolint:errcheck // a signal ends it early
}

// firstProbe is how long a lost GPU is left alone at first.
const firstProbe = time.Second

func openBackend(path string, o *Options) (*core, error) {
	if IsPlan(path) {
		return openPlan(path, o)
	}
	go ort.Load() //nolint:errcheck // while the model is being read; ort.Open says what went wrong
	n, err := model.Load(path, &o.Head)
	if err != nil {
		return nil, err
	}
	c := &core{spec: n.Spec}
	if c.height, c.width, err = inputSize(n, o.Height, o.Width, logger(o.Log)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if size, dynamic := n.Batch(); !dynamic && size == 1 && o.Batch > 1 {
		if err := n.MakeBatchDynamic(); err != nil {
			logger(o.Log).Warn("the network takes one picture at a time", "model", path, "reason", err)
		}
	}
	if err := c.setNMS(o); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.backend, err = ort.Open(n, ort.Config{Height: c.height, Width: c.width, Threads: o.Threads, Slots: o.Slots, MultiLabel: o.MultiLabel})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// scheduledLane is a backend's lane as the scheduler takes it.
type scheduledLane struct {
	backend.Lane
	conf float32
}

func (l scheduledLane) Run(pictures []*backend.Picture, interrupted func() context.Context) error {
	return l.Lane.Run(pictures, l.conf, interrupted)
}

func (c *core) scheduled(lanes []backend.Lane) []schedule.Lane[*backend.Picture] {
	var all []schedule.Lane[*backend.Picture]
	for _, l := range lanes {
		all = append(all, scheduledLane{l, c.spec.Thresholds.Conf})
	}
	return all
}

func newRequest(batch int) *request {
	r := &request{call: schedule.NewCall[*backend.Picture]()}
	for range batch {
		r.pictures = append(r.pictures, &backend.Picture{})
	}
	return r
}

// detect fills in results, one for each input.
func (c *core) detect(ctx context.Context, in inputs, results []Result) error {
	if in.count() <= c.batch {
		return c.detectCall(ctx, in, results)
	}
	return c.detectMany(ctx, in, results)
}

// detectMany takes more than a batch as several calls, as many at once as there
// is work for.
func (c *core) detectMany(ctx context.Context, in inputs, results []Result) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var calls sync.WaitGroup
	room := make(chan struct{}, c.atOnce)
	for from := 0; from < in.count() && ctx.Err() == nil; from += c.batch {
		to := min(from+c.batch, in.count())
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			if err := c.detectCall(ctx, in.slice(from, to), results[from:to]); err != nil {
				cancel(err)
			}
		})
	}
	calls.Wait()
	return context.Cause(ctx)
}

// detectCall takes at most a batch all the way.
func (c *core) detectCall(ctx context.Context, in inputs, results []Result) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return schedule.ErrClosed
	}
	r := c.requests.Get().(*request)
	defer c.requests.Put(r)
	r.call.Items = r.pictures[:in.count()]
	r.call.Caller = caller(ctx)
	if err := c.scheduler.Enter(ctx, r.call); err != nil {
		return err
	}
	defer c.unstage(r)
	start := time.Now()
	if err := c.stage(r, in); err != nil {
		c.scheduler.Leave(r.call)
		return err
	}
	read := time.Since(start)
	c.scheduler.Ready(r.call)
	if err := c.scheduler.Wait(ctx, r.call); err != nil {
		return err
	}
	start = time.Now()
	for i, p := range r.call.Items {
		results[i] = Result{Detections: c.detections(p), NonFinite: p.NonFinite}
	}
	took := time.Since(start)
	for i, p := range r.call.Items {
		t := p.Timing
		results[i].Timing = Timing{
			Pictures: t.Pictures, Read: read, Queue: r.call.Waited + t.Slot, CopyIn: t.CopyIn, Letterbox: t.Letterbox, Network: t.Network,
			Decode: t.Decode, CopyOut: t.CopyOut, NMS: took,
		}
	}
	return nil
}

// stage has the pictures read.
func (c *core) stage(r *request, in inputs) error {
	n := in.count()
	if n > 1 && runtime.GOMAXPROCS(0) > 1 && takesLong(in.sources) {
		return c.stageBeside(r, in)
	}
	for i := range n {
		if err := c.stageOne(r, in, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) stageOne(r *request, in inputs, i int) error {
	var err error
	if len(in.tensors) > 0 {
		err = c.backend.StageTensor(r.pictures[i], in.tensors[i])
	} else {
		err = c.backend.Stage(r.pictures[i], in.sources[i])
	}
	if n := in.count(); err != nil && n > 1 {
		return fmt.Errorf("picture %d of %d: %w", i+1, n, err)
	}
	return err
}

// stageBeside has several pictures read at once.
func (c *core) stageBeside(r *request, in inputs) error {
	n := in.count()
	errs := make([]error, n)
	var next atomic.Int32
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = c.stageOne(r, in, i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// takesLong reports whether pictures take longer to read than goroutines to
// start.
func takesLong(sources []imaging.Source) bool {
	const copied = 1 << 20 // bytes in some 100 us
	bytes := 0
	for _, s := range sources {
		switch s := s.(type) {
		case *imaging.Picture:
			if s != nil {
				bytes += len(s.Pix)
			}
		case *imaging.Raw:
			if s != nil {
				bytes += len(s.Pix)
			}
		default: // it has to be decoded, or looked at pixel by pixel
			return true
		}
	}
	return bytes > copied
}

func (c *core) unstage(r *request) {
	for _, p := range r.call.Items {
		c.backend.Unstage(p)
	}
}

// detections is the host's half of the work: NMS, then back to the picture's
// own pixels, leaving out boxes of which nothing lies inside the picture.
func (c *core) detections(p *backend.Picture) []Detection {
	kept := decode.NMS(p.Candidates, c.nms)
	detections := make([]Detection, 0, len(kept))
	for _, k := range kept {
		box := p.Fit.ToPicture(k.Box)
		if box.X2 <= box.X1 || box.Y2 <= box.Y1 {
			continue
		}
		detections = append(detections, Detection{ClassID: int(k.Class), Class: c.className(int(k.Class)), Score: k.Score, Box: box})
	}
	return detections
}

// maps returns what the network makes of at most a batch of pictures.
func (c *core) maps(pictures []*imaging.Picture) ([]decode.Tensor, error) {
	r := newRequest(len(pictures))
	r.call.Items = r.pictures
	defer c.unstage(r)
	if err := c.stage(r, inputs{sources: imaging.Sources(pictures)}); err != nil {
		return nil, err
	}
	lanes, err := c.lanes()
	if err != nil {
		return nil, err
	}
	return lanes[0].Maps(r.pictures)
}

// lanes returns the lanes that there are now, for work beside the scheduler's.
func (c *core) lanes() ([]backend.Lane, error) {
	lanes := c.backend.Lanes()
	if len(lanes) == 0 {
		return nil, ErrLost
	}
	return lanes, nil
}

// rate runs the network alone on each slot at once for about as long as d, and
// returns pictures a second.
func (c *core) rate(ctx context.Context, pictures int, d time.Duration) (float64, error) {
	c.rating.Lock()
	defer c.rating.Unlock()
	started := sync.OnceValue(time.Now)
	stop := func() bool { return ctx.Err() != nil || time.Since(started()) >= d }
	lanes, err := c.lanes()
	if err != nil {
		return 0, err
	}
	lanes = lanes[:min(c.backend.Slots(), len(lanes))]
	var ready, all sync.WaitGroup
	ready.Add(len(lanes))
	runs, errs := make([]int, len(lanes)), make([]error, len(lanes))
	for i, l := range lanes {
		all.Go(func() {
			prepared := sync.OnceFunc(ready.Done)
			defer prepared() // one that failed holds up no other
			runs[i], errs[i] = l.Rate(pictures, func() {
				prepared()
				ready.Wait()
				started()
			}, stop)
		})
	}
	all.Wait()
	took := time.Since(started())
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return 0, err
	}
	total := 0
	for _, n := range runs {
		total += n
	}
	return float64(total*pictures) / took.Seconds(), nil
}

// warmup runs batches of each size twice on every lane: the first run allocates
// and compiles, after it TensorRT's work is captured.
func (c *core) warmup(ctx context.Context) error {
	lanes, err := c.lanes()
	if err != nil {
		return err
	}
	errs := make([]error, len(lanes))
	var all sync.WaitGroup
	for i, l := range lanes {
		all.Go(func() { errs[i] = c.warmupLane(ctx, l) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (c *core) warmupLane(ctx context.Context, l backend.Lane) error {
	r := newRequest(c.batch)
	r.call.Items = r.pictures
	defer c.unstage(r)
	blank := imaging.NewPicture(c.width, c.height)
	for _, p := range r.pictures {
		if err := c.backend.Stage(p, blank); err != nil {
			return err
		}
	}
	for size := 1; ; size = min(2*size, c.batch) {
		for range 2 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.Run(r.pictures[:size], 1, func() context.Context { return ctx }); err != nil {
				return err
			}
		}
		if size == c.batch {
			return nil
		}
	}
}

// close waits for calls under way and frees the model.
func (c *core) close() error {
	c.scheduler.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.backend.Close()
}

// setNMS settles what is kept of the candidates.
func (c *core) setNMS(o *Options) error {
	for _, class := range o.Classes {
		if class < 0 || class >= c.spec.Head.Classes {
			return fmt.Errorf("class %d does not exist, the model has classes 0 to %d", class, c.spec.Head.Classes-1)
		}
	}
	c.nms = decode.NMSOptions{IoU: c.spec.Thresholds.IoU, MaxDet: o.MaxDet, Classes: o.Classes, Agnostic: o.AgnosticNMS}
	if c.nms.MaxDet == 0 {
		c.nms.MaxDet = DefaultMaxDet
	}
	return nil
}

// className returns the name of class id, or the id as text where the model
// has no names.
func (c *core) className(id int) string {
	if id >= 0 && id < len(c.spec.Names) {
		return c.spec.Names[id]
	}
	return strconv.Itoa(id)
}
