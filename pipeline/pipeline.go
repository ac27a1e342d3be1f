package pipeline

import (
	"context"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// Detector is what the pipeline needs of an *engine.Detector.
type Detector interface {
	DetectBatch(ctx context.Context, pictures []imaging.Source) ([]engine.Result, error)
	MaxBatch() int
	Slots() int
}

// Item is one picture on its way through. Err is set where it could not be
// read or finished; then Picture may be nil and Result is empty.
type Item struct {
	Index  int    // position among all pictures, from 0
	Source string // path as the user gave it
	Name   string // the file's name, its stem made unique among all pictures
	// Picture is let go once Finish has seen it; Width and Height stay.
	Picture       *imaging.Picture
	Width, Height int
	Result        engine.Result
	Err           error
	// Read is how long reading and decoding the file took.
	Read time.Duration

	read, done chan struct{}
	// admitted is closed when the pixels have room, before is the item's before;
	// short is closed where they have to wait for it.
	before, admitted, short chan struct{}
	bytes                   int64
}

// Options say how the pipeline runs.
type Options struct {
	// Batch is the number of pictures run at once; 0 means 1.
	Batch int
	// Workers that read pictures, and as many that finish them; 0 means one
	// per core.
	Workers int
	// Limits on pictures.
	Limits imaging.Limits
	// Memory is how many bytes the pictures take that are read and not finished; 0
	// means engine.HostMemory. One that takes more goes by itself.
	Memory int64
	// Finish, when set, is called for each item by one of several workers,
	// in no order, before Emit sees it: the place for work that takes long. An
	// error it returns becomes the item's.
	Finish func(*Item) error
	// Emit is called for each item in order, by one goroutine. An error ends
	// the run and is returned.
	Emit func(*Item) error
}

// Run takes every source through the detector and returns the first error of
// Emit, of the detector, or of ctx. Pictures that fail are items with Err set,
// not errors of the run.
func Run(ctx context.Context, d Detector, sources iter.Seq2[string, error], o Options) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	batch := max(o.Batch, 1)
	if most := d.MaxBatch(); most > 0 {
		batch = min(batch, most)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// those that compute and one being prepared behind them
	underWay := d.Slots() + 1
	memory := o.Memory
	if memory <= 0 {
		memory = max(engine.HostMemory(), 0)
	}
	if memory == 0 {
		memory = math.MaxInt64
	}
	r := &run{memory: semaphore.NewWeighted(memory), limit: memory, ctx: ctx, cancel: cancel, detector: d, options: o, batch: batch, underWay: underWay}

	// the capacities bound the pictures held at once: those being read or
	// waiting, those in batches, those being finished
	window := underWay*batch + 2*workers
	toRead := make(chan *Item, window)
	toDetect := make(chan *Item, window)
	inOrder := make(chan *Item, window)
	toFinish := make(chan *Item, window)

	// the list may come from a pipe that never ends, so nothing waits for it
	go r.list(sources, toRead, toDetect, inOrder)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { r.readAll(toRead) })
		all.Go(func() { r.finishAll(toFinish) })
	}
	all.Go(func() { r.detectAll(toDetect, toFinish) })
	r.emitAll(inOrder)
	cancel(nil)
	all.Wait()
	return r.err()
}

type run struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	detector Detector
	options  Options
	batch    int
	underWay int // batches with the detector at once, at most
	failed   atomic.Pointer[error]
	memory   *semaphore.Weighted
	limit    int64 // of memory
}

// fail ends the run with err, if it is the first.
func (r *run) fail(err error) {
	r.failed.CompareAndSwap(nil, &err)
	r.cancel(err)
}

func (r *run) err() error {
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// send hands an item on unless the run has ended.
func (r *run) send(to chan<- *Item, item *Item) bool {
	select {
	case to <- item:
		return true
	case <-r.ctx.Done():
		return false
	}
}

func (r *run) receive(from <-chan *Item) (*Item, bool) {
	select {
	case item, ok := <-from:
		return item, ok
	case <-r.ctx.Done():
		return nil, false
	}
}

// await waits for one of an item's marks unless the run ends first.
func (r *run) await(mark <-chan struct{}) bool {
	select {
	case <-mark:
		return true
	case <-r.ctx.Done():
		return false
	}
}

func (r *run) list(sources iter.Seq2[string, error], toRead, toDetect, inOrder chan<- *Item) {
	defer close(toRead)
	defer close(toDetect)
	defer close(inOrder)
	defer r.recovered("the list of pictures")
	index, names := 0, stems{}
	before := make(chan struct{})
	close(before)
	for path, err := range sources {
		item := &Item{Index: index, Source: path, Name: names.unique(filepath.Base(path)), Err: err,
			read: make(chan struct{}), done: make(chan struct{}), before: before, admitted: make(chan struct{}), short: make(chan struct{})}
		before = item.admitted
		index++
		if !r.send(inOrder, item) || !r.send(toRead, item) || !r.send(toDetect, item) {
			return
		}
	}
}

// recovered is deferred; a panic of the caller's code ends the run, not the
// process.
func (r *run) recovered(in string) {
	if v := recover(); v != nil {
		r.fail(&engine.PanicError{In: in, Value: v, Stack: debug.Stack()})
	}
}

func (r *run) readAll(toRead <-chan *Item) {
	for {
		item, ok := r.receive(toRead)
		if !ok {
			return
		}
		if item.Err == nil {
			item.Err = r.readOne(item)
		}
		if !r.await(item.before) {
			return
		}
		if item.bytes == 0 {
			close(item.admitted)
		}
		close(item.read)
	}
}

// readOne reads a picture once there is room for its pixels. Pictures get room in
// their order, or one might wait for what is behind it.
func (r *run) readOne(item *Item) error {
	start := time.Now()
	file, err := imaging.ReadFile(item.Source, r.options.Limits)
	if err != nil {
		return err
	}
	info, err := imaging.Inspect(file)
	if err != nil {
		return fmt.Errorf("%s: %w%s", item.Source, err, ifList(item.Source, err))
	}
	took := time.Since(start)
	if !r.admit(item, min(info.Bytes, r.limit)) {
		return context.Cause(r.ctx)
	}
	start = time.Now()
	if item.Picture, err = imaging.Load(file, nil); err != nil {
		return fmt.Errorf("%s: %w", item.Source, err)
	}
	item.Read = took + time.Since(start)
	item.Width, item.Height = item.Picture.Width, item.Picture.Height
	return nil
}

// admit waits until there is room for an item's pixels.
func (r *run) admit(item *Item, bytes int64) bool {
	if !r.await(item.before) {
		return false
	}
	if !r.memory.TryAcquire(bytes) {
		close(item.short)
		if r.memory.Acquire(r.ctx, bytes) != nil {
			return false
		}
	}
	item.bytes = bytes
	close(item.admitted)
	return true
}

// detectAll forms batches of the pictures in order and hands them to the
// detector, several at once.
func (r *run) detectAll(toDetect <-chan *Item, toFinish chan<- *Item) {
	var batches sync.WaitGroup
	defer func() { batches.Wait(); close(toFinish) }()
	slots := make(chan struct{}, r.underWay)
	start := func(items []*Item) bool {
		if len(items) == 0 {
			return true
		}
		select {
		case slots <- struct{}{}:
		case <-r.ctx.Done():
			return false
		}
		batches.Go(func() {
			defer func() { <-slots }()
			r.detect(items, toFinish)
		})
		return true
	}
	var items []*Item
	for {
		item, ok := r.next(toDetect, func() bool { waiting := items; items = nil; return start(waiting) })
		if !ok {
			start(items)
			return
		}
		select {
		case <-item.read:
		case <-item.short: // those before it have the room
			waiting := items
			if items = nil; !start(waiting) {
				return
			}
		case <-r.ctx.Done():
			return
		}
		if !r.await(item.read) {
			return
		}
		if item.Err != nil {
			if !r.send(toFinish, item) {
				return
			}
			continue
		}
		if items = append(items, item); len(items) == r.batch {
			if !start(items) {
				return
			}
			items = nil
		}
	}
}

// next returns the next item. When none is there yet, what has gathered is
// run first: a list that comes in slowly does not wait for a full batch.
func (r *run) next(toDetect <-chan *Item, flush func() bool) (*Item, bool) {
	select {
	case item, ok := <-toDetect:
		return item, ok
	default:
	}
	if !flush() {
		return nil, false
	}
	return r.receive(toDetect)
}

func (r *run) detect(items []*Item, toFinish chan<- *Item) {
	pictures := make([]imaging.Source, len(items))
	for i, item := range items {
		pictures[i] = item.Picture
	}
	results, err := r.detector.DetectBatch(r.ctx, pictures)
	if err != nil {
		r.fail(err)
		return
	}
	for i, item := range items {
		item.Result = results[i]
		if !r.send(toFinish, item) {
			return
		}
	}
}

func (r *run) finishAll(toFinish <-chan *Item) {
	for {
		item, ok := r.receive(toFinish)
		if !ok {
			return
		}
		if item.Err == nil && r.options.Finish != nil {
			if item.Err = r.finish(item); item.Err != nil {
				item.Result = engine.Result{}
			}
		}
		item.Picture = nil // the pixels are not held while the order is restored
		r.memory.Release(item.bytes)
		close(item.done)
	}
}

// finish calls Finish; a panic is the item's error.
func (r *run) finish(item *Item) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &engine.PanicError{In: "Finish", Value: v, Stack: debug.Stack()}
		}
	}()
	return r.options.Finish(item)
}

func (r *run) emitAll(inOrder <-chan *Item) {
	for {
		item, ok := r.receive(inOrder)
		if !ok {
			break
		}
		if !r.await(item.done) {
			break
		}
		if err := r.options.Emit(item); err != nil {
			r.fail(err)
			return
		}
	}
	if err := context.Cause(r.ctx); err != nil {
		r.fail(err)
	}
}
