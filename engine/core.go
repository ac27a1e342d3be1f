package engine

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/guard"
	"github.com/trtdet/trtdet/engine/internal/schedule"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// core is one open model: what a Detector has until it gets another.
type core struct {
	spec      model.Spec
	selection selection
	width     int
	height    int
	batch     int // the most pictures of a batch
	atOnce    int // calls that detectMany makes
	backend   backend.Backend
	scheduler *schedule.Scheduler[*backend.Picture]
	requests  sync.Pool  // of *request
	rating    sync.Mutex // held by rate, whose lanes wait for each other
	log       *guard.Handler
	// hostMemory is how many bytes the images of all calls may take.
	hostMemory int64

	mu     sync.RWMutex // held for reading by every call, so that close waits
	closed bool
}

// start makes the scheduler.
func (c *core) start(o *Options) {
	c.hostMemory = o.HostMemory
	c.batch = max(o.Batch, 1)
	if most := c.backend.MaxBatch(); most > 0 {
		c.batch = most
		if o.Batch > 0 {
			c.batch = min(o.Batch, most)
		}
	}
	c.requests.New = func() any { return c.newRequest(c.batch) }
	lanes := c.backend.Lanes()
	c.atOnce = len(lanes) + 1
	c.scheduler = schedule.New(scheduled(lanes), schedule.Config[*backend.Picture]{
		Batch: c.batch, BatchBytes: c.backend.BatchBytes(), Size: c.backend.Size, Bytes: c.hostMemory,
		Limit: orDefault(o.QueueLimit, max(DefaultQueueLimit, c.batch)), MaxDelay: o.MaxDelay, Nap: nap,
		Classify: c.backend.Classify, Backoff: firstBackoff, Log: o.Log,
		Reopen: func(device string) ([]schedule.Stream[*backend.Picture], error) {
			lanes, err := c.backend.Reopen(device)
			return scheduled(lanes), err
		},
	})
}

// nap waits for d, more exactly than time.Sleep does in a process that is idle
// otherwise.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	syscall.Nanosleep(&t, nil) //nolint:errcheck // a signal ends it early
}

// firstBackoff is how long a lost or failing GPU is left alone at first.
const firstBackoff = time.Second

func scheduled(lanes []backend.Lane) []schedule.Stream[*backend.Picture] {
	var all []schedule.Stream[*backend.Picture]
	for _, l := range lanes {
		all = append(all, l)
	}
	return all
}

// maps returns what the network makes of at most a batch of pictures.
func (c *core) maps(pictures []*imaging.Picture) ([]decode.Tensor, error) {
	r := c.newRequest(len(pictures))
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
	r := c.newRequest(c.batch)
	r.call.Items = r.pictures
	defer c.unstage(r)
	blank := imaging.NewPicture(c.width, c.height)
	for _, p := range r.pictures {
		p.Conf = 1 // nothing is looked for
		if err := c.backend.Stage(p, blank); err != nil {
			return err
		}
	}
	for size := 1; ; size = min(2*size, c.batch) {
		for range 2 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.Run(r.pictures[:size], func() context.Context { return ctx }); err != nil {
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
	err := c.backend.Close()
	c.log.Flush()
	return err
}

// className returns the name of class id, or the id as text where the model
// has no names.
func (c *core) className(id int) string {
	if id >= 0 && id < len(c.spec.Names) {
		return c.spec.Names[id]
	}
	return strconv.Itoa(id)
}
