package cuda

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/kernels"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/trt"
)

// slot is all that one batch needs while it is under way. One goroutine at a
// time uses it.
//
// A batch is: the pictures' pixels and the header copied in, letterbox,
// network, decode, what was found copied out. Behind the copies in, all is one
// graph for each bucket; what varies from batch to batch is in the header.
type slot struct {
	device  *Device
	module  *Module
	stream  *Stream
	context *trt.Context
	decoder *decode.Decoder
	shape   batches
	width   int
	height  int
	pre     decode.Preprocess
	graphs  map[int]*Graph // by bucket

	memory     []*Buffer // of the network's input and outputs
	input      kernels.Input
	views      *Buffer
	viewCount  int
	positions  int // of the largest view
	pixels     staged
	header     staged // see headerOf
	candidates staged // capacity for each picture
	capacity   int
}

// header is what is copied in beside the pixels: a block for the kernels, what
// it points to, and zeros where the kernels count.
type header struct {
	block    *kernels.Block
	found    []kernels.Found
	pictures []kernels.Picture
}

// Where the parts of a header for n pictures begin, and its size.
func headerParts(n int) (found, pictures, size int) {
	found = int(unsafe.Sizeof(kernels.Block{}))
	pictures = found + n*int(unsafe.Sizeof(kernels.Found{}))
	return found, pictures, pictures + n*int(unsafe.Sizeof(kernels.Picture{}))
}

// headerOf views the pinned header.
func (s *slot) headerOf() header {
	n := s.shape.largest
	found, pictures, _ := headerParts(n)
	at := unsafe.Pointer(unsafe.SliceData(s.header.host.Bytes()))
	return header{
		block:    (*kernels.Block)(at),
		found:    unsafe.Slice((*kernels.Found)(unsafe.Add(at, found)), n),
		pictures: unsafe.Slice((*kernels.Picture)(unsafe.Add(at, pictures)), n),
	}
}

// firstCapacity is the room for candidates of a picture that a slot begins
// with; it grows to what a picture has needed.
const firstCapacity = 1024

func newSlot(device *Device, module *Module, engine *trt.Engine, shape batches, decoder *decode.Decoder, c Config) (*slot, error) {
	s := &slot{
		device: device, module: module, decoder: decoder, shape: shape, height: c.Height, width: c.Width, pre: c.Preprocess,
		capacity: firstCapacity, graphs: map[int]*Graph{},
	}
	if err := s.prepare(engine); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes all that does not depend on the pictures.
func (s *slot) prepare(engine *trt.Engine) error {
	var err error
	if s.stream, err = s.device.NewStream(); err != nil {
		return err
	}
	var outputs []trt.TensorInfo
	if err := s.device.Do(func() (err error) {
		if s.context, err = engine.NewContext(s.shape.profile, s.stream.Handle()); err != nil {
			return err
		}
		if err := s.setBatch(s.shape.largest); err != nil {
			return err
		}
		outputs, err = s.context.Outputs()
		return err
	}); err != nil {
		return err
	}
	half, address, err := s.allocate(s.shape.input.Name, s.shape.input.DType, s.inputDims(s.shape.largest))
	if err != nil {
		return err
	}
	s.input = kernels.Input{Address: address, Width: s.width, Height: s.height, Half: half, Range: s.pre.PixelRange}
	placed := make([]kernels.Output, len(outputs))
	tensors := make([]decode.Tensor, len(outputs))
	for i, o := range outputs {
		tensors[i] = decode.Tensor{Name: o.Name, Shape: o.Shape}
		if placed[i].Half, placed[i].Address, err = s.allocate(o.Name, o.DType, o.Shape); err != nil {
			return err
		}
	}
	if err := s.placeViews(tensors, placed); err != nil {
		return err
	}
	_, _, size := headerParts(s.shape.largest)
	if err := s.header.grow(s.device, size); err != nil {
		return err
	}
	return s.candidates.grow(s.device, s.shape.largest*s.capacity*kernels.CandidateSize)
}

// inputDims is the input's shape for a number of pictures.
func (s *slot) inputDims(pictures int) []int { return []int{pictures, 3, s.height, s.width} }

// setBatch sets the number of pictures of the runs to come.
func (s *slot) setBatch(pictures int) error {
	if s.shape.least == s.shape.largest && !slices.Contains(s.shape.input.Shape, -1) {
		return nil // the shape is the engine's own
	}
	return s.context.SetShape(s.shape.input.Name, s.inputDims(pictures))
}

// allocate gives one of the network's tensors its memory.
func (s *slot) allocate(name, dtype string, shape []int) (half bool, address uint64, err error) {
	size := 4
	switch dtype {
	case "float32":
	case "float16":
		half, size = true, 2
	default:
		return false, 0, fmt.Errorf("tensor %s is %s, want float32 or float16: build the engine with float inputs and outputs", name, dtype)
	}
	for _, n := range shape {
		size *= n
	}
	buffer, err := s.device.Alloc(size)
	if err != nil {
		return false, 0, err
	}
	s.memory = append(s.memory, buffer)
	return half, buffer.Address(), s.device.Do(func() error { return s.context.SetAddress(name, buffer.Address()) })
}

// placeViews puts on the device where the predictions lie in the outputs.
func (s *slot) placeViews(tensors []decode.Tensor, outputs []kernels.Output) error {
	views, err := s.decoder.Views(tensors, s.width, s.height)
	if err != nil {
		return err
	}
	placed := make([]kernels.View, len(views))
	for i, v := range views {
		if placed[i], err = kernels.NewView(v, outputs); err != nil {
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

// run finds the candidates in a batch of pictures, at most the largest.
func (s *slot) run(pictures []*imaging.Picture, conf float32) ([]backend.Found, error) {
	used := 0
	for _, p := range pictures {
		used += len(p.Pix)
	}
	if err := s.pixels.grow(s.device, used); err != nil {
		return nil, err
	}
	header := s.headerOf()
	clear(header.found)
	found := make([]backend.Found, len(pictures))
	at := 0
	for i, p := range pictures {
		found[i].Fit = decode.NewFit(p.Width, p.Height, s.width, s.height, s.pre.Letterbox)
		header.pictures[i] = kernels.NewPicture(s.pixels.device.Address()+uint64(at), 3*p.Width, found[i].Fit, s.pre.ChannelOrder == decode.BGR)
		at += copy(s.pixels.host.Bytes()[at:], p.Pix)
	}
	s.setBlock(header, len(pictures), conf)
	bucket := s.shape.bucket(len(pictures))
	graph := s.graphs[bucket]
	if err := s.do(func() error {
		err := errors.Join(
			s.stream.CopyIn(s.pixels.device.Address(), s.pixels.host.Bytes()[:used]),
			s.stream.CopyIn(s.header.device.Address(), s.header.host.Bytes()))
		if err != nil {
			return err
		}
		if graph != nil {
			return s.stream.Replay(graph)
		}
		if err := s.setBatch(bucket); err != nil {
			return err
		}
		return s.compute(bucket)
	}); err != nil {
		return nil, err
	}
	if err := s.makeRoom(header, len(pictures), conf, bucket); err != nil {
		return nil, err
	}
	for i := range found {
		var n int
		n, found[i].NonFinite = kernels.Counts(&header.found[i])
		first := (*decode.Candidate)(unsafe.Pointer(&s.candidates.host.Bytes()[i*s.capacity*kernels.CandidateSize]))
		found[i].Candidates = slices.Clone(unsafe.Slice(first, n))
	}
	if s.graphs[bucket] == nil {
		// TensorRT has just run this bucket once, as it must before it is captured
		if err := s.capture(bucket); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// setBlock tells the kernels about a batch.
func (s *slot) setBlock(h header, pictures int, conf float32) {
	found, first, _ := headerParts(s.shape.largest)
	at := s.header.device.Address()
	kernels.SetLetterbox(h.block, at+uint64(first), pictures, s.input)
	kernels.SetDecode(h.block, s.views.Address(), pictures, s.decoder, conf, kernels.Candidates{
		Found: at + uint64(found), Address: s.candidates.device.Address(), Capacity: s.capacity,
	})
}

// compute adds letterbox, network and decode of a bucket to the stream.
func (s *slot) compute(bucket int) error {
	grid, block := LetterboxGrid(s.width, s.height, bucket)
	return errors.Join(
		s.stream.Launch(s.module.Letterbox, grid, block, s.header.device.Address()),
		s.context.Enqueue(s.stream.Handle()),
		s.decode(bucket))
}

// decode adds the decode of a bucket to the stream, and copies out what it
// finds.
func (s *slot) decode(bucket int) error {
	grid, block := DecodeGrid(s.positions, s.viewCount, bucket)
	found, pictures, _ := headerParts(s.shape.largest)
	return errors.Join(
		s.stream.Launch(s.module.Decode, grid, block, s.header.device.Address()),
		s.stream.CopyOut(s.header.host.Bytes()[found:pictures], s.header.device.Address()+uint64(found)),
		s.stream.CopyOut(s.candidates.host.Bytes()[:bucket*s.capacity*kernels.CandidateSize], s.candidates.device.Address()))
}

// makeRoom decodes a batch again, with more room, where a picture has more
// candidates than there was room for.
func (s *slot) makeRoom(h header, pictures int, conf float32, bucket int) error {
	most := 0
	for i := range pictures {
		n, _ := kernels.Counts(&h.found[i])
		most = max(most, n)
	}
	if most <= s.capacity {
		return nil
	}
	if err := s.dropGraphs(); err != nil { // they have the old memory in them
		return err
	}
	capacity := s.capacity
	for capacity < most {
		capacity *= 2
	}
	if err := s.candidates.grow(s.device, s.shape.largest*capacity*kernels.CandidateSize); err != nil {
		return err
	}
	s.capacity = capacity
	clear(h.found)
	s.setBlock(h, pictures, conf)
	return s.do(func() error {
		return errors.Join(s.stream.CopyIn(s.header.device.Address(), s.header.host.Bytes()), s.decode(bucket))
	})
}

func (s *slot) capture(bucket int) error {
	return s.device.Do(func() error {
		if err := s.setBatch(bucket); err != nil {
			return err
		}
		graph, err := s.stream.Capture(func() error { return s.compute(bucket) })
		if err == nil {
			s.graphs[bucket] = graph
		}
		return err
	})
}

func (s *slot) dropGraphs() error {
	var errs []error
	for bucket, graph := range s.graphs {
		errs = append(errs, graph.Close())
		delete(s.graphs, bucket)
	}
	return errors.Join(errs...)
}

// Close frees all of it. It is safe to call twice.
func (s *slot) Close() error {
	errs := []error{s.dropGraphs(), s.pixels.Close(), s.header.Close(), s.candidates.Close()}
	if s.context != nil {
		errs = append(errs, s.device.Do(s.context.Close))
	}
	if s.stream != nil {
		errs = append(errs, s.stream.Close())
	}
	for _, b := range append(s.memory, s.views) {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
