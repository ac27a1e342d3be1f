package cuda

import "errors"

// burst is how many runs of the network are put in between two looks at the
// clock: enough to hide the look, few enough to end in time.
const burst = 8

// Rate implements backend.Lane.
func (s *slot) Rate(pictures int, begin func(), stop func() bool) (runs int, err error) {
	err = s.use(func() (err error) {
		runs, err = s.rate(pictures, begin, stop)
		return err
	})
	return runs, err
}

// rate runs the network alone until stop says so, and returns how often. It
// goes to the GPU as batches do, as a graph where they are graphs.
func (s *slot) rate(pictures int, begin func(), stop func() bool) (runs int, err error) {
	b, err := s.bucketFor(pictures)
	if err != nil {
		return 0, err
	}
	enqueue := func() error { return b.context.Enqueue(s.stream.Handle()) }
	if err := s.do(enqueue); err != nil { // TensorRT wants a run before a capture
		return 0, err
	}
	if s.graphs && !b.plain {
		var graph *Graph
		if graph, err = s.record(b, enqueue); err != nil {
			return 0, err
		}
		if graph != nil {
			defer func() { err = errors.Join(err, graph.Close()) }()
			enqueue = func() error { return s.stream.Replay(graph) }
		}
	}
	begin()
	for {
		if err := s.do(func() (err error) {
			for range burst {
				err = errors.Join(err, enqueue())
			}
			return err
		}); err != nil {
			return runs, err
		}
		if runs += burst; stop() {
			return runs, nil
		}
	}
}
