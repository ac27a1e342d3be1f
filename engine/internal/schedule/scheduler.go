package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync"
	"time"
)

// Errors of Enter and Wait.
var (
	ErrOverloaded = errors.New("overloaded: too many pictures wait already")
	ErrClosed     = errors.New("closed")
)

// Lane computes batches, one at a time. Lanes of one device share it.
type Lane[T any] interface {
	// Device names what the lane computes on, such as "cuda:0".
	Device() string
	// Run computes a batch and leaves in each item what it finds. An error is
	// that of each item. The context that interrupted returns ends when nobody
	// waits for the batch any more.
	Run(items []T, interrupted func() context.Context) error
}

// Config says how a Scheduler works.
type Config[T any] struct {
	// Batch is the most pictures that a lane takes at once.
	Batch int
	// Limit is how many pictures may wait for their turn.
	Limit int
	// MaxDelay is how long pictures that a lane is free for may be held for others to
	// fill their batch; 0 means not at all.
	MaxDelay time.Duration
	// Nap waits for less than a millisecond, which Go's timers may take for one;
	// nil means that they will do.
	Nap func(time.Duration)
	// Lost reports whether an error of Run means that the lane's device is gone;
	// nil means that none does.
	Lost func(error) bool
	// Reopen makes a lost device's lanes anew, while none of the old ones runs;
	// nil means that it cannot be done. Between two tries it waits Probe, then
	// twice that, and so on up to sixty-four times.
	Reopen func(device string) ([]Lane[T], error)
	Probe  time.Duration
	// Log gets each change of a device; nil means none.
	Log *slog.Logger
}

// Scheduler has calls computed by lanes.
type Scheduler[T any] struct {
	config Config[T]
	lanes  sync.WaitGroup // goroutines of lanes, and of probes

	mu      sync.Mutex
	devices map[string]*device[T]
	open    int // lanes
	ring    ring[T]
	free    int // pictures that may be made ready beside those that are
	ready   []entry[T]
	hold    hold
	closed  bool
	drained *sync.Cond // tells that calls has become 0
	closing chan struct{}
	calls   int // under way: waiting, staging or ready
	inside  int // their pictures
	lost    error
	stats   Stats
}

// entry is one picture that is ready.
type entry[T any] struct {
	call   *Call[T]
	item   T
	losses int // of devices that had it
}

// mostLosses is how many devices may be lost while they have one picture: it
// may be what they are lost by.
const mostLosses = 3

// device is what lanes compute on.
type device[T any] struct {
	name     string
	lanes    []*lane[T]
	running  int
	answered uint64
	out      bool // it is lost
	reason   error
}

// lane is a Lane with its goroutine.
type lane[T any] struct {
	Lane[T]
	device      *device[T]
	work        chan struct{}
	busy        bool
	batch       batch[T]
	interrupted func() context.Context // see Run
	until       time.Time              // when it is expected to be free
	measure     measure
}

// batch is what a lane computes.
type batch[T any] struct {
	entries []entry[T]
	items   []T
	live    int // entries that somebody waits for
	cancel  context.CancelFunc
	ctx     context.Context
}

// aheadBatches is how many batches are made ready beside those that run.
const aheadBatches = 2

// New returns a Scheduler of lanes, which are its own until Close returns.
func New[T any](lanes []Lane[T], c Config[T]) *Scheduler[T] {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Scheduler[T]{config: c, devices: map[string]*device[T]{}, closing: make(chan struct{})}
	s.drained = sync.NewCond(&s.mu)
	s.hold.start(c.MaxDelay, c.Nap, &s.lanes, s.holdOver)
	s.free = (len(lanes) + aheadBatches) * c.Batch
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(lanes)
	return s
}

// add starts lanes.
func (s *Scheduler[T]) add(lanes []Lane[T]) {
	for _, l := range lanes {
		d := s.devices[l.Device()]
		if d == nil {
			d = &device[T]{name: l.Device()}
			s.devices[d.name] = d
		}
		d.out = false
		started := &lane[T]{Lane: l, device: d, work: make(chan struct{}, 1)}
		started.interrupted = func() context.Context { return s.interrupted(started) }
		d.lanes = append(d.lanes, started)
		s.open++
		s.lanes.Go(func() { s.serve(started) })
	}
}

// Enter waits until it is the call's turn to make its pictures ready; after that
// Ready or Leave has to be called. An error means that it has no turn: that of
// ctx, one that wraps context.DeadlineExceeded where the deadline of ctx cannot be
// kept, ErrOverloaded, ErrClosed, or why the last device was lost.
func (s *Scheduler[T]) Enter(ctx context.Context, c *Call[T]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.ctx, c.err, c.Waited, c.since = ctx, nil, 0, time.Now()
	c.deadline, _ = ctx.Deadline()
	s.mu.Lock()
	turn, err := s.enter(c)
	s.mu.Unlock()
	if turn || err != nil {
		return err
	}
	select {
	case <-c.turn:
	case <-ctx.Done():
		if s.withdraw(c) {
			return ctx.Err()
		}
		<-c.turn // it came at the same moment
	}
	c.Waited = time.Since(c.since)
	if c.err == nil && ctx.Err() != nil {
		s.leave(c, &s.stats.Canceled)
		return ctx.Err()
	}
	return c.err
}

// withdraw takes out a call that waits, and reports whether it did.
func (s *Scheduler[T]) withdraw(c *Call[T]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.state != waiting {
		return false
	}
	s.ring.remove(c)
	s.stats.Waiting -= len(c.Items)
	s.stats.Canceled += uint64(len(c.Items))
	s.end(c)
	s.grant() // it may have been what others waited behind
	return true
}

// enter gives a call its turn at once, or has it wait, or refuses it.
func (s *Scheduler[T]) enter(c *Call[T]) (turn bool, err error) {
	n := len(c.Items)
	if n == 0 || n > s.config.Batch {
		return false, fmt.Errorf("a call of %d pictures, want 1 to %d", n, s.config.Batch)
	}
	switch {
	case s.closed:
		return false, ErrClosed
	case s.open == 0:
		s.stats.Failed += uint64(n)
		return false, s.lost
	}
	if err := s.tooLate(c, s.stats.Waiting+len(s.ready)); err != nil {
		return false, err
	}
	if s.ring.first() == nil && s.free >= n {
		s.begin(c, staging)
		s.free -= n
		return true, nil
	}
	if s.stats.Waiting+n > s.config.Limit {
		s.stats.Overloaded += uint64(n)
		return false, ErrOverloaded
	}
	s.begin(c, waiting)
	s.ring.push(c)
	s.stats.Waiting += n
	return false, nil
}

// begin and end count the calls that are under way.
func (s *Scheduler[T]) begin(c *Call[T], as state) {
	c.state = as
	s.calls++
	s.inside += len(c.Items)
	s.stats.Pictures += uint64(len(c.Items))
}

func (s *Scheduler[T]) end(c *Call[T]) {
	c.state = idle
	s.inside -= len(c.Items)
	if s.calls--; s.calls == 0 {
		s.drained.Broadcast()
	}
}

// grant gives turns while there is room.
func (s *Scheduler[T]) grant() {
	for c := s.ring.first(); c != nil && s.free >= len(c.Items); c = s.ring.first() {
		s.ring.pop()
		s.stats.Waiting -= len(c.Items)
		s.free -= len(c.Items)
		c.state = staging
		c.turn <- struct{}{}
	}
}

// Leave gives up a turn: the pictures could not be made ready.
func (s *Scheduler[T]) Leave(c *Call[T]) { s.leave(c, &s.stats.Failed) }

func (s *Scheduler[T]) leave(c *Call[T], count *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count += uint64(len(c.Items))
	s.free += len(c.Items)
	s.end(c)
	s.grant()
}

// Ready hands the pictures to the lanes; after that Wait has to be called.
func (s *Scheduler[T]) Ready(c *Call[T]) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state, c.left, c.turned, c.since = ready, len(c.Items), c.Waited, now
	for _, item := range c.Items {
		s.ready = append(s.ready, entry[T]{call: c, item: item})
	}
	if s.open == 0 {
		s.failReady()
	}
	s.dispatch(now)
}

// Wait waits until all of the pictures are computed and returns the first error,
// or that of ctx: then those that no lane has begun are not computed, and Wait
// returns when the others are.
func (s *Scheduler[T]) Wait(ctx context.Context, c *Call[T]) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	if c.state == ready {
		s.abandon(c, ctx.Err())
	}
	s.mu.Unlock()
	<-c.done
	if c.err != nil {
		return ctx.Err()
	}
	return nil // it was all computed by then
}

// abandon takes what is not begun of a call from the ready pictures, and lets a
// lane know when nobody waits for its batch.
func (s *Scheduler[T]) abandon(c *Call[T], err error) {
	kept := s.ready[:0]
	for _, e := range s.ready {
		if e.call != c {
			kept = append(kept, e)
			continue
		}
		s.stats.Canceled++
		s.free++
		s.itemDone(e, err)
	}
	clear(s.ready[len(kept):])
	s.ready = kept
	s.hold.left(len(kept))
	for _, d := range s.devices {
		for _, l := range d.lanes {
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

// itemDone takes in the end of one picture.
func (s *Scheduler[T]) itemDone(e entry[T], err error) {
	c := e.call
	if err != nil && c.err == nil {
		c.err = err
	}
	if c.left--; c.left == 0 {
		s.end(c)
		c.done <- struct{}{}
	}
}

// holdOver hands on what has been held for long enough.
func (s *Scheduler[T]) holdOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch(time.Now())
}

// dispatch hands batches to lanes while there are both.
func (s *Scheduler[T]) dispatch(now time.Time) {
	for len(s.ready) > 0 {
		n := min(len(s.ready), s.config.Batch)
		l := s.pick(now, n)
		if l == nil {
			return
		}
		if n < s.config.Batch && !s.closed && s.hold.holds(now, n, s.latest(l.measure.of(n))) {
			return
		}
		b := &l.batch
		taken := 0
		for _, e := range s.ready {
			if len(b.entries) == n {
				break
			}
			taken++
			if err := s.unwanted(e.call, now, l.measure.of(n)); err != nil {
				s.free++
				s.itemDone(e, err)
				continue
			}
			e.call.Waited = e.call.turned + now.Sub(e.call.since)
			b.entries = append(b.entries, e)
			b.items = append(b.items, e.item)
		}
		left := copy(s.ready, s.ready[taken:])
		clear(s.ready[left:])
		s.ready = s.ready[:left]
		if len(b.entries) == 0 {
			s.hold.left(len(s.ready))
			s.grant()
			continue
		}
		s.hold.sent(s.inside, n == s.config.Batch)
		b.live = len(b.entries)
		l.busy = true
		l.device.running++
		l.until = now.Add(l.measure.of(len(b.entries)))
		l.work <- struct{}{}
	}
}

// serve computes what dispatch hands to a lane.
func (s *Scheduler[T]) serve(l *lane[T]) {
	for range l.work {
		start := time.Now()
		err := l.Run(l.batch.items, l.interrupted)
		end := time.Now()
		s.mu.Lock()
		s.batchDone(l, err, end, end.Sub(start))
		s.mu.Unlock()
	}
}

// interrupted returns a context that ends when nobody waits for a lane's batch.
func (s *Scheduler[T]) interrupted(l *lane[T]) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &l.batch
	if b.ctx == nil {
		b.ctx, b.cancel = context.WithCancel(context.Background())
		if b.live <= 0 {
			b.cancel()
		}
	}
	return b.ctx
}

// batchDone takes in the end of a lane's batch.
func (s *Scheduler[T]) batchDone(l *lane[T], err error, now time.Time, took time.Duration) {
	b := &l.batch
	if b.cancel != nil {
		b.cancel()
		b.ctx, b.cancel = nil, nil
	}
	l.busy = false
	l.device.running--
	n := len(b.entries)
	if err == nil {
		l.measure.add(n, took)
		l.device.answered += uint64(n)
	}
	if lost := err != nil && s.config.Lost != nil && s.config.Lost(err); lost {
		s.lose(l.device, err)
		s.again(b, err)
	} else {
		s.stats.Batches++
		s.batchEnds(b.entries, err)
	}
	clear(b.entries)
	clear(b.items)
	b.entries, b.items = b.entries[:0], b.items[:0]
	if l.device.out && l.device.running == 0 {
		s.probe(l.device)
	}
	s.grant()
	s.dispatch(now)
}

// batchEnds answers the pictures of a batch.
func (s *Scheduler[T]) batchEnds(entries []entry[T], err error) {
	for _, e := range entries {
		if err == nil {
			s.stats.Answered++
		} else {
			s.stats.Failed++
		}
		s.free++
		s.itemDone(e, err)
	}
}

// again has another device compute a batch whose own was lost next.
func (s *Scheduler[T]) again(b *batch[T], err error) {
	var again []entry[T]
	if s.open == 0 {
		err = s.lost // of all
	}
	for i := range b.entries {
		b.entries[i].losses++
		if s.open == 0 || b.entries[i].losses >= mostLosses || b.entries[i].call.err != nil {
			s.batchEnds(b.entries[i:i+1], err)
			continue
		}
		s.stats.Retried++
		again = append(again, b.entries[i])
	}
	s.ready = append(again, s.ready...)
}

// pick returns the free lane that is expected to be done with n pictures first;
// nil where there is none, or where waiting for one that is busy is expected to
// be sooner and all that is ready fits its next batch.
func (s *Scheduler[T]) pick(now time.Time, n int) *lane[T] {
	var best, soon *lane[T]
	var bestEnd, soonEnd time.Time
	for _, d := range s.devices {
		if d.out {
			continue
		}
		for _, l := range d.lanes {
			end := now.Add(l.measure.of(n))
			if l.busy {
				end = l.until.Add(l.measure.of(n))
				if l.measure.known(n) && l.until.After(now) && (soon == nil || end.Before(soonEnd)) {
					soon, soonEnd = l, end
				}
				continue
			}
			end = end.Add(time.Duration(d.running) * l.measure.of(n)) // the others have the device too
			if best == nil || end.Before(bestEnd) {
				best, bestEnd = l, end
			}
		}
	}
	if best != nil && soon != nil && soon.device != best.device && best.measure.known(n) && soonEnd.Before(bestEnd) && len(s.ready) <= s.config.Batch {
		return nil
	}
	return best
}

// Close answers what is under way and ends the lanes. Calls that come later are
// refused. It is safe to call twice.
func (s *Scheduler[T]) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
		s.dispatch(time.Now()) // what is held
	}
	for s.calls > 0 {
		s.drained.Wait()
	}
	s.hold.stop()
	for _, d := range s.devices {
		for _, l := range d.lanes {
			close(l.work)
		}
		d.lanes = nil
	}
	s.mu.Unlock()
	s.lanes.Wait()
}

// measure is how long batches of each size have taken lately.
type measure [maxBuckets]struct {
	mean  time.Duration
	count int
}

// maxBuckets are the sizes 1, 2, 4, ... that are told apart.
const maxBuckets = 24

// fewestMeasured is how many batches have to be measured before their mean is
// relied on: the first ones allocate, compile and capture.
const fewestMeasured = 3

func bucket(n int) int { return min(bits.Len(uint(n-1)), maxBuckets-1) }

func (m *measure) add(n int, took time.Duration) {
	of := &m[bucket(n)]
	of.count++
	if of.count <= fewestMeasured {
		of.mean = took
		return
	}
	of.mean += (took - of.mean) / 8
}

func (m *measure) known(n int) bool { return m[bucket(n)].count >= fewestMeasured }

// of is the time that n pictures are expected to take, 0 where that is not known.
func (m *measure) of(n int) time.Duration {
	if !m.known(n) {
		return 0
	}
	return m[bucket(n)].mean
}

// doubt makes the mean less, where a deadline was refused because of it and
// nothing runs: what is never run is never measured again.
func (m *measure) doubt(n int) {
	of := &m[bucket(n)]
	of.mean -= of.mean / 8
}
