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
	// selection is which predictions of them become detections.
	selection *selection
	// first and all say which of how many they are, where they are a part.
	first, all int
}

func (in inputs) count() int { return len(in.sources) + len(in.tensors) }

func (in inputs) slice(from, to int) inputs {
	if len(in.tensors) > 0 { // they come one by one
		return in
	}
	return inputs{sources: in.sources[from:to], selection: in.selection, first: in.first + from, all: max(in.all, len(in.sources))}
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
func (c *core) detect(ctx *guard.Context, in inputs, q *query, results []Result) (err error) {
	if in.selection, err = c.selectionOf(q); err != nil {
		return err
	}
	n, bytes, err := c.together(in)
	switch {
	case err != nil:
		return err
	case n < in.count():
		return c.detectMany(*ctx, in, results)
	}
	return c.detectCall(ctx, ctx, in, bytes, results)
}

// together is how many of the inputs, the first ones, are one call, and the memory
// that they take: at most a batch, and no more than there may be. Images that are
// damaged, or take too much by themselves, are refused before anything is done.
func (c *core) together(in inputs) (n int, bytes int64, err error) {
	for n < min(in.count(), c.batch) {
		more, err := c.footprint(in, n)
		if err != nil {
			c.scheduler.CountFailed(in.count())
			return 0, 0, in.wrap(n, err)
		}
		if n > 0 && c.hostMemory > 0 && bytes+more > c.hostMemory {
			break
		}
		bytes += more
		n++
	}
	return n, bytes, nil
}

// detectMany takes more than one call's as several calls, as many at once as there
// is work for.
func (c *core) detectMany(caller guard.Context, in inputs, results []Result) error {
	ctx, cancel := context.WithCancelCause(&caller)
	defer cancel(nil)
	var calls sync.WaitGroup
	room := make(chan struct{}, c.atOnce)
	for from := 0; from < in.count() && ctx.Err() == nil; {
		n, bytes, err := c.together(in.slice(from, in.count()))
		if err != nil {
			cancel(err)
			break
		}
		part, to := in.slice(from, from+n), results[from:from+n]
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			if err := c.detectCall(ctx, &caller, part, bytes, to); err != nil {
				cancel(err)
			}
		})
		from += n
	}
	calls.Wait()
	return context.Cause(ctx)
}

// detectCall takes at most a batch all the way. caller is the context that says
// whose turn it takes, bytes the memory that the inputs take.
func (c *core) detectCall(ctx context.Context, caller *guard.Context, in inputs, bytes int64, results []Result) (err error) {
	r := c.requests.Get().(*request)
	r.call.Items = r.pictures[:in.count()]
	for _, p := range r.call.Items {
		p.Conf = in.selection.conf
	}
	r.call.Caller, r.call.Bytes = callerOf(caller), bytes
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
	c.answer(r, in.selection, read, results)
	return nil
}

// prepare reads images that run code of their owner's before the call has a place in
// the queue, so that one which does not return holds up nobody else.
func (c *core) prepare(ctx context.Context, call *schedule.Call[*backend.Picture], in inputs) (inputs, error) {
	if !in.runsOtherCode() {
		return in, nil
	}
	if err := c.scheduler.Check(ctx, call); err != nil {
		return in, err
	}
	read, err := in.withoutOtherCode()
	if err != nil {
		c.scheduler.CountFailed(in.count())
	}
	return read, err
}

// footprint is the memory that one of the inputs takes.
func (c *core) footprint(in inputs, i int) (int64, error) {
	if len(in.tensors) > 0 {
		return int64(4 * 3 * c.height * c.width), nil
	}
	var info imaging.Info
	err := runGuarded("the image", func() (err error) {
		info, err = imaging.Inspect(in.sources[i])
		return err
	})
	if err == nil {
		err = c.fits(info)
	}
	return int64(backend.RoundUp(int(info.Bytes))), err
}

// fits refuses an image that takes more memory by itself than there may be.
func (c *core) fits(info imaging.Info) error {
	if c.hostMemory > 0 && int64(backend.RoundUp(int(info.Bytes))) > c.hostMemory {
		return fmt.Errorf("%w: an image of %dx%d pixels takes %s, all images may take %s (HostMemory)", ErrMemoryLimit,
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
func (c *core) answer(r *request, s *selection, read time.Duration, results []Result) {
	start := time.Now()
	for i, p := range r.call.Items {
		results[i] = Result{Detections: c.detections(p, s), NonFinite: p.NonFinite}
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
func (c *core) detections(p *backend.Picture, s *selection) []Detection {
	kept := decode.NMS(p.Candidates, s.nms)
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
		return panicked(err)
	}
	defer contexts.Put(guarded)
	for {
		c, err := d.current()
		if err != nil {
			return err
		}
		err = c.detect(guarded, in, d.query, results)
		switch {
		case errors.Is(err, schedule.ErrClosed):
			continue // there is another now, or none
		case errors.Is(err, schedule.ErrQueueFull):
			return ErrOverloaded
		}
		return err
	}
}
