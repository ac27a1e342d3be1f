package imaging

import (
	"fmt"

	"github.com/trtdet/trtdet/decode"
)

// Letterbox writes the network's input of one picture: the picture resized
// and laid where fit says, the rest filled with decode.Pad. dst is (3, H, W)
// of fit's input, planes in pre's channel order, values 0 to pre.PixelRange.
// The resize is cv2's INTER_LINEAR of 8-bit pixels, to the bit. Nothing is
// allocated in steady state. dst that is not 3*H*W long, or a picture of
// another size than fit's, is a mistake of the caller's and panics.
func Letterbox(dst []float32, p *Picture, fit decode.Fit, pre decode.Preprocess) {
	checkLetterbox(len(dst), p, fit)
	s := resizers.Get().(*resizer)
	defer resizers.Put(s)
	s.setLevels(pre.PixelRange)
	plane := fit.InputW * fit.InputH
	planes := [3][]float32{dst[:plane], dst[plane : 2*plane], dst[2*plane:]}
	if pre.ChannelOrder == decode.BGR {
		planes[0], planes[2] = planes[2], planes[0]
	}
	pad := s.levels[decode.Pad]
	left, right := fit.Left, fit.Left+fit.ResizedW
	top, bottom := fit.Top, fit.Top+fit.ResizedH
	for _, channel := range planes {
		fill(channel[:top*fit.InputW], pad)
		for y := top; y < bottom; y++ {
			row := channel[y*fit.InputW:][:fit.InputW]
			fill(row[:left], pad)
			fill(row[right:], pad)
		}
		fill(channel[bottom*fit.InputW:], pad)
	}
	if fit.ResizedW == p.Width && fit.ResizedH == p.Height { // as it is: no pixel is between others
		for y := range p.Height {
			at := (top+y)*fit.InputW + left
			n := p.Width
			copyPlanes(planes[0][at:][:n], planes[1][at:][:n], planes[2][at:][:n], p.Pix[3*y*n:][:3*n], &s.levels)
		}
		return
	}
	s.resize(p, fit.ResizedW, fit.ResizedH, func(y int, a, b []uint64, wa, wb uint64) {
		at := (top+y)*fit.InputW + left
		n := fit.ResizedW
		blendPlanes(planes[0][at:][:n], planes[1][at:][:n], planes[2][at:][:n], a, b, wa, wb, &s.levels)
	})
}

// copyPlanes writes one row of the picture to three planes.
func copyPlanes(r, g, b []float32, row []byte, levels *[256]float32) {
	g, b = g[:len(r)], b[:len(r)]
	for i := range r {
		p := row[3*i:][:3]
		r[i], g[i], b[i] = levels[p[0]], levels[p[1]], levels[p[2]]
	}
}

func checkLetterbox(n int, p *Picture, fit decode.Fit) {
	if n != 3*fit.InputW*fit.InputH {
		panic(fmt.Sprintf("imaging: letterbox of %dx%d into %d values", fit.InputW, fit.InputH, n))
	}
	if p.Width != fit.PictureW || p.Height != fit.PictureH || len(p.Pix) != 3*p.Width*p.Height {
		panic(fmt.Sprintf("imaging: letterbox made for a picture of %dx%d, not %dx%d in %d bytes",
			fit.PictureW, fit.PictureH, p.Width, p.Height, len(p.Pix)))
	}
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}
