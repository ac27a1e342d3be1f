package cuda

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/kernels"
)

// A batch is: the pictures' pixels and the header copied in, letterbox,
// network, decode, what was found copied out. Behind the copies in, all is one
// graph for each bucket; what varies from batch to batch is in the header.

// header is what is copied in beside the pixels: a block for the kernels, what
// it points to, and zeros where the kernels count.
type header struct {
	block      *kernels.Block
	found      []kernels.Found
	thresholds []kernels.Threshold
	pictures   []kernels.Picture
}

// headerParts is where the parts of a header begin, and its size.
type headerParts struct{ found, thresholds, pictures, size int }

// newHeaderParts has room for n pictures.
func newHeaderParts(n int) (h headerParts) {
	h.found = int(unsafe.Sizeof(kernels.Block{}))
	h.thresholds = h.found + n*int(unsafe.Sizeof(kernels.Found{}))
	h.pictures = h.thresholds + n*int(unsafe.Sizeof(kernels.Threshold{}))
	h.size = h.pictures + n*int(unsafe.Sizeof(kernels.Picture{}))
	return h
}

// headerOf views the pinned header.
func (s *slot) headerOf() header {
	n := s.shape.largest
	parts := newHeaderParts(n)
	at := unsafe.Pointer(unsafe.SliceData(s.header.host.Bytes()))
	return header{
		block:      (*kernels.Block)(at),
		found:      unsafe.Slice((*kernels.Found)(unsafe.Add(at, parts.found)), n),
		thresholds: unsafe.Slice((*kernels.Threshold)(unsafe.Add(at, parts.thresholds)), n),
		pictures:   unsafe.Slice((*kernels.Picture)(unsafe.Add(at, parts.pictures)), n),
	}
}

// Run implements backend.Lane. A batch that is under way is not interrupted.
func (s *slot) Run(pictures []*backend.Picture, _ func() context.Context) error {
	return s.use(func() error { return s.run(pictures) })
}

// run finds the candidates in a batch of pictures, at most the largest.
func (s *slot) run(pictures []*backend.Picture) error {
	start := time.Now()
	bucket, err := s.bucketFor(len(pictures))
	if err != nil {
		return err
	}
	header := s.headerOf()
	if err := s.place(pictures, header); err != nil {
		return err
	}
	s.setBlock(header, len(pictures), s.candidates.device.Address(), capacity)
	if err := s.do(func() error {
		if err := s.copyIn(pictures); err != nil {
			return err
		}
		if bucket.graph != nil {
			return s.stream.Replay(bucket.graph)
		}
		return s.compute(bucket)
	}); err != nil {
		return err
	}
	if err := s.fetch(header, len(pictures), bucket); err != nil {
		return err
	}
	timing := backend.Timing{Network: time.Since(start)}
	if s.clock != nil {
		if timing, err = s.timing(); err != nil {
			return err
		}
	}
	timing.Pictures = len(pictures)
	for i, p := range pictures {
		_, p.NonFinite = kernels.Counts(&header.found[i])
		p.Candidates = append(p.Candidates[:0], s.found(i)...)
		p.Timing = timing
	}
	return errors.Join(s.shrinkRoom(), s.capture(bucket))
}

// place says in the header where each picture will lie on the device, and what
// its candidates have to exceed.
func (s *slot) place(pictures []*backend.Picture, h header) error {
	size := 0
	for _, p := range pictures {
		if staged := backend.Staged[stagedPicture](p); !staged.tensor {
			size += staged.size
		}
	}
	if err := s.growPixels(size); err != nil {
		return err
	}
	clear(h.found)
	at := uint64(0)
	for i, p := range pictures {
		h.thresholds[i] = kernels.NewThreshold(s.decoder, p.Conf)
		staged := backend.Staged[stagedPicture](p)
		if staged.tensor {
			h.pictures[i] = kernels.NoPicture()
			continue
		}
		swapped := staged.swapped != (s.pre.ChannelOrder == decode.BGR)
		h.pictures[i] = kernels.NewPicture(s.room.pixels.Address()+at, 3*p.Fit.PictureW, p.Fit, swapped)
		at += uint64(staged.size)
	}
	return nil
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
func (s *slot) timing() (t backend.Timing, err error) {
	for mark, to := range [...]*time.Duration{
		copiedIn: &t.CopyIn, letterboxed: &t.Letterbox, computed: &t.Network, decoded: &t.Decode, copiedOut: &t.CopyOut,
	} {
		if to == nil {
			continue
		}
		took, failure := s.clock.since(mark)
		*to = took
		err = errors.Join(err, failure)
	}
	return t, err
}

// copyIn adds the copies of a batch's pixels and header to the stream; tensors
// go where the letterbox kernel leaves them alone.
func (s *slot) copyIn(pictures []*backend.Picture) error {
	if err := s.clock.mark(started, s.stream); err != nil {
		return err
	}
	at := uint64(0)
	for i, p := range pictures {
		staged := backend.Staged[stagedPicture](p)
		to := s.input.memory.Address() + uint64(i*s.input.rowBytes())
		if !staged.tensor {
			to = s.room.pixels.Address() + at
			at += uint64(staged.size)
		}
		if err := s.stream.CopyIn(to, staged.bytes()); err != nil {
			return err
		}
	}
	if err := s.stream.CopyIn(s.header.device.Address(), s.header.host.Bytes()); err != nil {
		return err
	}
	return s.clock.mark(copiedIn, s.stream)
}

// setBlock tells the kernels about a batch, and where its candidates go.
func (s *slot) setBlock(h header, pictures int, candidates uint64, capacity int) {
	parts := newHeaderParts(s.shape.largest)
	at := s.header.device.Address()
	kernels.SetLetterbox(h.block, at+uint64(parts.pictures), pictures, kernels.Input{
		Address: s.input.memory.Address(), Width: s.width, Height: s.height, Half: s.input.half, Range: s.pre.PixelRange,
	})
	kernels.SetDecode(h.block, s.views.Address(), at+uint64(parts.thresholds), pictures, s.decoder, kernels.Candidates{
		Found: at + uint64(parts.found), Address: candidates, Capacity: capacity,
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
	return errors.Join(
		s.launchDecode(b),
		s.clock.mark(decoded, s.stream),
		s.copyFound(),
		s.stream.CopyOut(s.candidates.host.Bytes()[:b.size*capacity*kernels.CandidateSize], s.candidates.device.Address()),
		s.clock.mark(copiedOut, s.stream))
}

func (s *slot) launchDecode(b *bucket) error {
	grid, block := DecodeGrid(s.positions, s.viewCount, b.size)
	return s.stream.Launch(s.module.Decode, grid, block, s.header.device.Address())
}

// copyFound adds the copy of what the decode has counted.
func (s *slot) copyFound() error {
	parts := newHeaderParts(s.shape.largest)
	return s.stream.CopyOut(s.header.host.Bytes()[parts.found:parts.thresholds], s.header.device.Address()+uint64(parts.found))
}
