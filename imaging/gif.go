package imaging

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
)

// decodeGIF reads the first frame as cv2 shows it: on the background color of
// the file's own palette, which transparent pixels have too.
func decodeGIF(data []byte, config image.Config, _ Memory, _ Limits) (*Picture, error) {
	m, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	p := NewPicture(config.Width, config.Height)
	const backgroundIndex = 11 // its byte in the file
	var background [3]byte
	if global, ok := config.ColorModel.(color.Palette); ok && int(data[backgroundIndex]) < len(global) {
		straight(background[:], global[data[backgroundIndex]])
	}
	for i := 0; i < len(p.Pix); i += 3 {
		copy(p.Pix[i:], background[:])
	}
	frame := m.(*image.Paletted)
	colors := make([][3]byte, len(frame.Palette))
	for i, c := range frame.Palette {
		if colors[i] = background; !transparent(c) {
			straight(colors[i][:], c)
		}
	}
	b := frame.Rect
	for y := range b.Dy() {
		dst := p.Pix[3*((b.Min.Y+y)*p.Width+b.Min.X):]
		for x, index := range frame.Pix[y*frame.Stride:][:b.Dx()] {
			copy(dst[3*x:], colors[index][:])
		}
	}
	return p, nil
}

func transparent(c color.Color) bool {
	_, _, _, a := c.RGBA()
	return a == 0
}
