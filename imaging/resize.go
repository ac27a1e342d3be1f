package imaging

import (
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
// A pixel blended along x is one uint64 with a channel every 21 bits, so that
// a multiplication does all three: 255*2048 needs 20.
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
	at     int32
	weight uint32
}

var resizers = sync.Pool{New: func() any { return new(resizer) }}

const (
	one       = 2048 // 1 in the weights' unit
	laneMask  = 1<<21 - 1
	laneWidth = 21
	// rowMask keeps, of a blended pixel without its low 4 bits, the 15 bits of
	// each channel.
	rowMask = 0x7fff | 0x7fff<<laneWidth | 0x7fff<<(2*laneWidth)
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

// source returns the two neighbors of position i of n resized from size, and
// the second one's weight in 2048ths; cv2 works the position out in float64
// and rounds it to float32.
func source(i, n, size int) (first, second int, weight uint32) {
	scale := 1 / (float64(n) / float64(size))
	f := float32((float64(i)+0.5)*scale - 0.5)
	at := int(math.Floor(float64(f)))
	f -= float32(at)
	weight = uint32(math.RoundToEven(float64(f * one)))
	return min(max(at, 0), size-1), min(max(at+1, 0), size-1), weight
}

// resize hands blend every row of the picture resized to width x height: the
// two rows blended along x that it lies between and their weights.
func (s *resizer) resize(p *Picture, width, height int, blend func(y int, a, b []uint64, wa, wb uint32)) {
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
			// both terms of cv2's sum are computed, so the weights stay apart
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
		s.columns[i] = column{at: int32(3 * first), weight: weight}
	}
}

// blendColumns blends one row of the picture along x.
func blendColumns(dst []uint64, row []byte, columns []column) {
	dst = dst[:len(columns)]
	for i, c := range columns {
		p := row[c.at:][:6]
		a := uint64(p[0]) | uint64(p[1])<<laneWidth | uint64(p[2])<<(2*laneWidth)
		b := uint64(p[3]) | uint64(p[4])<<laneWidth | uint64(p[5])<<(2*laneWidth)
		dst[i] = (a*uint64(one-c.weight) + b*uint64(c.weight)) >> 4 & rowMask
	}
}

// blendPlanes blends two rows along y into three planes.
func blendPlanes(red, green, blue []float32, a, b []uint64, wa, wb uint32, levels *[256]float32) {
	n := len(a)
	red, green, blue, b = red[:n], green[:n], blue[:n], b[:n]
	for i, p := range a {
		q := b[i]
		red[i] = levels[level(uint32(p&laneMask), uint32(q&laneMask), wa, wb)]
		green[i] = levels[level(uint32(p>>laneWidth&laneMask), uint32(q>>laneWidth&laneMask), wa, wb)]
		blue[i] = levels[level(uint32(p>>(2*laneWidth)), uint32(q>>(2*laneWidth)), wa, wb)]
	}
}

// blendBytes blends two rows along y into RGB pixels.
func blendBytes(dst []byte, a, b []uint64, wa, wb uint32) {
	b = b[:len(a)]
	for i, p := range a {
		q := b[i]
		d := dst[3*i:][:3]
		d[0] = level(uint32(p&laneMask), uint32(q&laneMask), wa, wb)
		d[1] = level(uint32(p>>laneWidth&laneMask), uint32(q>>laneWidth&laneMask), wa, wb)
		d[2] = level(uint32(p>>(2*laneWidth)), uint32(q>>(2*laneWidth)), wa, wb)
	}
}

// level blends one channel along y.
func level(a, b, wa, wb uint32) uint8 {
	return uint8((a*wa>>16 + b*wb>>16 + 2) >> 2)
}
