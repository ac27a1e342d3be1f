package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"unsafe"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/kernels"
	"github.com/trtdet/trtdet/trt"
)

// slot is all that one batch needs while it is under way.
type slot struct {
	mu      sync.Mutex        // see use
	closed  bool              // so that nobody uses what is freed
	lost    func(error) error // says what an error of a lost GPU means, see lossOf
	device  *Device
	module  *Module
	engine  *trt.Engine
	stream  *Stream
	decoder *decode.Decoder
	shape   batches
	width   int
	height  int
	pre     decode.Preprocess
	log     *slog.Logger
	clock   *clock          // nil where stages are not timed
	graphs  bool            // whether batches are to be captured
	buckets map[int]*bucket // by size; made when the first batch of that size comes

	activations *Buffer // every bucket's, of which one at a time runs; nil where the network has none
	input       tensor
	outputs     []tensor
	views       *Buffer
	viewCount   int
	positions   int    // of the largest view
	header      staged // see headerOf
	candidates  staged // capacity for each image
	counts      []int  // of each image's candidates
	room        room
	limits      roomLimits
}

// tensor is an input or output of the network in device memory.
type tensor struct {
	name   string
	shape  []int // at the largest batch
	half   bool  // float16, not float32
	memory *Buffer
}

// capacity is how many candidates of each image are copied out with every batch.
// Those of an image that has more are fetched by themselves, see decodeAgain.
const capacity = 1024

func newSlot(device *Device, module *Module, engine *trt.Engine, shape batches, decoder *decode.Decoder, c Config, lost func(error) error) (*slot, error) {
	s := &slot{
		device: device, module: module, engine: engine, decoder: decoder, shape: shape, height: c.Height, width: c.Width, pre: c.Preprocess,
		log: c.Log, graphs: !c.NoGraphs, lost: lost, buckets: map[int]*bucket{},
	}
	s.room.free = s.freeIdle
	if err := s.prepare(c.StageTimes); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes all that does not depend on the pictures.
func (s *slot) prepare(stageTimes bool) error {
	var err error
	if s.stream, err = s.device.NewStream(); err != nil {
		return err
	}
	if stageTimes {
		if s.clock, err = s.device.newClock(stages); err != nil {
			return err
		}
	}
	largest, err := s.newBucket(s.shape.largest)
	if err != nil {
		return err
	}
	if err := s.allocateTensors(largest); err != nil {
		return err
	}
	if err := s.bind(largest); err != nil {
		return err
	}
	if err := s.placeViews(); err != nil {
		return err
	}
	if err := s.header.grow(s.device, newHeaderParts(s.shape.largest).size); err != nil {
		return err
	}
	s.counts = make([]int, s.shape.largest)
	return s.candidates.grow(s.device, s.shape.largest*capacity*kernels.CandidateSize)
}

// inputDims is the input's shape for a number of pictures.
func (s *slot) inputDims(pictures int) []int { return []int{pictures, 3, s.height, s.width} }

// allocateTensors gives the network's input and outputs their memory.
func (s *slot) allocateTensors(largest *bucket) error {
	var outputs []trt.TensorInfo
	err := s.device.Do(func() (err error) {
		outputs, err = largest.context.Outputs()
		return err
	})
	if err != nil {
		return err
	}
	if s.input, err = s.allocate(s.shape.input.Name, s.shape.input.DType, s.inputDims(s.shape.largest)); err != nil {
		return err
	}
	for _, o := range outputs {
		t, err := s.allocate(o.Name, o.DType, o.Shape)
		if err != nil {
			return err
		}
		s.outputs = append(s.outputs, t)
	}
	return nil
}

func (s *slot) allocate(name, dtype string, shape []int) (tensor, error) {
	t := tensor{name: name, shape: shape, half: dtype == "float16"}
	if dtype != "float32" && !t.half {
		return t, fmt.Errorf("tensor %s is %s, want float32 or float16: build the engine with float inputs and outputs", name, dtype)
	}
	var err error
	t.memory, err = s.device.Alloc(shape[0] * t.rowBytes())
	return t, err
}

// rowBytes is the size of one picture's part.
func (t tensor) rowBytes() int {
	n := 4
	if t.half {
		n = 2
	}
	for _, side := range t.shape[1:] {
		n *= side
	}
	return n
}

// placeViews puts on the device where the predictions lie in the outputs.
func (s *slot) placeViews() error {
	tensors, places := make([]decode.Tensor, len(s.outputs)), make([]kernels.Output, len(s.outputs))
	for i, o := range s.outputs {
		tensors[i] = decode.Tensor{Name: o.name, Shape: o.shape}
		places[i] = kernels.Output{Address: o.memory.Address(), Half: o.half}
	}
	views, err := s.decoder.Views(tensors, s.width, s.height)
	if err != nil {
		return err
	}
	placed := make([]kernels.View, len(views))
	for i, v := range views {
		if placed[i], err = kernels.NewView(v, places); err != nil {
			return err
		}
		s.positions = max(s.positions, v.Count)
	}
	s.viewCount = len(placed)
	size := len(placed) * int(unsafe.Sizeof(kernels.View{}))
	if s.views, err = s.device.Alloc(size); err != nil {
		return err
	}
	pinned, err := s.device.AllocPinned(size)
	if err != nil {
		return err
	}
	copy(pinned.Bytes(), unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(placed))), size))
	err = s.do(func() error { return s.stream.CopyIn(s.views.Address(), pinned.Bytes()) })
	return errors.Join(err, pinned.Close())
}

// use runs f while nobody else uses the slot.
func (s *slot) use(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%s: %w and opened anew: try again", s.device, ErrLost)
	}
	err := f()
	if err != nil && !isLost(err) {
		err = errors.Join(err, s.stream.Drain()) // TensorRT does not say what the driver told it
	}
	return s.lost(err)
}

// do adds to the stream and waits until it is done, also where something
// fails: what was added before that uses the slot's memory.
func (s *slot) do(add func() error) error {
	err := s.device.Do(func() error {
		if err := add(); err != nil {
			return err
		}
		return s.stream.Mark()
	})
	if err == nil {
		err = s.stream.Wait()
	}
	if err != nil {
		return errors.Join(err, s.stream.Drain())
	}
	return nil
}

// Close frees all of it once nobody uses it.
func (s *slot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	errs := []error{s.header.Close(), s.candidates.Close(), s.room.close()}
	for _, b := range s.buckets {
		errs = append(errs, b.close(s.device))
	}
	if s.stream != nil {
		errs = append(errs, s.stream.Close())
	}
	errs = append(errs, s.clock.Close())
	memory := []*Buffer{s.activations, s.views, s.input.memory}
	for _, o := range s.outputs {
		memory = append(memory, o.memory)
	}
	for _, b := range memory {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
