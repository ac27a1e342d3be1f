package cuda

import (
	"errors"
	"time"
)

// rateMarks are those of three windows' edges: of the one that has ended, and of
// the one that is under way.
const rateMarks = 3

// Rate implements backend.Lane.
func (s *slot) Rate(images int, next func(runs int, took time.Duration) int) error {
	return s.use(func() error { return s.rate(images, next) })
}

// rate runs the network alone, as batches run it: as a graph where they are
// graphs. The stream reaches a mark between two windows, and has one window more
// than the one that is waited for, so that it is never idle.
func (s *slot) rate(images int, next func(runs int, took time.Duration) int) (err error) {
	b, err := s.bucketFor(images)
	if err != nil {
		return err
	}
	enqueue := func() error { return b.context.Enqueue(s.stream.Handle()) }
	if err := s.do(enqueue); err != nil { // TensorRT wants a run before a capture
		return err
	}
	if s.graphs && !b.plain {
		var graph *Graph
		if graph, err = s.record(b, enqueue); err != nil {
			return err
		}
		if graph != nil {
			defer func() { err = errors.Join(err, graph.Close()) }()
			enqueue = func() error { return s.stream.Replay(graph) }
		}
	}
	clock, err := s.device.newClock(rateMarks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stream.Drain(), clock.Close()) }()
	put := func(runs, mark int) error {
		return s.device.Do(func() error {
			for range runs {
				if err := enqueue(); err != nil {
					return err
				}
			}
			return clock.mark(mark, s.stream)
		})
	}
	if err := errors.Join(put(0, 0), put(1, 1)); err != nil {
		return err
	}
	for from, runs, following := 0, 1, 1; following > 0; {
		to := (from + 1) % rateMarks
		if err := put(following, (to+1)%rateMarks); err != nil {
			return err
		}
		if err := clock.wait(to); err != nil {
			return err
		}
		took, err := clock.between(from, to)
		if err != nil {
			return err
		}
		from, runs, following = to, following, next(runs, took)
	}
	return nil
}
