package cuda

import (
	"errors"
	"slices"
	"time"
	"unsafe"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/kernels"
	"github.com/trtdet/trtdet/imaging"
)

// A batch is: the pictures' pixels and the header copied in, letterbox,
// network, decode, what was found copied out. Behind the copies in, all is one
// graph for each bucket; what varies from batch to batch is in the header.

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

// run finds the candidates in a batch of pictures, at most the largest.
func (s *slot) run(pictures []*imaging.Picture, conf float32) ([]backend.Found, backend.Timing, error) {
	start := time.Now()
	found := make([]backend.Found, len(pictures))
	bucket, err := s.bucketFor(len(pictures))
	if err != nil {
		return nil, backend.Timing{}, err
	}
	header := s.headerOf()
	used, err := s.place(pictures, header, found)
	if err != nil {
		return nil, backend.Timing{}, err
	}
	s.setBlock(header, len(pictures), conf)
	placed := time.Since(start)
	if err := s.do(func() error {
		if err := s.copyIn(used); err != nil {
			return err
		}
		if bucket.graph != nil {
			return s.stream.Replay(bucket.graph)
		}
		return s.compute(bucket)
	}); err != nil {
		return nil, backend.Timing{}, err
	}
	if err := s.makeRoom(header, len(pictures), conf, bucket); err != nil {
		return nil, backend.Timing{}, err
	}
	for i := range found {
		var n int
		n, found[i].NonFinite = kernels.Counts(&header.found[i])
		first := (*decode.Candidate)(unsafe.Pointer(&s.candidates.host.Bytes()[i*s.capacity*kernels.CandidateSize]))
		found[i].Candidates = slices.Clone(unsafe.Slice(first, n))
	}
	timing := backend.Timing{Network: time.Since(start)}
	if s.clock != nil {
		if timing, err = s.timing(); err != nil {
			return nil, backend.Timing{}, err
		}
		timing.CopyIn += placed
	}
	return found, timing, s.capture(bucket)
}

// place puts the pictures and where they lie into pinned memory, says the latter
// in found too, and returns how many bytes of pixels there are.
func (s *slot) place(pictures []*imaging.Picture, h header, found []backend.Found) (used int, err error) {
	for _, p := range pictures {
		used += len(p.Pix)
	}
	if err := s.pixels.grow(s.device, used); err != nil {
		return 0, err
	}
	clear(h.found)
	at := 0
	for i, p := range pictures {
		fit := decode.NewFit(p.Width, p.Height, s.width, s.height, s.pre.Letterbox)
		h.pictures[i] = kernels.NewPicture(s.pixels.device.Address()+uint64(at), 3*p.Width, fit, s.pre.ChannelOrder == decode.BGR)
		at += copy(s.pixels.host.Bytes()[at:], p.Pix)
		found[i].Fit = fit
	}
	return used, nil
}

// The marks of a slot's clock. Each stage ends at one and begins at the one
// before.
const (
	started = iota
	copiedIn
	letterboxed
	computed
	decoded
	copiedOut
	stages
)

// timing is how long the batch that is done spent in each stage.
func (s *slot) timing() (backend.Timing, error) {
	var t backend.Timing
	var errs []error
	for mark, to := range map[int]*time.Duration{
		copiedIn: &t.CopyIn, letterboxed: &t.Letterbox, computed: &t.Network, decoded: &t.Decode, copiedOut: &t.CopyOut,
	} {
		took, err := s.clock.since(mark)
		*to = took
		errs = append(errs, err)
	}
	return t, errors.Join(errs...)
}

// copyIn adds the copies of a batch's pixels and header to the stream.
func (s *slot) copyIn(used int) error {
	return errors.Join(
		s.clock.mark(started, s.stream),
		s.stream.CopyIn(s.pixels.device.Address(), s.pixels.host.Bytes()[:used]),
		s.stream.CopyIn(s.header.device.Address(), s.header.host.Bytes()),
		s.clock.mark(copiedIn, s.stream))
}

// setBlock tells the kernels about a batch.
func (s *slot) setBlock(h header, pictures int, conf float32) {
	found, first, _ := headerParts(s.shape.largest)
	at := s.header.device.Address()
	kernels.SetLetterbox(h.block, at+uint64(first), pictures, kernels.Input{
		Address: s.input.memory.Address(), Width: s.width, Height: s.height, Half: s.input.half, Range: s.pre.PixelRange,
	})
	kernels.SetDecode(h.block, s.views.Address(), pictures, s.decoder, conf, kernels.Candidates{
		Found: at + uint64(found), Address: s.candidates.device.Address(), Capacity: s.capacity,
	})
}

// compute adds letterbox, network and decode of a bucket to the stream.
func (s *slot) compute(b *bucket) error {
	return errors.Join(s.network(b), s.decode(b))
}

// network adds letterbox and network of a bucket to the stream.
func (s *slot) network(b *bucket) error {
	grid, block := LetterboxGrid(s.width, s.height, b.size)
	return errors.Join(
		s.stream.Launch(s.module.Letterbox, grid, block, s.header.device.Address()),
		s.clock.mark(letterboxed, s.stream),
		b.context.Enqueue(s.stream.Handle()),
		s.clock.mark(computed, s.stream))
}

// decode adds the decode of a bucket to the stream, and copies out what it
// finds.
func (s *slot) decode(b *bucket) error {
	grid, block := DecodeGrid(s.positions, s.viewCount, b.size)
	found, pictures, _ := headerParts(s.shape.largest)
	return errors.Join(
		s.stream.Launch(s.module.Decode, grid, block, s.header.device.Address()),
		s.clock.mark(decoded, s.stream),
		s.stream.CopyOut(s.header.host.Bytes()[found:pictures], s.header.device.Address()+uint64(found)),
		s.stream.CopyOut(s.candidates.host.Bytes()[:b.size*s.capacity*kernels.CandidateSize], s.candidates.device.Address()),
		s.clock.mark(copiedOut, s.stream))
}

// makeRoom decodes a batch again, with more room, where a picture has more
// candidates than there was room for.
func (s *slot) makeRoom(h header, pictures int, conf float32, b *bucket) error {
	most := 0
	for i := range pictures {
		n, _ := kernels.Counts(&h.found[i])
		most = max(most, n)
	}
	if most <= s.capacity {
		return nil
	}
	for _, other := range s.buckets {
		if err := other.dropGraph(); err != nil { // it has the old memory in it
			return err
		}
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
		return errors.Join(s.stream.CopyIn(s.header.device.Address(), s.header.host.Bytes()), s.decode(b))
	})
}
