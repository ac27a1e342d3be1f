package imaging

import (
	"fmt"
	"image"

	"github.com/trtdet/trtdet/decode"
)

// Source is a picture in the form that somebody has it in: *Picture, *Raw,
// Encoded or Image.
type Source interface{ source() }

// Raw is pixels as cameras and video decoders hand them out.
type Raw struct {
	Width, Height int
	// Pix holds 3 bytes a pixel, rows from the top, Pitch bytes from one row to
	// the next; a Pitch of 0 is 3*Width, no gap.
	Pix   []byte
	Pitch int
	// Order of the bytes of a pixel; "" is decode.RGB.
	Order decode.ChannelOrder
}

// Encoded is the bytes of an image file, of the kinds that Open reads.
type Encoded struct {
	Data   []byte
	Limits Limits
}

// Image is any of Go's images, of at most DefaultMaxPixels; FromImage says what
// becomes of it.
type Image struct{ image.Image }

func (*Picture) source() {}
func (*Raw) source()     {}
func (Encoded) source()  {}
func (Image) source()    {}

// Sources are pictures as sources.
func Sources(pictures []*Picture) []Source {
	sources := make([]Source, len(pictures))
	for i, p := range pictures {
		sources[i] = p
	}
	return sources
}

// Memory returns a number of bytes to put pixels into; nil is Go's own.
type Memory func(bytes int) ([]byte, error)

// Load returns a source as a Picture. Pixels that have to be written go to
// memory where that can be; those of a *Picture, which is returned as it is, do
// not. The errors are Read's, and Check's of a Raw.
func Load(s Source, memory Memory) (*Picture, error) {
	if memory == nil {
		memory = heap
	}
	switch s := s.(type) {
	case *Picture:
		return s, s.check()
	case *Raw:
		if err := s.Check(); err != nil {
			return nil, err
		}
		pix, err := memory(3 * s.Width * s.Height)
		if err != nil {
			return nil, err
		}
		p := &Picture{Width: s.Width, Height: s.Height, Pix: pix}
		s.CopyTo(p.Pix)
		if s.Order == decode.BGR {
			for i := 0; i+3 <= len(p.Pix); i += 3 {
				p.Pix[i], p.Pix[i+2] = p.Pix[i+2], p.Pix[i]
			}
		}
		return p, nil
	case Encoded:
		l := s.Limits.withDefaults()
		if err := l.checkBytes(len(s.Data)); err != nil {
			return nil, err
		}
		return parse(s.Data, l, memory)
	case Image:
		if _, _, err := s.size(); err != nil {
			return nil, err
		}
		return FromImage(s.Image), nil
	}
	return nil, fmt.Errorf("%w: no picture at all", ErrUnsupported)
}

// maxSide is more than a side, or a row of bytes, can have: products of two are exact.
const maxSide = 1 << 28

// check refuses a Picture whose fields contradict each other.
func (p *Picture) check() error {
	if p == nil {
		return fmt.Errorf("%w: no picture at all", ErrUnsupported)
	}
	if p.Width < 1 || p.Height < 1 || max(p.Width, p.Height) > maxSide || len(p.Pix) != 3*p.Width*p.Height {
		return fmt.Errorf("%w: a picture of %dx%d with %d bytes of pixels, want 3 for each", ErrDamaged, p.Width, p.Height, len(p.Pix))
	}
	return nil
}

// Check returns an error that wraps ErrDamaged or ErrUnsupported where the
// fields contradict each other.
func (r *Raw) Check() error {
	if r == nil {
		return fmt.Errorf("%w: no picture at all", ErrUnsupported)
	}
	if r.Order != "" && r.Order != decode.RGB && r.Order != decode.BGR {
		return fmt.Errorf("%w: pixels in order %q, want %q or %q", ErrUnsupported, r.Order, decode.RGB, decode.BGR)
	}
	if r.Width < 1 || r.Height < 1 || max(r.Width, r.Height, r.pitch()) > maxSide || r.pitch() < 3*r.Width {
		return fmt.Errorf("%w: pixels of %dx%d in rows of %d bytes", ErrDamaged, r.Width, r.Height, r.pitch())
	}
	if need := (r.Height-1)*r.pitch() + 3*r.Width; len(r.Pix) < need {
		return fmt.Errorf("%w: pixels of %dx%d in rows of %d bytes are %d bytes, there are %d", ErrTruncated, r.Width, r.Height, r.pitch(), need, len(r.Pix))
	}
	return nil
}

func (r *Raw) pitch() int {
	if r.Pitch == 0 {
		return 3 * r.Width
	}
	return r.Pitch
}

// CopyTo copies the pixels without gaps, in their order, into 3*Width*Height
// bytes.
func (r *Raw) CopyTo(pix []byte) {
	row := 3 * r.Width
	if r.pitch() == row {
		copy(pix, r.Pix[:row*r.Height])
		return
	}
	for y := range r.Height {
		copy(pix[y*row:(y+1)*row], r.Pix[y*r.pitch():])
	}
}

// heap is Go's own memory.
func heap(bytes int) ([]byte, error) { return make([]byte, bytes), nil }
