package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"

	"github.com/trtdet/trtdet/imaging/internal/tiff"
)

func tiffConfig(data []byte) (image.Config, error) {
	h, err := tiff.ReadHeader(data)
	if err != nil {
		return image.Config{}, tiffError(err)
	}
	return image.Config{Width: h.Width, Height: h.Height}, nil
}

func tiffBytes(data []byte, _ image.Config) int64 {
	h, err := tiff.ReadHeader(data)
	if err != nil {
		return 0
	}
	return h.Memory()
}

func tiffOrientation(data []byte) int {
	h, err := tiff.ReadHeader(data)
	if err != nil {
		return 1
	}
	return h.Orientation
}

func decodeTIFF(data []byte, config image.Config, memory Memory, l Limits) (*Picture, error) {
	h, err := tiff.ReadHeader(data)
	if err != nil {
		return nil, tiffError(err)
	}
	pix, err := memory(3 * config.Width * config.Height)
	if err != nil {
		return nil, err
	}
	l.AllowTruncated = false // it is of files that are JPEGs as a whole
	samples := func(file []byte, width, height, channels int) ([]byte, int, int, error) {
		return jpegSamples(file, width, height, channels, l)
	}
	if err := h.Decode(data, pix, samples); err != nil {
		return nil, tiffError(err)
	}
	return &Picture{Width: config.Width, Height: config.Height, Pix: pix}, nil
}

// tiffError gives an error of package tiff one of the kinds that callers know,
// and the way out.
func tiffError(err error) error {
	switch {
	case errors.Is(err, tiff.ErrUnsupported):
		return fmt.Errorf("%w: %w; convert it first, for example with: magick 'in.tif[0]' out.png", ErrUnsupported, err)
	case errors.Is(err, tiff.ErrTruncated):
		return fmt.Errorf("%w: %w; get the file again", ErrTruncated, err)
	case errors.Is(err, tiff.ErrDamaged):
		return fmt.Errorf("%w: %w; get the file again, or save it anew with another program", ErrDamaged, err)
	}
	return err
}

// jpegSamples decodes a JPEG that is a strip or tile of a TIFF, as tiff.JPEG
// says.
func jpegSamples(data []byte, width, height, channels int, l Limits) ([]byte, int, int, error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, 0, 0, sorted("jpeg", err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > width || config.Height > height {
		return nil, 0, 0, fmt.Errorf("%w: a JPEG of %dx%d pixels in a strip or tile of %dx%d",
			ErrDamaged, config.Width, config.Height, width, height)
	}
	if want := map[int]color.Model{1: color.GrayModel, 4: color.CMYKModel}[channels]; want != nil && config.ColorModel != want ||
		channels == 3 && (config.ColorModel == color.GrayModel || config.ColorModel == color.CMYKModel) {
		return nil, 0, 0, fmt.Errorf("%w: a JPEG of other than %d channels", ErrDamaged, channels)
	}
	if channels == 4 {
		m, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, 0, 0, sorted("jpeg", err)
		}
		return inks(m)
	}
	p, err := decodeJPEG(data, config, heap, l)
	if err != nil {
		return nil, 0, 0, sorted("jpeg", err)
	}
	if channels == 1 { // three equal values a pixel
		for i := range p.Width * p.Height {
			p.Pix[i] = p.Pix[3*i]
		}
		p.Pix = p.Pix[:p.Width*p.Height]
	}
	return p.Pix, p.Width, p.Height, nil
}

// inks returns the samples of a JPEG of four channels as they are stored. Go
// takes them for a printer's, light where they are large.
func inks(m image.Image) ([]byte, int, int, error) {
	c := m.(*image.CMYK)
	w, h := c.Rect.Dx(), c.Rect.Dy()
	samples := make([]byte, 0, 4*w*h)
	for y := range h {
		for _, v := range c.Pix[y*c.Stride:][:4*w] {
			samples = append(samples, 255-v)
		}
	}
	return samples, w, h, nil
}
