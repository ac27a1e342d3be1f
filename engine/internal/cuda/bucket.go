package cuda

import (
	"errors"

	"github.com/trtdet/trtdet/trt"
)

// bucket is what runs batches of one size: a context of its own, because
// TensorRT wants that none is changed from which a graph was captured, and the
// graph.
type bucket struct {
	size    int
	context *trt.Context
	graph   *Graph // nil until a batch of this size has run
	plain   bool   // it cannot be captured
	// activations of its own, where those that buckets share do not do
	activations *Buffer
}

// newBucket makes the context and sets its shape.
func (s *slot) newBucket(size int) (*bucket, error) {
	b := &bucket{size: size}
	s.device.making.Lock()
	err := s.device.Do(func() (err error) {
		if b.context, err = s.engine.NewContext(s.shape.profile, s.stream.Handle()); err != nil {
			return err
		}
		return b.context.SetShape(s.shape.input.Name, s.inputDims(size))
	})
	if err == nil {
		err = s.giveMemory(b)
	}
	s.device.making.Unlock()
	if err != nil {
		return nil, errors.Join(err, b.close(s.device))
	}
	s.buckets[size] = b
	return b, nil
}

// giveMemory gives a bucket's context memory for its activations. Buckets, of which
// one at a time runs, share what the largest needs. That is what the profile needs,
// or less where batches are smaller than the profile's.
func (s *slot) giveMemory(b *bucket) error {
	need := s.engine.MemorySize(s.shape.profile)
	if s.shape.largest < s.shape.taken {
		if err := s.device.Do(func() (err error) {
			need, err = b.context.MemorySize()
			return err
		}); err != nil {
			return err
		}
	}
	if need == 0 {
		return nil
	}
	memory := &s.activations
	if s.activations != nil && s.activations.Size() < need {
		memory = &b.activations
	}
	if *memory == nil {
		made, err := s.device.Alloc(need)
		if err != nil {
			return err
		}
		*memory = made
	}
	return s.device.Do(func() error { return b.context.SetMemory((*memory).Address(), (*memory).Size()) })
}

// bind tells the bucket's context where the tensors lie.
func (s *slot) bind(b *bucket) error {
	return s.device.Do(func() error {
		err := b.context.SetAddress(s.input.name, s.input.memory.Address())
		for _, o := range s.outputs {
			err = errors.Join(err, b.context.SetAddress(o.name, o.memory.Address()))
		}
		return err
	})
}

// bucketFor returns what runs a number of pictures.
func (s *slot) bucketFor(pictures int) (*bucket, error) {
	size := s.shape.bucket(pictures)
	if b := s.buckets[size]; b != nil {
		return b, nil
	}
	b, err := s.newBucket(size)
	if err != nil {
		return nil, err
	}
	if err := s.bind(b); err != nil {
		delete(s.buckets, size)
		return nil, errors.Join(err, b.close(s.device))
	}
	return b, nil
}

// capture records a bucket that has just run, as TensorRT wants before a
// capture. One that cannot be recorded runs call by call, with a warning.
func (s *slot) capture(b *bucket) error {
	if !s.graphs || b.graph != nil || b.plain {
		return nil
	}
	var err error
	if b.graph, err = s.record(b, func() error { return s.compute(b) }); isLost(err) {
		return err
	}
	if b.graph == nil {
		reason := "TensorRT says that it cannot be captured"
		if err != nil {
			reason = err.Error()
		}
		b.plain = true
		s.log.Warn("batches run without a CUDA graph", "device", s.device.String(), "batch", b.size, "reason", reason)
	}
	return nil
}

// record makes a graph of what add does with a bucket's context; nil where
// TensorRT says that it cannot be captured.
func (s *slot) record(b *bucket, add func() error) (graph *Graph, err error) {
	s.device.making.Lock()
	defer s.device.making.Unlock()
	err = s.device.Do(func() (err error) {
		if b.context.Capturable(s.stream.Handle()) {
			graph, err = s.stream.Capture(add)
		}
		return err
	})
	return graph, err
}

// dropGraph frees the graph.
func (b *bucket) dropGraph() error {
	if b.graph == nil {
		return nil
	}
	graph := b.graph
	b.graph = nil
	return graph.Close()
}

// close frees all of it.
func (b *bucket) close(d *Device) error {
	err := b.dropGraph()
	if b.context != nil {
		err = errors.Join(err, d.Do(b.context.Close))
	}
	if b.activations != nil {
		err = errors.Join(err, b.activations.Close())
	}
	return err
}
