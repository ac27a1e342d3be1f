package imaging

import (
	"fmt"
	"image"
	"image/color"
)

// Info is what reading a source takes.
type Info struct {
	// Width and Height in pixels, before an EXIF orientation turns them.
	Width, Height int
	// Bytes is about the memory that it takes: 3 bytes a pixel, and what is made on
	// the way to them.
	Bytes int64
}

// Inspect looks at a source, of a file at its header, without reading its pixels.
// The errors are those of Load that are known before that.
func Inspect(s Source) (info Info, err error) {
	decoder := int64(0) // bytes a pixel
	own := int64(0)     // bytes that a decoder takes besides
	switch s := s.(type) {
	case *Picture:
		if err := s.check(); err != nil {
			return Info{}, err
		}
		info.Width, info.Height = s.Width, s.Height
	case *Raw:
		if err := s.Check(); err != nil {
			return Info{}, err
		}
		info.Width, info.Height = s.Width, s.Height
	case Encoded:
		l := s.Limits.withDefaults()
		if err := l.checkBytes(len(s.Data)); err != nil {
			return Info{}, err
		}
		f, config, err := header(s.Data, l)
		if err != nil {
			return Info{}, err
		}
		info.Width, info.Height = config.Width, config.Height
		own = f.ownBytes(s.Data, config)
		if orientation(s.Data, f.name) > 1 {
			decoder += 3 // it is turned into another
		}
	case Image:
		if info.Width, info.Height, err = s.size(); err != nil {
			return Info{}, err
		}
		decoder = 3 // it is converted first
	default:
		return Info{}, fmt.Errorf("%w: no picture at all", ErrUnsupported)
	}
	info.Bytes = (3+decoder)*int64(info.Width)*int64(info.Height) + own
	return info, nil
}

// ownBytes is what a decoder takes beside the picture that it returns.
func (f format) ownBytes(data []byte, config image.Config) int64 {
	if f.bytes != nil {
		return f.bytes(data, config)
	}
	return goBytes(config)
}

// goBytes is the size of the image that a decoder of Go's makes.
func goBytes(config image.Config) int64 {
	pixel := int64(4)
	switch config.ColorModel {
	case color.NRGBA64Model, color.RGBA64Model, color.Gray16Model:
		pixel = 8
	}
	return pixel * int64(config.Width) * int64(config.Height)
}

// size returns an image's size in pixels.
func (i Image) size() (width, height int, err error) {
	if i.Image == nil || i.Bounds().Empty() {
		return 0, 0, fmt.Errorf("%w: an image of no pixels", ErrDamaged)
	}
	b := i.Bounds()
	return b.Dx(), b.Dy(), Limits{}.withDefaults().check(b.Dx(), b.Dy())
}

// RunsOtherCode reports whether to read a source calls methods of a type that is
// neither of Go's image package nor of this one: they may panic, or not return.
func RunsOtherCode(s Source) bool {
	i, ok := s.(Image)
	if !ok {
		return false
	}
	switch i.Image.(type) { // an image.Paletted has colors of any type
	case *Picture, *image.YCbCr, *image.Gray, *image.Gray16, *image.NRGBA, *image.NRGBA64, *image.RGBA, *image.RGBA64, *image.CMYK:
		return false
	}
	return true
}
