package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"io"

	"golang.org/x/image/webp"
)

func webpConfig(data []byte) (image.Config, error) {
	if !animated(data) {
		return webp.DecodeConfig(bytes.NewReader(data))
	}
	a, err := newAnimation(data)
	if err != nil {
		return image.Config{}, err
	}
	return image.Config{Width: a.width, Height: a.height}, nil
}

// decodeWebP reads an image, or an animation's first frame.
func decodeWebP(data []byte, _ image.Config, _ Memory, _ Limits) (*Picture, error) {
	if !animated(data) {
		m, err := webp.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return fromWebP(m), nil
	}
	a, err := newAnimation(data)
	if err != nil {
		return nil, err
	}
	config, err := webp.DecodeConfig(bytes.NewReader(a.frame))
	if err != nil {
		return nil, err
	}
	if config.Width != a.frameW || config.Height != a.frameH {
		return nil, errors.New("a frame is not of the size that it says")
	}
	m, err := webp.Decode(bytes.NewReader(a.frame))
	if err != nil {
		return nil, err
	}
	first := fromWebP(m)
	if first.Width == a.width && first.Height == a.height {
		return first, nil
	}
	canvas := NewPicture(a.width, a.height) // libwebp's is transparent black
	for y := range first.Height {
		copy(canvas.Pix[3*((a.y+y)*a.width+a.x):], first.Pix[3*y*first.Width:][:3*first.Width])
	}
	return canvas, nil
}

// fromWebP converts what x/image reads: lossless WebP is RGB already.
func fromWebP(m image.Image) *Picture {
	switch m := m.(type) {
	case *image.YCbCr:
		return fromYUV(m)
	case *image.NYCbCrA:
		return fromYUV(&m.YCbCr)
	}
	return FromImage(m)
}

// fromYUV converts lossy WebP as libwebp does: video-range YUV (BT.601),
// chroma upsampled with weights 9, 3, 3, 1 (dsp/upsampling.c, dsp/yuv.h). Go's
// image.YCbCr would be read as JPEG's full range.
func fromYUV(m *image.YCbCr) *Picture {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	p := NewPicture(w, h)
	cw, ch := (w+1)/2, (h+1)/2
	for y := range h {
		near := y / 2
		far := near - 1
		if y%2 == 1 {
			far = near + 1
		}
		far = min(max(far, 0), ch-1)
		luma := m.Y[y*m.YStride:][:w]
		nearU, farU := m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw]
		nearV, farV := m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw]
		dst := p.Pix[3*y*w:][:3*w]
		for x := range w {
			a := x / 2
			b := a - 1
			if x%2 == 1 {
				b = a + 1
			}
			b = min(max(b, 0), cw-1)
			u := upsample(nearU[a], nearU[b], farU[a], farU[b])
			v := upsample(nearV[a], nearV[b], farV[a], farV[b])
			l := int(luma[x]) * 19077 >> 8
			dst[3*x] = clip8(l + (v * 26149 >> 8) - 14234)
			dst[3*x+1] = clip8(l - (u * 6419 >> 8) - (v * 13320 >> 8) + 8708)
			dst[3*x+2] = clip8(l + (u * 33050 >> 8) - 17685)
		}
	}
	return p
}

// upsample weighs the nearest chroma sample, its neighbors along the row and
// the column, and the one across: libwebp's two-step rounding of 9, 3, 3, 1.
func upsample(near, side, far, across uint8) int {
	n, s, f, a := int(near), int(side), int(far), int(across)
	diagonal := (n + s + f + a + 8 + 2*(s+f)) >> 3
	return (diagonal + n) >> 1
}

// clip8 drops YUV's 6 fractional bits and holds the rest within a byte.
func clip8(v int) uint8 { return uint8(min(max(v>>6, 0), 255)) }

// animated reports whether the flags of a WebP file's VP8X chunk, which comes
// first, say that it holds an animation.
func animated(data []byte) bool {
	const flags, animation = 20, 1 << 1
	return matches(data, "RIFF????WEBPVP8X") && len(data) > flags && data[flags]&animation != 0
}

// animation is an animated WebP: its canvas and its first frame, in pixels.
type animation struct {
	width, height        int
	x, y, frameW, frameH int
	frame                []byte // as a WebP file of its own, without alpha
}

// newAnimation reads the chunks VP8X and ANMF of the WebP container.
func newAnimation(data []byte) (*animation, error) {
	var a *animation
	for name, rest := "", data[len("RIFF????WEBP"):]; ; {
		var body []byte
		var err error
		if name, body, rest, err = webpChunk(rest); err != nil {
			return nil, err
		}
		switch {
		case name == "VP8X" && len(body) >= 10:
			a = &animation{width: uint24(body[4:]) + 1, height: uint24(body[7:]) + 1}
		case name == "ANMF" && a != nil && len(body) >= 16:
			a.x, a.y, a.frameW, a.frameH = 2*uint24(body), 2*uint24(body[3:]), uint24(body[6:])+1, uint24(body[9:])+1
			if a.x+a.frameW > a.width || a.y+a.frameH > a.height {
				return nil, errors.New("a frame reaches over the canvas")
			}
			return a, a.setFrame(body[16:])
		}
	}
}

// setFrame makes a file of a frame's own chunks, of which those of its pixels
// are enough.
func (a *animation) setFrame(rest []byte) error {
	for {
		name, body, behind, err := webpChunk(rest)
		if err != nil {
			return err
		}
		if name == "VP8 " || name == "VP8L" {
			a.frame = binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len("WEBP")+8+len(body)+len(body)%2))
			a.frame = append(append(a.frame, "WEBP"...), name...)
			a.frame = binary.LittleEndian.AppendUint32(a.frame, uint32(len(body)))
			a.frame = append(a.frame, body...)
			a.frame = append(a.frame, make([]byte, len(body)%2)...)
			return nil
		}
		rest = behind
	}
}

// webpChunk returns a chunk's name and what it holds, and what follows it.
func webpChunk(data []byte) (name string, body, rest []byte, err error) {
	const header = 8 // a chunk's name and length
	if len(data) < header {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	body = data[header:]
	if size > int64(len(body)) {
		return "", nil, nil, io.ErrUnexpectedEOF
	}
	return string(data[:4]), body[:size:size], body[min(size+size%2, int64(len(body))):], nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
