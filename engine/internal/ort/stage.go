package ort

import (
	"sync"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/imaging"
)

// stagedPicture is what one row of the network's input is made of: a picture or a
// tensor.
type stagedPicture struct {
	picture *imaging.Picture
	tensor  backend.Tensor
	memory  *memory // of the picture's pixels, nil where they are the caller's
}

// Stage implements backend.Backend. A *imaging.Picture is not copied.
func (b *Backend) Stage(p *backend.Picture, source imaging.Source) error {
	s := backend.Staged[stagedPicture](p)
	picture, err := imaging.Load(source, func(bytes int) ([]byte, error) {
		b.pool.put(s.memory) // a decoder may ask twice
		s.memory = b.pool.get(bytes)
		return s.memory.bytes[:bytes], nil
	})
	if err != nil {
		return err
	}
	s.picture = picture
	p.Fit = decode.NewFit(picture.Width, picture.Height, b.width, b.height, b.preprocess.Letterbox)
	return nil
}

// StageTensor implements backend.Backend. The tensor is not copied.
func (b *Backend) StageTensor(p *backend.Picture, tensor backend.Tensor) error {
	if err := tensor.Check(b.height, b.width); err != nil {
		return err
	}
	backend.Staged[stagedPicture](p).tensor = tensor
	p.Fit = decode.NewFit(b.width, b.height, b.width, b.height, b.preprocess.Letterbox)
	return nil
}

// Unstage implements backend.Backend.
func (b *Backend) Unstage(p *backend.Picture) {
	s := backend.Staged[stagedPicture](p)
	b.pool.put(s.memory)
	*s = stagedPicture{}
}

// pool is memory that images are decoded into, by its size. The garbage collector
// takes what has not been needed for two of its rounds.
type pool struct{ bySize sync.Map } // of *sync.Pool by int

type memory struct{ bytes []byte }

// get returns memory of at least size bytes, whatever is in it.
func (p *pool) get(size int) *memory {
	size = backend.RoundUp(size)
	if m, ok := p.of(size).Get().(*memory); ok {
		return m
	}
	return &memory{make([]byte, size)}
}

// put gives memory back, if there is any.
func (p *pool) put(m *memory) {
	if m != nil {
		p.of(len(m.bytes)).Put(m)
	}
}

func (p *pool) of(size int) *sync.Pool {
	if found, ok := p.bySize.Load(size); ok {
		return found.(*sync.Pool)
	}
	found, _ := p.bySize.LoadOrStore(size, &sync.Pool{})
	return found.(*sync.Pool)
}
