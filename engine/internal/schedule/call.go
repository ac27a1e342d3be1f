package schedule

import (
	"context"
	"errors"
	"time"
)

// Call is images, at most a Scheduler's Batch of them, that one caller wants
// computed. Each is a T, in which a Stream leaves what it finds. A Call may be
// used again once Exit has called its release.
type Call[T any] struct {
	// Items are the images.
	Items []T
	// Caller names whose turns the call takes; "" is a caller of its own.
	Caller string
	// Bytes is the memory that the images take from when they are read.
	Bytes int64
	// Copied says that the items hold nothing of the caller's once they are Ready:
	// Wait may return while a stream still runs them.
	Copied bool

	// Waited is how long the call waited in the queue, and then the last of its
	// images for a stream.
	Waited time.Duration

	gone     <-chan struct{} // of Enter's context
	err      error
	state    state
	deadline time.Time     // zero where there is none
	key      time.Duration // see setKey
	since    time.Time     // when it came, or was ready
	queued   time.Duration // how long it waited in the queue
	left     int           // Items that are not done
	turn     chan struct{} // tells that the state has left waiting
	done     chan struct{} // tells that no Item is left
	release  func()        // of Exit, where a stream still runs the items
	// abandoned says that nobody waits for the items any more.
	abandoned bool

	// what the queue knows of it while it waits
	owner *caller
	round uint64
	order uint64
	at    int
}

// NewCall returns a Call of no images.
func NewCall[T any]() *Call[T] {
	return &Call[T]{turn: make(chan struct{}, 1), done: make(chan struct{}, 1)}
}

// errGone stands for the error of a call's context until Wait asks for it.
var errGone = errors.New("the caller has gone away")

// hasGone reports whether the call's context has ended.
func (c *Call[T]) hasGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

type state int

const (
	idle    state = iota
	waiting       // in the queue
	reading       // its images are being read
	ready         // some of its images may be computed already
	done          // all of them are
)

// Enter waits until the call may read its images; after that Exit has to be
// called. An error means that it may not: that of ctx, one that wraps
// context.DeadlineExceeded where the deadline of ctx cannot be kept, ErrTooLarge,
// ErrQueueFull, ErrClosed, or why the last device was lost.
func (s *Scheduler[T]) Enter(ctx context.Context, c *Call[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.err, c.Waited, c.since, c.release, c.abandoned = nil, 0, time.Now(), nil, false
	c.deadline, _ = ctx.Deadline()
	c.gone = ctx.Done()
	s.mu.Lock()
	admitted, err := s.enter(c)
	s.mu.Unlock()
	if admitted || err != nil {
		return err
	}
	select {
	case <-c.turn:
	case <-c.gone:
		if s.withdraw(c) {
			return ctx.Err()
		}
		<-c.turn // it came at the same moment
	}
	c.Waited = time.Since(c.since)
	if c.err != nil {
		return c.err
	}
	if err := ctx.Err(); err != nil {
		s.Exit(c, err, nil)
		return err
	}
	return nil
}

// Check returns the error that Enter would return at once, nil where it would
// wait or succeed. It is for work that comes before Enter.
func (s *Scheduler[T]) Check(ctx context.Context, c *Call[T]) error {
	c.deadline, _ = ctx.Deadline()
	c.since = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	count, err := s.refusal(c)
	if count != nil {
		*count += uint64(len(c.Items))
	}
	return err
}

// Ready hands the images to the streams; after that Wait has to be called.
func (s *Scheduler[T]) Ready(c *Call[T]) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopReading(c)
	c.state, c.left, c.queued, c.since = ready, len(c.Items), c.Waited, now
	for _, item := range c.Items {
		e := entry[T]{call: c, item: item, key: c.key}
		if s.config.Size != nil {
			e.size = s.config.Size(item)
		}
		s.insert(e)
	}
	if s.available == 0 {
		s.failReady()
	}
	s.dispatch(now)
	s.grant()
}

// insert puts an image among those that are ready.
func (s *Scheduler[T]) insert(e entry[T]) {
	at := len(s.ready)
	for at > 0 && e.key < s.ready[at-1].key {
		at--
	}
	s.ready = append(s.ready, e)
	copy(s.ready[at+1:], s.ready[at:])
	s.ready[at] = e
}

// Wait waits until all of the images are computed and returns the first error.
// Where ctx ends before, what no stream has begun is not computed, and Wait
// returns that error: at once where the call is Copied, otherwise when the streams
// are done with it.
func (s *Scheduler[T]) Wait(ctx context.Context, c *Call[T]) error {
	select {
	case <-c.done:
		if c.err == errGone { //nolint:errorlint // it is never wrapped
			return ctx.Err()
		}
		return c.err
	case <-c.gone:
	}
	err := ctx.Err()
	s.mu.Lock()
	if c.state == ready {
		s.abandon(c, err)
	}
	running := c.state == ready
	s.mu.Unlock()
	if running && c.Copied {
		return err
	}
	<-c.done
	if c.err != nil {
		return err
	}
	return nil // it was all computed by then
}

// Exit ends a call that has entered and calls release, unless it is nil, as soon
// as no stream uses the items: before it returns, or later from a stream's
// goroutine. err is what reading the images failed with, nil for a call that was
// Ready.
func (s *Scheduler[T]) Exit(c *Call[T], err error, release func()) {
	s.mu.Lock()
	switch c.state {
	case reading:
		s.stopReading(c)
		s.room += len(c.Items)
		if isOver(err) {
			s.stats.Canceled += uint64(len(c.Items))
		} else {
			s.stats.Failed += uint64(len(c.Items))
		}
	case ready: // its caller does not wait any more
		s.abandon(c, context.Canceled)
		if c.state == ready { // a stream still runs some of it
			c.release = release
			if release == nil {
				c.release = func() {}
			}
			s.mu.Unlock()
			return
		}
	}
	c.state = idle
	s.mu.Unlock()
	select {
	case <-c.done: // nobody has waited for it
	default:
	}
	s.giveBack(c, release)
}

// giveBack calls release and then counts the call out.
func (s *Scheduler[T]) giveBack(c *Call[T], release func()) {
	n, bytes := len(c.Items), c.Bytes
	if release != nil {
		release() // from here on c may be used again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside -= n
	s.bytes -= bytes
	if s.calls--; s.calls == 0 {
		s.drained.Broadcast()
	}
	s.grant()
}

// isOver reports whether an error means that a caller has gone away.
func isOver(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// abandon takes what no stream has begun of a call from the ready images, and
// lets a stream know when nobody waits for its batch.
func (s *Scheduler[T]) abandon(c *Call[T], err error) {
	if c.abandoned {
		return
	}
	c.abandoned = true
	kept := s.ready[:0]
	for _, e := range s.ready {
		if e.call != c {
			kept = append(kept, e)
			continue
		}
		s.stats.Canceled++
		s.itemDone(e, err)
	}
	clear(s.ready[len(kept):])
	s.ready = kept
	s.hold.left(len(kept))
	for _, d := range s.devices {
		for _, l := range d.streams {
			if l.busy {
				l.batch.abandon(c)
			}
		}
	}
	s.grant()
}

func (b *batch[T]) abandon(c *Call[T]) {
	before := b.live
	for _, e := range b.entries {
		if e.call == c {
			b.live--
		}
	}
	if b.live <= 0 && before > 0 && b.cancel != nil {
		b.cancel()
	}
}

// itemDone takes in the end of one image.
func (s *Scheduler[T]) itemDone(e entry[T], err error) {
	s.room++
	c := e.call
	if err != nil && c.err == nil {
		c.err = err
	}
	if c.left--; c.left > 0 {
		return
	}
	c.state = done
	if c.release != nil {
		s.exited = append(s.exited, c)
		return
	}
	c.done <- struct{}{}
}
