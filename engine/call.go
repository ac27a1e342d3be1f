package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/guard"
	"github.com/trtdet/trtdet/engine/internal/schedule"
	"github.com/trtdet/trtdet/imaging"
)

// inputs are what is asked about: images or tensors. What reading each takes is
// known beforehand.
type inputs struct {
	sources []imaging.Source
	tensors []backend.Tensor
	// first and all say which of how many they are, where they are a part.
	first, all int
}

func (in inputs) count() int { return len(in.sources) + len(in.tensors) }

func (in inputs) slice(from, to int) inputs {
	return inputs{sources: in.sources[from:to], first: from, all: len(in.sources)} // tensors come one by one
}

// request is one call's images, kept for the next.
type request struct {
	call     *schedule.Call[*backend.Picture]
	pictures []*backend.Picture
	release  func() // gives back what it has taken, and the request
}

func (c *core) newRequest(batch int) *request {
	r := &request{call: schedule.NewCall[*backend.Picture]()}
	r.release = func() {
		c.unstage(r)
		c.requests.Put(r)
	}
	for range batch {
		r.pictures = append(r.pictures, &backend.Picture{})
	}
	r.call.Copied = c.backend.Copies()
	return r
}

// detect fills in results, one for each input.
func (c *core) detect(ctx *guard.Context, in inputs, results []Result) error {
	if in.count() <= c.batch {
		return c.detectCall(ctx, ctx, in, results)
	}
	return c.detectMany(ctx, in, results)
}

// detectMany takes more than a batch as several calls, as many at once as there
// is work for.
func (c *core) detectMany(caller *guard.Context, in inputs, results []Result) error {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	var calls sync.WaitGroup
	room := make(chan struct{}, c.atOnce)
	for from := 0; from < in.count() && ctx.Err() == nil; from += c.batch {
		to := min(from+c.batch, in.count())
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			if err := c.detectCall(ctx, caller, in.slice(from, to), results[from:to]); err != nil {
				cancel(err)
			}
		})
	}
	calls.Wait()
	return context.Cause(ctx)
}

// detectCall takes at most a batch all the way. caller is the context that says
// whose turn it takes.
func (c *core) detectCall(ctx context.Context, caller *guard.Context, in inputs, results []Result) (err error) {
	r := c.requests.Get().(*request)
	r.call.Items = r.pictures[:in.count()]
	r.call.Caller = callerOf(caller)
	if in, err = c.prepare(ctx, r.call, in); err != nil {
		c.requests.Put(r)
		return err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		c.requests.Put(r)
		return schedule.ErrClosed
	}
	if err := c.scheduler.Enter(ctx, r.call); err != nil {
		c.requests.Put(r)
		return err
	}
	defer func() { c.scheduler.Exit(r.call, err, r.release) }()
	start := time.Now()
	if err := c.stage(r, in); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	read := time.Since(start)
	c.scheduler.Ready(r.call)
	if err := c.scheduler.Wait(ctx, r.call); err != nil {
		return err
	}
	c.answer(r, read, results)
	return nil
}

// prepare does what comes before the call has a place in the queue: it refuses what
// cannot come to anything, and reads images that run code of their owner's, so that
// one which does not return holds up nobody else.
func (c *core) prepare(ctx context.Context, call *schedule.Call[*backend.Picture], in inputs) (_ inputs, err error) {
	if call.Bytes, err = c.footprint(in); err == nil && in.runsOtherCode() {
		if err := c.scheduler.Check(ctx, call); err != nil {
			return inputs{}, err
		}
		in, err = in.withoutOtherCode()
	}
	if err != nil {
		c.scheduler.CountFailed(in.count())
	}
	return in, err
}

// footprint is the memory that the call's images take. Images that are damaged, or
// that take more than there may be, are refused before anything is done for them.
func (c *core) footprint(in inputs) (int64, error) {
	total := int64(4*3*c.height*c.width) * int64(len(in.tensors))
	for i, source := range in.sources {
		var info imaging.Info
		err := guard.Call("the image", func() (err error) {
			info, err = imaging.Inspect(source)
			return err
		})
		if err == nil {
			err = c.fits(info)
		}
		if err != nil {
			return 0, in.wrap(i, err)
		}
		total += int64(backend.RoundUp(int(info.Bytes)))
	}
	if len(in.sources) > 1 && c.hostMemory > 0 && total > c.hostMemory {
		return 0, fmt.Errorf("%w: the call's images take %s, Options.HostMemory is %s: fewer images a call", ErrMemoryLimit,
			humanize.IBytes(uint64(total)), humanize.IBytes(uint64(c.hostMemory)))
	}
	return total, nil
}

// fits refuses an image that takes more memory by itself than there may be.
func (c *core) fits(info imaging.Info) error {
	if c.hostMemory > 0 && int64(backend.RoundUp(int(info.Bytes))) > c.hostMemory {
		return fmt.Errorf("%w: an image of %dx%d pixels takes %s, Options.HostMemory is %s", ErrMemoryLimit,
			info.Width, info.Height, humanize.IBytes(uint64(info.Bytes)), humanize.IBytes(uint64(c.hostMemory)))
	}
	pixels := 3 * int64(info.Width) * int64(info.Height)
	if most := c.backend.BatchBytes(); most > 0 && pixels > most {
		return fmt.Errorf("%w: an image of %dx%d pixels takes %s, a batch has %s of device memory for images", ErrMemoryLimit,
			info.Width, info.Height, humanize.IBytes(uint64(pixels)), humanize.IBytes(uint64(most)))
	}
	return nil
}

// answer makes results of what was found, on the caller's time.
func (c *core) answer(r *request, read time.Duration, results []Result) {
	start := time.Now()
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
}

// detections is the host's half of the work: NMS, then back to the image's own
// pixels, leaving out boxes of which nothing lies inside the image.
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

// contexts are kept for the next calls.
var contexts = sync.Pool{New: func() any { return &guard.Context{} }}

// detect has the current model detect, and the next where that has been swapped
// in the meantime.
func (d *Detector) detect(ctx context.Context, in inputs, results []Result) error {
	guarded := contexts.Get().(*guard.Context)
	if err := guarded.Set(ctx); err != nil {
		return err
	}
	many := false
	defer func() {
		if !many { // a context that was made from it may still look at it
			contexts.Put(guarded)
		}
	}()
	for {
		c, err := d.current()
		if err != nil {
			return err
		}
		many = many || in.count() > c.batch
		err = c.detect(guarded, in, results)
		switch {
		case errors.Is(err, schedule.ErrClosed):
			continue // there is another now, or none
		case errors.Is(err, schedule.ErrQueueFull):
			return ErrOverloaded
		}
		return err
	}
}
