package imaging

import (
	"image"
	"image/color"
)

// Picture is a picture as a person sees it: 8-bit RGB, turned the way its
// EXIF orientation says.
type Picture struct {
	Width, Height int
	// Pix holds 3 bytes a pixel, R, G, B, rows from the top without gaps:
	// 3*Width*Height bytes.
	Pix []byte
}

// NewPicture returns a black picture of a size in pixels.
func NewPicture(width, height int) *Picture {
	return &Picture{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
}

// ColorModel, Bounds and At make a Picture an image.Image.
func (p *Picture) ColorModel() color.Model { return color.RGBAModel }

// Bounds starts at (0, 0).
func (p *Picture) Bounds() image.Rectangle { return image.Rect(0, 0, p.Width, p.Height) }

// At returns the opaque color of a pixel, and black outside the picture.
func (p *Picture) At(x, y int) color.Color {
	if x < 0 || y < 0 || x >= p.Width || y >= p.Height {
		return color.RGBA{A: 255}
	}
	i := 3 * (y*p.Width + x)
	return color.RGBA{R: p.Pix[i], G: p.Pix[i+1], B: p.Pix[i+2], A: 255}
}

// Opaque says that no pixel is transparent, so that PNG is written without
// alpha.
func (p *Picture) Opaque() bool { return true }

// rgba copies the picture into the form that Go's encoders write fastest.
func (p *Picture) rgba() *image.RGBA {
	m := image.NewRGBA(p.Bounds())
	for i, o := 0, 0; i+3 <= len(p.Pix); i, o = i+3, o+4 {
		m.Pix[o], m.Pix[o+1], m.Pix[o+2], m.Pix[o+3] = p.Pix[i], p.Pix[i+1], p.Pix[i+2], 255
	}
	return m
}
