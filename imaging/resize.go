package imaging

import (
	"fmt"
	"math"
	"sync"
)

// resizer is the memory of one resize, kept from one to the next.
//
// The arithmetic is that of cv2's 8-bit INTER_LINEAR (imgproc/resize.cpp):
// weights are whole 2048ths; a row is blended along x, its low 4 bits are
// dropped, two such rows are blended along y with their low 16 bits dropped
// each, and the sum is rounded to a byte.
//
// A pixel blended along x is one uint64 with a channel every 19 bits, so that
// a multiplication does all three: 255*2048 needs 19. Along y products need 26
// bits, so there it is two multiplications a row: red and blue, 38 bits apart,
// and green.
type resizer struct {
	columns []column
	rows    [2][]uint64
	edge    []byte // the picture's columns doubled, where it has only one
	levels  [256]float32
	limit   float32 // the range that levels was made for
}

// column is where a pixel of the resized picture comes from: 6 bytes of a
// row, two pixels, and the weight of the second in 2048ths.
type column struct {
	at     int
	weight uint64
}

var resizers = sync.Pool{New: func() any { return new(resizer) }}

const (
	one   = 2048 // 1 in the weights' unit
	green = 19   // where the channels begin
	blue  = 38
	// rowMask keeps, of a blended pixel without its low 4 bits, the 15 bits of
	// each channel.
	rowMask = 0x7fff | 0x7fff<<green | 0x7fff<<blue
	sides   = 0x7fff | 0x7fff<<blue // red and blue
	tops    = 0x3ff | 0x3ff<<blue   // their 10 bits after the blend along y
	twos    = 2 | 2<<blue           // what rounds them
)

// setLevels fills levels with what each byte is in a range.
func (s *resizer) setLevels(limit float32) {
	if s.limit == limit {
		return
	}
	s.limit = limit
	for i := range s.levels {
		s.levels[i] = float32(i) / (255 / limit) // YOLOv5: im /= 255
	}
}

// ResizeLinear returns an image resized to width x height pixels: cv2's 8-bit
// INTER_LINEAR, as Letterbox resizes. A size of less than 1x1 is a mistake of
// the caller's and panics, as a broken image does.
func ResizeLinear(p *Picture, width, height int) *Picture {
	if err := p.check(); err != nil || width < 1 || height < 1 {
		panic(fmt.Sprintf("imaging: cannot resize an image to %dx%d: %v", width, height, orSize(p, err)))
	}
	out := NewPicture(width, height)
	if width == p.Width && height == p.Height {
		copy(out.Pix, p.Pix)
		return out
	}
	s := resizers.Get().(*resizer)
	defer resizers.Put(s)
	s.resize(p, width, height, func(y int, a, b []uint64, wa, wb uint64) {
		blendRow(out.Pix[3*y*width:][:3*width], a, b, wa, wb)
	})
	return out
}

// source returns the two neighbors of position i of n resized from size, and
// the second one's weight in 2048ths; cv2 works the position out in float64
// and rounds it to float32.
func source(i, n, size int) (first, second int, weight uint64) {
	scale := 1 / (float64(n) / float64(size))
	f := float32((float64(i)+0.5)*scale - 0.5)
	at := int(math.Floor(float64(f)))
	f -= float32(at)
	weight = uint64(math.RoundToEven(float64(f * one)))
	return min(max(at, 0), size-1), min(max(at+1, 0), size-1), weight
}

// resize hands blend every row of the picture resized to width x height: the
// two rows blended along x that it lies between and their weights.
func (s *resizer) resize(p *Picture, width, height int, blend func(y int, a, b []uint64, wa, wb uint64)) {
	pix, w := p.Pix, p.Width
	if w == 1 {
		pix, w = s.double(pix), 2
	}
	s.setColumns(p.Width, width)
	for i := range s.rows {
		if cap(s.rows[i]) < width {
			s.rows[i] = make([]uint64, width)
		}
		s.rows[i] = s.rows[i][:width]
	}
	held := [2]int{-1, -1} // which row of the picture each of s.rows is
	for y := range height {
		first, second, weight := source(y, height, p.Height)
		if held[0] != first && held[1] == first {
			s.rows[0], s.rows[1] = s.rows[1], s.rows[0]
			held[0], held[1] = held[1], held[0]
		}
		if held[0] != first {
			blendColumns(s.rows[0], pix[3*first*w:][:3*w], s.columns)
			held[0] = first
		}
		if first == second || weight == 0 {
			// at an edge both terms of cv2's sum are of one row, each rounded
			blend(y, s.rows[0], s.rows[0], one-weight, weight)
			continue
		}
		if held[1] != second {
			blendColumns(s.rows[1], pix[3*second*w:][:3*w], s.columns)
			held[1] = second
		}
		blend(y, s.rows[0], s.rows[1], one-weight, weight)
	}
}

// double repeats the only column of a picture, so that every pixel has a
// right neighbor.
func (s *resizer) double(pix []byte) []byte {
	s.edge = s.edge[:0]
	for i := 0; i+3 <= len(pix); i += 3 {
		s.edge = append(s.edge, pix[i], pix[i+1], pix[i+2], pix[i], pix[i+1], pix[i+2])
	}
	return s.edge
}

// setColumns fills columns for a picture of size columns resized to n.
func (s *resizer) setColumns(size, n int) {
	if cap(s.columns) < n {
		s.columns = make([]column, n)
	}
	s.columns = s.columns[:n]
	for i := range s.columns {
		first, second, weight := source(i, n, size)
		if first == second { // over an edge: cv2 takes the pixel there whole
			weight = 0
			if first > 0 { // two pixels have to be read; take the second
				first, weight = first-1, one
			}
		}
		s.columns[i] = column{at: 3 * first, weight: weight}
	}
}

// blendColumns blends one row of the picture along x.
func blendColumns(dst []uint64, row []byte, columns []column) {
	dst = dst[:len(columns)]
	for i, c := range columns {
		p := row[c.at:][:6]
		a := uint64(p[0]) | uint64(p[1])<<green | uint64(p[2])<<blue
		b := uint64(p[3]) | uint64(p[4])<<green | uint64(p[5])<<blue
		dst[i] = (a*(one-c.weight) + b*c.weight) >> 4 & rowMask
	}
}

// blend blends two pixels along y. Red is the low byte of the first result,
// blue the byte at bit 38 of it, green the low byte of the second; the bits
// around them mean nothing.
func blend(p, q, wp, wq uint64) (redBlue, greenOnly uint64) {
	redBlue = ((p & sides * wp >> 16 & tops) + (q & sides * wq >> 16 & tops) + twos) >> 2
	greenOnly = ((p >> green & 0x7fff * wp >> 16) + (q >> green & 0x7fff * wq >> 16) + 2) >> 2
	return redBlue, greenOnly
}

// whole is blend where the second row has no weight, as in every row of a
// picture reduced by an odd whole number: one shift does all channels.
func whole(p uint64) uint64 {
	return (p>>5&(tops|0x3ff<<green) + (twos | 2<<green)) >> 2
}

// blendPlanes blends two rows along y into three planes.
func blendPlanes(r, g, b []float32, upper, lower []uint64, wa, wb uint64, levels *[256]float32) {
	r, g, b, lower = r[:len(upper)], g[:len(upper)], b[:len(upper)], lower[:len(upper)]
	if wb == 0 {
		for i, p := range upper {
			p = whole(p)
			r[i], g[i], b[i] = levels[uint8(p)], levels[uint8(p>>green)], levels[uint8(p>>blue)]
		}
		return
	}
	for i, p := range upper {
		redBlue, greenOnly := blend(p, lower[i], wa, wb)
		r[i] = levels[uint8(redBlue)]
		g[i] = levels[uint8(greenOnly)]
		b[i] = levels[uint8(redBlue>>blue)]
	}
}

// blendRow blends two rows along y into the bytes of one.
func blendRow(dst []byte, upper, lower []uint64, wa, wb uint64) {
	lower = lower[:len(upper)]
	for i, p := range upper {
		redBlue, greenOnly := blend(p, lower[i], wa, wb)
		d := dst[3*i:][:3]
		d[0], d[1], d[2] = byte(redBlue), byte(greenOnly), byte(redBlue>>blue)
	}
}
