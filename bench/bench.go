// Package bench puts a Detector under load and measures how many pictures a
// second it takes and how long each call waits. It opens no model and reads no
// picture.
package bench

import (
	"context"
	"errors"
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
	// Warmup is not measured, Duration is.
	Warmup, Duration time.Duration
}

// MaxWaiting bounds the calls that wait in an open loop. One that arrives
// beyond it is counted as Refused.
const MaxWaiting = 4096

// Result is what was measured.
type Result struct {
	// Calls arrived while it was measured; PicturesPerSecond are those that
	// were answered then.
	Calls             int
	PicturesPerSecond float64
	// Filled is how many pictures the Detector computed at once, in the mean.
	Filled float64
	// Refused are calls that found MaxWaiting others before them.
	Refused int
	// Latency is that of calls, sorted.
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
// ctx's.
func Run(ctx context.Context, d Detector, load Load) (*Result, error) {
	if len(load.Pictures) == 0 || load.Batch < 1 || (load.Concurrency < 1 && load.Rate <= 0) {
		return nil, errors.New("a load takes pictures, a batch, and a concurrency or a rate")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := time.Now()
	r := &run{detector: d, load: load, fail: cancel, from: start.Add(load.Warmup), until: start.Add(load.Warmup + load.Duration)}
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
	next     int // picture
	latency  Latency
	stages   engine.Timing // sums
	batches  float64       // that computed them
	answered int           // calls, while it was measured
	refused  int
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
	rng := rand.New(rand.NewPCG(1, 1)) // the same arrivals every time
	mean := float64(r.load.Batch) / r.load.Rate * float64(time.Second)
	timer := time.NewTimer(0)
	defer timer.Stop()
	arrival := r.from.Add(-r.load.Warmup)
	for {
		arrival = arrival.Add(time.Duration(rng.ExpFloat64() * mean))
		if !arrival.Before(r.until) {
			return
		}
		if wait := time.Until(arrival); wait > 0 {
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
		at := arrival
		select {
		case waiting <- struct{}{}:
			batches.Go(func() {
				r.batch(ctx, at)
				<-waiting
			})
		default:
			r.refuse(at)
		}
	}
}

// batch runs the next batch, which arrived at a time.
func (r *run) batch(ctx context.Context, arrived time.Time) {
	pictures := make([]imaging.Source, r.load.Batch)
	r.mu.Lock()
	for i := range pictures {
		pictures[i] = r.load.Pictures[r.next%len(r.load.Pictures)]
		r.next++
	}
	r.mu.Unlock()
	results, err := r.detector.DetectBatch(ctx, pictures)
	if err != nil {
		r.fail(err)
		return
	}
	r.count(arrived, time.Now(), results)
}

// count takes in a call that arrived and was answered.
func (r *run) count(arrived, answered time.Time, results []engine.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
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

func (r *run) refuse(arrived time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !arrived.Before(r.from) {
		r.refused++
	}
}

func (r *run) result() *Result {
	slices.Sort(r.latency)
	result := &Result{
		Calls: len(r.latency), Refused: r.refused, Latency: r.latency, Stages: r.stages,
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
