package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"
)

// Throughput is what the network alone does on each stream at once, without a
// pause between its runs. On a GPU it is timed by CUDA events on these streams
// around TensorRT's enqueueV3, or the graph of it; on the CPU a run takes what
// ONNX Runtime takes.
type Throughput struct {
	// ImagesPerSecond is the median of Windows, in each of which every stream ran. A
	// quarter of them was slower than Low, another faster than High.
	ImagesPerSecond float64 `json:"images_per_second"`
	Low             float64 `json:"low"`
	High            float64 `json:"high"`
	Windows         int     `json:"windows"`
	// Steady says that it had warmed up before: three windows in a row agreed
	// within 3 %, on each stream.
	Steady bool `json:"steady"`
}

const (
	// rateWindow is how long a window takes, where a run does not take longer.
	rateWindow = 10 * time.Millisecond
	// rateWithin is how far two windows in a row may differ once the network is
	// warm, rateAgree how often in a row they have to agree.
	rateWithin, rateAgree = 0.03, 2
	// A network has at most so many windows to warm up in, and so many times what it
	// is measured for.
	warmWindows, warmTimes = 50, 4
	// leastWindows is how many are measured at least.
	leastWindows = 5
	// mostRuns bounds those of a window.
	mostRuns = 1024
)

// rating takes in how long windows of runs took on each of a few streams, says
// how many runs the next has, and when there are enough. All streams warm up,
// then all are measured, and each goes on until the last has enough.
type rating struct {
	ctx      context.Context
	images   int
	duration time.Duration

	mu        sync.Mutex
	streams   []ratedStream
	measuring bool
	done      bool
}

type ratedStream struct {
	last            float64       // runs a second of the window before
	agreed          int           // windows in a row
	warm            int           // windows, while it warmed up
	took            time.Duration // warming up, then measured
	settled, steady bool
	skip            int // windows that began before all streams ran
	windows         []ratedWindow
}

type ratedWindow struct {
	runs int
	took time.Duration
}

func newRating(ctx context.Context, streams, images int, duration time.Duration) *rating {
	return &rating{ctx: ctx, images: images, duration: duration, streams: make([]ratedStream, streams)}
}

// next takes in a window of a stream, and returns the runs of another; 0 when no
// more are wanted. It is a backend.Lane's.
func (r *rating) next(stream, runs int, took time.Duration) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.ctx.Err() != nil {
		return 0
	}
	took = max(took, 1)
	s := &r.streams[stream]
	if !r.measuring {
		return r.warmUp(s, runs, took)
	}
	if s.skip > 0 {
		s.skip--
		return runs
	}
	s.windows = append(s.windows, ratedWindow{runs, took})
	s.took += took
	for i := range r.streams {
		if s := &r.streams[i]; len(s.windows) < leastWindows || s.took < r.duration {
			return runs
		}
	}
	r.done = true
	return 0
}

// warmUp takes in a window of a stream that warms up, or waits for others that
// do.
func (r *rating) warmUp(s *ratedStream, runs int, took time.Duration) int {
	wanted := int(math.Round(float64(runs) * float64(rateWindow) / float64(took)))
	wanted = min(max(wanted, 1), 8*runs, mostRuns)
	if wanted >= 2*runs { // too short to tell
		return wanted
	}
	rate := float64(runs) / took.Seconds()
	if s.warm > 0 && math.Abs(rate-s.last) <= rateWithin*s.last {
		s.agreed++
	} else {
		s.agreed = 0
	}
	s.last = rate
	s.warm++
	s.took += took
	s.steady = s.steady || s.agreed >= rateAgree
	s.settled = s.steady || s.warm >= warmWindows || s.warm > 1 && s.took > warmTimes*r.duration
	for _, other := range r.streams {
		if !other.settled {
			return wanted
		}
	}
	r.measuring = true
	for i := range r.streams {
		r.streams[i].took = 0
		if len(r.streams) > 1 {
			r.streams[i].skip = 1
		}
	}
	return wanted
}

// stop ends it for all streams.
func (r *rating) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
}

// result takes each window of the stream that had the fewest for what all streams
// did in it.
func (r *rating) result() Throughput {
	t := Throughput{Steady: true}
	fewest, shortest := &r.streams[0], r.streams[0].took
	for i := range r.streams {
		s := &r.streams[i]
		if len(s.windows) < len(fewest.windows) {
			fewest = s
		}
		shortest = min(shortest, s.took)
		t.Steady = t.Steady && s.steady
	}
	var rates []float64
	var from time.Duration
	for _, w := range fewest.windows {
		to := from + w.took
		if to > shortest && len(rates) > 0 {
			break // another stream was not measured for as long
		}
		runs := 0.0
		for _, s := range r.streams {
			runs += s.runsUntil(to) - s.runsUntil(from)
		}
		rates = append(rates, runs*float64(r.images)/w.took.Seconds())
		from = to
	}
	slices.Sort(rates)
	n := len(rates)
	t.Windows = n
	t.Low, t.ImagesPerSecond, t.High = rates[n/4], (rates[(n-1)/2]+rates[n/2])/2, rates[n-1-n/4]
	return t
}

// runsUntil returns how many runs the stream had done at a time since it began to
// be measured, parts of runs too.
func (s *ratedStream) runsUntil(at time.Duration) float64 {
	runs := 0.0
	for _, w := range s.windows {
		runs += min(float64(at)/float64(w.took), 1) * float64(w.runs)
		if at -= w.took; at <= 0 {
			break
		}
	}
	return runs
}

// rate runs the network alone on each stream at once, and measures for about as
// long as d.
func (c *core) rate(ctx context.Context, images int, d time.Duration) (Throughput, error) {
	c.rating.Lock()
	defer c.rating.Unlock()
	lanes, err := c.lanes()
	if err != nil {
		return Throughput{}, err
	}
	lanes = lanes[:min(c.backend.Slots(), len(lanes))]
	r := newRating(ctx, len(lanes), images, d)
	errs := make([]error, len(lanes))
	var all sync.WaitGroup
	for i, l := range lanes {
		all.Go(func() {
			errs[i] = l.Rate(images, func(runs int, took time.Duration) int { return r.next(i, runs, took) })
			if errs[i] != nil {
				r.stop()
			}
		})
	}
	all.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return Throughput{}, err
	}
	return r.result(), nil
}
