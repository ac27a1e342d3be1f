package cuda

import "errors"

// burst is how many runs of the network are put in between two looks at the
// clock: enough to hide the look, few enough to end in time.
const burst = 8

// rate runs the network alone until stop says so, and returns how often.
func (s *slot) rate(pictures int, stop func() bool) (runs int, err error) {
	b, err := s.bucketFor(pictures)
	if err != nil {
		return 0, err
	}
	for !stop() {
		if err := s.do(func() (err error) {
			for range burst {
				err = errors.Join(err, b.context.Enqueue(s.stream.Handle()))
			}
			return err
		}); err != nil {
			return runs, err
		}
		runs += burst
	}
	return runs, nil
}
