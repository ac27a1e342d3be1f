package cuda

import (
	"unsafe"

	"github.com/x448/float16"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/imaging"
)

// stagedPicture is a picture in pinned memory.
type stagedPicture struct {
	memory *Pinned // nil where there is none
	size   int
	// swapped says that the pixels are BGR; tensor that they are not pixels but
	// a part of the network's input.
	swapped, tensor bool
}

// Stage implements backend.Backend: pixels are written, or decoded, into pinned
// memory.
func (b *Backend) Stage(p *backend.Picture, source imaging.Source) error {
	s := backend.Staged[stagedPicture](p)
	*s = stagedPicture{memory: s.memory}
	width, height, err := b.readInto(s, source)
	if err != nil {
		return err
	}
	p.Fit = decode.NewFit(width, height, b.config.Width, b.config.Height, b.config.Preprocess.Letterbox)
	return nil
}

// readInto reads a picture and returns its size.
func (b *Backend) readInto(s *stagedPicture, source imaging.Source) (width, height int, err error) {
	if raw, ok := source.(*imaging.Raw); ok {
		if err := raw.Check(); err != nil {
			return 0, 0, err
		}
		pix, err := b.pinnedFor(s, 3*raw.Width*raw.Height)
		if err != nil {
			return 0, 0, err
		}
		raw.CopyTo(pix)
		s.swapped = raw.Order == decode.BGR // the kernel swaps
		return raw.Width, raw.Height, nil
	}
	var memory imaging.Memory
	if _, ok := source.(*imaging.Picture); !ok { // it has to be decoded
		memory = func(bytes int) ([]byte, error) { return b.pinnedFor(s, bytes) }
	}
	picture, err := imaging.Load(source, memory)
	if err != nil {
		return 0, 0, err
	}
	pix, err := b.pinnedFor(s, len(picture.Pix))
	if err != nil {
		return 0, 0, err
	}
	if &pix[0] != &picture.Pix[0] {
		copy(pix, picture.Pix)
	}
	return picture.Width, picture.Height, nil
}

// StageTensor implements backend.Backend.
func (b *Backend) StageTensor(p *backend.Picture, tensor backend.Tensor) error {
	if err := tensor.Check(b.config.Height, b.config.Width); err != nil {
		return err
	}
	s := backend.Staged[stagedPicture](p)
	*s = stagedPicture{memory: s.memory, tensor: true}
	if b.half {
		to, err := b.pinnedFor(s, 2*len(tensor))
		if err != nil {
			return err
		}
		halves := unsafe.Slice((*float16.Float16)(unsafe.Pointer(unsafe.SliceData(to))), len(tensor))
		for i, v := range tensor {
			halves[i] = float16.Fromfloat32(v)
		}
	} else {
		to, err := b.pinnedFor(s, 4*len(tensor))
		if err != nil {
			return err
		}
		copy(unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(to))), len(tensor)), tensor)
	}
	p.Fit = decode.NewFit(b.config.Width, b.config.Height, b.config.Width, b.config.Height, b.config.Preprocess.Letterbox)
	return nil
}

// pinnedFor returns pinned memory of a staged image's, kept from one to the next.
func (b *Backend) pinnedFor(s *stagedPicture, size int) ([]byte, error) {
	s.size = size
	if s.memory != nil {
		if backend.RoundUp(size) == len(s.memory.Bytes()) {
			return s.memory.Bytes()[:size], nil
		}
		b.pool.put(s.memory)
		s.memory = nil
	}
	memory, err := b.pool.get(size)
	if err != nil {
		return nil, err
	}
	s.memory = memory
	return memory.Bytes()[:size], nil
}

// bytes are what is copied to the device.
func (s *stagedPicture) bytes() []byte { return s.memory.Bytes()[:s.size] }

// Unstage implements backend.Backend.
func (b *Backend) Unstage(p *backend.Picture) {
	if s := backend.Staged[stagedPicture](p); s.memory != nil {
		b.pool.put(s.memory)
		s.memory = nil
	}
}
