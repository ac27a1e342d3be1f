package schedule

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Errors of Enter and Wait.
var (
	// ErrQueueFull: as many images wait as Config.Limit allows.
	ErrQueueFull = errors.New("the queue is full")
	// ErrTooLarge: a call's images need more than Config.Bytes or BatchBytes by
	// themselves.
	ErrTooLarge = errors.New("over the memory limit")
	// ErrClosed: Close has been called.
	ErrClosed = errors.New("closed")
)

// Stream runs batches, one at a time. Streams of one device share it.
type Stream[T any] interface {
	// Device names what the stream runs on, such as "cuda:0".
	Device() string
	// Run runs a batch and leaves in each item what it finds. An error is that of
	// each item. The context that interrupted returns ends when nobody waits for
	// the batch any more.
	Run(items []T, interrupted func() context.Context) error
}

// Failure is what an error of Run says about the device.
type Failure int

// The failures.
const (
	// Failed: the device did not do it. Another may.
	Failed Failure = iota
	// Refused: the batch asks for more than a device gives. Part of it may be
	// less; the device is not at fault.
	Refused
	// DeviceLost: the device does nothing any more until it is opened anew.
	DeviceLost
	// DeviceLostForGood: only a new process has it back.
	DeviceLostForGood
)

// Config says how a Scheduler works.
type Config[T any] struct {
	// Batch is the maximum number of images in a batch.
	Batch int
	// BatchBytes is the maximum Size of a batch; 0 means any.
	BatchBytes int64
	// Size is how many of BatchBytes an item takes; nil means none.
	Size func(T) int64
	// Limit is how many images may wait in the queue.
	Limit int
	// Bytes is how much memory the calls that are read or computed may take; 0
	// means any.
	Bytes int64
	// Readers is how many images are read at once; 0 means one per core.
	Readers int
	// MaxDelay is how long images that a stream is free for may wait for others to
	// fill their batch; 0 means not at all.
	MaxDelay time.Duration
	// Nap waits for less than a millisecond, which Go's timers may take for one;
	// nil means that they will do.
	Nap func(time.Duration)
	// Classify says what an error of Run means; nil takes all for Failed.
	Classify func(error) Failure
	// Reopen makes a lost device's streams anew, while none of the old ones runs;
	// nil means that it cannot be done.
	Reopen func(device string) ([]Stream[T], error)
	// Backoff is how long a lost or suspended device is left alone at first. The
	// time doubles with each failed try, up to sixty-four times this.
	Backoff time.Duration
	// Log gets each change of a device, under the lock: it must return at once and
	// not call back. nil means none.
	Log *slog.Logger
}

// Scheduler runs calls in batches on a set of streams.
type Scheduler[T any] struct {
	config     Config[T]
	started    time.Time      // keys are times since then
	goroutines sync.WaitGroup // of streams and of reopening

	mu        sync.Mutex
	devices   []*device[T]
	available int // streams of devices that take batches
	queue     queue[T]
	reading   []*Call[T] // calls whose images are being read
	readers   int        // that they occupy
	room      int        // images that may be admitted beside those that are read, ready or run
	bytes     int64      // of calls that have not given back their memory
	ready     []entry[T] // by key
	exited    []*Call[T] // that are done since they exited
	hold      hold
	wake      *time.Timer // looks at ready again
	closed    bool
	drained   *sync.Cond // tells that calls has become 0
	closing   chan struct{}
	calls     int   // that have not exited
	inside    int   // their images
	lost      error // why no device is left
	stats     Stats
}

// entry is an image that is ready.
type entry[T any] struct {
	call     *Call[T]
	item     T
	size     int64
	key      time.Duration
	attempts int
	failedOn []*device[T] // devices that are not to be tried again
	alone    bool         // it runs in a batch of its own
}

// maxAttempts is how often an image is run: it may be what devices fail by.
const maxAttempts = 3

// stream is a Stream with its goroutine.
type stream[T any] struct {
	Stream[T]
	device      *device[T]
	work        chan struct{}
	busy        bool
	batch       batch[T]
	interrupted func() context.Context // see Run
	until       time.Time              // when the batch is expected to end
}

// batch is what a stream runs.
type batch[T any] struct {
	entries []entry[T]
	items   []T
	live    int // entries that somebody waits for
	cancel  context.CancelFunc
	ctx     context.Context
}

// aheadBatches is how many batches are made ready beside those that run.
const aheadBatches = 2

// New returns a Scheduler of streams, which are its own until Close returns.
func New[T any](streams []Stream[T], c Config[T]) *Scheduler[T] {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Readers == 0 {
		c.Readers = runtime.GOMAXPROCS(0)
	}
	s := &Scheduler[T]{config: c, started: time.Now(), closing: make(chan struct{})}
	s.drained = sync.NewCond(&s.mu)
	s.wake = time.AfterFunc(time.Hour, s.lookAgain)
	s.wake.Stop()
	s.hold.start(c.MaxDelay, c.Nap, &s.goroutines, s.lookAgain)
	s.room = (len(streams)+aheadBatches)*c.Batch + c.Readers
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(streams)
	return s
}

// add starts streams.
func (s *Scheduler[T]) add(streams []Stream[T]) {
	for _, each := range streams {
		d := s.deviceOf(each.Device())
		d.state = working
		started := &stream[T]{Stream: each, device: d, work: make(chan struct{}, 1)}
		started.interrupted = func() context.Context { return s.interrupted(started) }
		d.streams = append(d.streams, started)
		s.available++
		s.goroutines.Go(func() { s.serve(started) })
	}
}

// setKey places a call that has waited since a time among others: by its deadline,
// or by patience where that comes first.
func (s *Scheduler[T]) setKey(c *Call[T], since time.Time) {
	by := since.Add(patience)
	if !c.deadline.IsZero() && c.deadline.Before(by) {
		by = c.deadline
	}
	c.key = by.Sub(s.started)
}

// lookAgain hands out what has waited long enough.
func (s *Scheduler[T]) lookAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch(time.Now())
}

// Close answers what is under way and ends the streams. Calls that come later are
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
	s.wake.Stop()
	for _, d := range s.devices {
		if d.resume != nil {
			d.resume.Stop()
		}
		for _, l := range d.streams {
			close(l.work)
		}
		d.streams = nil
	}
	s.mu.Unlock()
	s.goroutines.Wait()
}
