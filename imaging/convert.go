package imaging

import (
	"image"
	"image/color"
)

// FromImage copies any of Go's images into a Picture. Alpha is dropped, not
// blended: a pixel keeps the color it was stored with, also where it is
// transparent. Of 16 bits the upper 8 are kept, as cv2 does.
func FromImage(m image.Image) *Picture {
	b := m.Bounds()
	p := NewPicture(b.Dx(), b.Dy())
	switch m := m.(type) {
	case *Picture:
		copy(p.Pix, m.Pix)
	case *image.YCbCr:
		fromJPEG(p, m)
	case *image.Gray:
		p.rows(m.Pix, m.Stride, 1, func(dst, src []byte) { dst[0], dst[1], dst[2] = src[0], src[0], src[0] })
	case *image.Gray16:
		p.rows(m.Pix, m.Stride, 2, func(dst, src []byte) { dst[0], dst[1], dst[2] = src[0], src[0], src[0] })
	case *image.NRGBA:
		p.rows(m.Pix, m.Stride, 4, func(dst, src []byte) { dst[0], dst[1], dst[2] = src[0], src[1], src[2] })
	case *image.NRGBA64:
		p.rows(m.Pix, m.Stride, 8, func(dst, src []byte) { dst[0], dst[1], dst[2] = src[0], src[2], src[4] })
	case *image.RGBA:
		p.rows(m.Pix, m.Stride, 4, func(dst, src []byte) {
			if src[3] == 255 {
				dst[0], dst[1], dst[2] = src[0], src[1], src[2]
				return
			}
			straight(dst, color.RGBA{R: src[0], G: src[1], B: src[2], A: src[3]})
		})
	case *image.RGBA64:
		p.rows(m.Pix, m.Stride, 8, func(dst, src []byte) {
			if src[6] == 255 && src[7] == 255 {
				dst[0], dst[1], dst[2] = src[0], src[2], src[4]
				return
			}
			wide := func(i int) uint16 { return uint16(src[i])<<8 | uint16(src[i+1]) }
			straight(dst, color.RGBA64{R: wide(0), G: wide(2), B: wide(4), A: wide(6)})
		})
	case *image.CMYK:
		p.rows(m.Pix, m.Stride, 4, func(dst, src []byte) {
			dst[0], dst[1], dst[2] = color.CMYKToRGB(src[0], src[1], src[2], src[3])
		})
	case *image.Paletted:
		palette := make([][3]byte, 256) // an index over the palette's end is black
		for i, c := range m.Palette {
			straight(palette[i][:], c)
		}
		p.rows(m.Pix, m.Stride, 1, func(dst, src []byte) { copy(dst, palette[src[0]][:]) })
	default:
		i := 0
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				straight(p.Pix[i:i+3], m.At(x, y))
				i += 3
			}
		}
	}
	return p
}

// rows hands every pixel of an image of size bytes a pixel to convert.
func (p *Picture) rows(pix []byte, stride, size int, convert func(dst, src []byte)) {
	for y := range p.Height {
		src, dst := pix[y*stride:][:p.Width*size], p.Pix[3*y*p.Width:][:3*p.Width]
		for len(src) >= size && len(dst) >= 3 {
			convert(dst[:3], src[:size])
			src, dst = src[size:], dst[3:]
		}
	}
}

// straight writes a color without the alpha it may be multiplied with.
func straight(dst []byte, c color.Color) {
	switch c := c.(type) {
	case color.NRGBA:
		dst[0], dst[1], dst[2] = c.R, c.G, c.B
	default:
		n := color.NRGBA64Model.Convert(c).(color.NRGBA64)
		dst[0], dst[1], dst[2] = uint8(n.R>>8), uint8(n.G>>8), uint8(n.B>>8)
	}
}
