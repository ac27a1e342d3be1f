// Package bench puts a Detector under load and measures how many pictures a
// second it takes and how long each call waits. It opens no model and reads no
// picture.
package bench

import (
	"context"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// Detector is what is measured, an *engine.Detector.
type Detector interface {
	DetectBatch(ctx context.Context, pictures []imaging.Source) ([]engine.Result, error)
}

// Load is the work that a Detector is given.
type Load struct {
	// Pictures are taken in turn, Batch of them at a time.
	Pictures []imaging.Source
	Batch    int
	// Concurrency is how many callers there are in a closed loop, each of which
	// waits for its answer before it hands in the next batch. With a Rate it does
	// nothing.
	Concurrency int
	// Rate is how many pictures a second arrive in an open loop, at random
	// (Poisson) and whether or not the Detector keeps up; 0 is a closed loop. A
	// call's latency begins when it arrives.
	Rate float64
	// Running is how many calls the Detector computes at once. When the time is
	// up, so many of the oldest calls are waited for; the others wait in the queue
	// and are canceled.
	Running int
	// Warmup is not measured, Duration is.
	Warmup, Duration time.Duration
}

// MaxWaiting bounds the calls under way in an open loop, each of which is a
// goroutine. One that arrives beyond it is counted as Refused.
const MaxWaiting = 4096

// Result is what was measured. Of the calls that arrived while it was measured,
// each is one of Calls, Refused, Canceled and Missed.
type Result struct {
	// Calls were answered; PicturesPerSecond are those that were answered while it
	// was measured, whenever they arrived.
	Calls             int
	PicturesPerSecond float64
	// Filled is how many pictures the Detector computed at once, in the mean.
	Filled float64
	// Refused are calls that found MaxWaiting others before them.
	Refused int
	// Canceled are calls that still waited when the time was up. Their latency is
	// not among the others': it would have been longer.
	Canceled int
	// Missed are arrivals of an open loop that were due before the end, and that
	// this process was too slow to make.
	Missed int
	// Latency is that of Calls, sorted.
	Latency Latency
	// Stages are the mean times that a call spent in each.
	Stages engine.Timing
}

// Latency is how long each call took, shortest first.
type Latency []time.Duration

// At returns the latency that a part q, 0 to 1, of the calls did not exceed: 0.5
// is the median. It is 0 where there are none.
func (l Latency) At(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	// nearest rank; the margin is for 0.999 * 1000, which is a little more than 999
	rank := int(math.Ceil(q*float64(len(l)) - 1e-9))
	return l[min(max(rank, 1), len(l))-1]
}

// Run puts the load on the Detector and returns the first error of any batch, or
// ctx's. It ends when the time is up and the calls that are computed then are
// answered; when ctx ends, all calls are canceled.
func Run(ctx context.Context, d Detector, load Load) (*Result, error) {
	if len(load.Pictures) == 0 || load.Batch < 1 || (load.Concurrency < 1 && load.Rate <= 0) {
		return nil, errors.New("a load takes pictures, a batch, and a concurrency or a rate")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := newRun(d, load, time.Now(), cancel)
	end := time.AfterFunc(time.Until(r.until), r.end)
	defer end.Stop()
	if load.Rate > 0 {
		r.openLoop(ctx)
	} else {
		r.closedLoop(ctx)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return r.result(), nil
}

// run is one measurement under way.
type run struct {
	detector    Detector
	load        Load
	fail        context.CancelCauseFunc
	from, until time.Time // what is measured

	mu       sync.Mutex
	underWay []*call // oldest first
	ended    bool
	next     int // picture
	latency  Latency
	stages   engine.Timing // sums
	batches  float64       // that computed them
	answered int           // calls, while it was measured
	refused  int
	canceled int
	missed   int
}

// call is one call of the Detector's.
type call struct {
	arrived  time.Time
	cancel   context.CancelFunc
	canceled bool // because the time was up
}

func newRun(d Detector, load Load, start time.Time, fail context.CancelCauseFunc) *run {
	from := start.Add(load.Warmup)
	return &run{detector: d, load: load, fail: fail, from: from, until: from.Add(load.Duration)}
}

func (r *run) closedLoop(ctx context.Context) {
	var callers sync.WaitGroup
	for range r.load.Concurrency {
		callers.Go(func() {
			for now := time.Now(); now.Before(r.until) && ctx.Err() == nil; now = time.Now() {
				r.batch(ctx, now)
			}
		})
	}
	callers.Wait()
}

func (r *run) openLoop(ctx context.Context) {
	var batches sync.WaitGroup
	defer batches.Wait()
	waiting := make(chan struct{}, MaxWaiting)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for at := range r.arrivals() {
		if wait := time.Until(at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		if !time.Now().Before(r.until) {
			r.count(&r.missed, at)
			continue
		}
		select {
		case waiting <- struct{}{}:
			batches.Go(func() {
				r.batch(ctx, at)
				<-waiting
			})
		default:
			r.count(&r.refused, at)
		}
	}
}

// arrivals are the times at which calls arrive in an open loop, the same every
// time.
func (r *run) arrivals() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		rng := rand.New(rand.NewPCG(1, 1))
		mean := float64(r.load.Batch) / r.load.Rate * float64(time.Second)
		at := r.from.Add(-r.load.Warmup)
		for {
			at = at.Add(time.Duration(rng.ExpFloat64() * mean))
			if !at.Before(r.until) || !yield(at) {
				return
			}
		}
	}
}

// batch runs the next batch, which arrived at a time.
func (r *run) batch(ctx context.Context, arrived time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &call{arrived: arrived, cancel: cancel}
	pictures, ok := r.begin(c)
	if !ok {
		return
	}
	results, err := r.detector.DetectBatch(ctx, pictures)
	r.finish(c, results, err)
}

// begin takes the next pictures for a call; there are none once the time is up.
func (r *run) begin(c *call) ([]imaging.Source, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		r.drop(c)
		return nil, false
	}
	pictures := make([]imaging.Source, r.load.Batch)
	for i := range pictures {
		pictures[i] = r.load.Pictures[r.next%len(r.load.Pictures)]
		r.next++
	}
	r.underWay = append(r.underWay, c)
	return pictures, true
}

// end is called when the time is up: what waits in the queue is canceled.
func (r *run) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, c := range r.underWay[min(r.load.Running, len(r.underWay)):] {
		c.canceled = true
		c.cancel()
	}
}

// drop counts a call that the end came before.
func (r *run) drop(c *call) {
	if !c.arrived.Before(r.from) {
		r.canceled++
	}
}

// finish takes in how a call ended.
func (r *run) finish(c *call, results []engine.Result, err error) {
	answered := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.underWay, c)
	r.underWay = slices.Delete(r.underWay, i, i+1)
	switch {
	case err == nil:
		r.answer(c.arrived, answered, results)
	case c.canceled && errors.Is(err, context.Canceled):
		r.drop(c)
	default:
		r.fail(err)
	}
}

// answer takes in a call that arrived and was answered.
func (r *run) answer(arrived, answered time.Time, results []engine.Result) {
	if !answered.Before(r.from) && answered.Before(r.until) {
		r.answered++
	}
	if arrived.Before(r.from) {
		return
	}
	r.latency = append(r.latency, answered.Sub(arrived))
	for _, result := range results {
		r.batches += 1 / float64(max(result.Timing.Pictures, 1)) // its share of one
	}
	took := stages(&results[0].Timing)
	for i, sum := range stages(&r.stages) {
		*sum += *took[i]
	}
}

func stages(t *engine.Timing) []*time.Duration {
	return []*time.Duration{&t.Read, &t.Queue, &t.CopyIn, &t.Letterbox, &t.Network, &t.Decode, &t.CopyOut, &t.NMS}
}

// count counts what arrived while it was measured.
func (r *run) count(calls *int, arrived time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !arrived.Before(r.from) {
		*calls++
	}
}

func (r *run) result() *Result {
	slices.Sort(r.latency)
	result := &Result{
		Calls: len(r.latency), Refused: r.refused, Canceled: r.canceled, Missed: r.missed,
		Latency: r.latency, Stages: r.stages,
		PicturesPerSecond: float64(r.answered*r.load.Batch) / r.load.Duration.Seconds(),
	}
	if r.batches > 0 {
		result.Filled = float64(result.Calls*r.load.Batch) / r.batches
	}
	result.Stages.Pictures = r.load.Batch
	for _, mean := range stages(&result.Stages) {
		*mean /= time.Duration(max(result.Calls, 1))
	}
	return result
}
