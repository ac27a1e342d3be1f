package imaging

import (
	"fmt"
	"math"
)

// ShrinkArea returns an image resized to width x height pixels, neither larger
// than the image's own: cv2's 8-bit INTER_AREA (imgproc/resize.cpp), to the bit
// of a cv2 built without fused multiply-adds, as those for x86-64 are; with them
// a channel is at most one level off. Each pixel is the mean of the source
// pixels that it covers. A size of less than 1x1 or more than the image's is a
// mistake of the caller's and panics, as a broken image does.
func ShrinkArea(p *Picture, width, height int) *Picture {
	if err := p.check(); err != nil || width < 1 || height < 1 || width > p.Width || height > p.Height {
		panic(fmt.Sprintf("imaging: cannot shrink an image to %dx%d: %v", width, height, orSize(p, err)))
	}
	out := NewPicture(width, height)
	kx, wholeX := wholeRatio(p.Width, width)
	ky, wholeY := wholeRatio(p.Height, height)
	switch {
	case wholeX && wholeY && kx == 1 && ky == 1:
		copy(out.Pix, p.Pix)
	case wholeX && wholeY:
		shrinkWhole(out, p, kx, ky)
	default:
		shrinkCells(out, p)
	}
	return out
}

// orSize is err, or the size of an image that is sound.
func orSize(p *Picture, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("it has %dx%d pixels", p.Width, p.Height)
}

// areaScale is the number of source pixels in one of n, by the two divisions
// of cv2, each rounded to float64.
func areaScale(size, n int) float64 { return 1 / (float64(n) / float64(size)) }

// wholeRatio returns the scale and whether it is a whole number to cv2, which
// asks for less than DBL_EPSILON between the two: 98 to 2 pixels is not, since
// 1/(2/98) is rounded.
func wholeRatio(size, n int) (int, bool) {
	const epsilon = 0x1p-52
	scale := areaScale(size, n)
	whole := math.RoundToEven(scale)
	return int(whole), math.Abs(scale-whole) < epsilon
}

// shrinkWhole sums kx x ky pixels as integers and multiplies by the inverse of
// their number in float32. cv2 rounds the mean of 2x2 pixels up from one half,
// that of other cells to even.
func shrinkWhole(out, p *Picture, kx, ky int) {
	scale := 1 / float32(kx*ky)
	sums := make([]uint32, 3*out.Width)
	for y := range out.Height {
		clear(sums)
		for row := y * ky; row < (y+1)*ky; row++ {
			sumCells(sums, p.Pix[3*row*p.Width:][:3*p.Width], kx)
		}
		dst := out.Pix[3*y*out.Width:][:len(sums)]
		if kx == 2 && ky == 2 {
			for i, s := range sums {
				dst[i] = byte((s + 2) >> 2)
			}
			continue
		}
		for i, s := range sums {
			dst[i] = byte(math.RoundToEven(float64(float32(s) * scale)))
		}
	}
}

// sumCells adds every k pixels of a row to one of sums.
func sumCells(sums []uint32, row []byte, k int) {
	for i := 0; i+3 <= len(sums); i += 3 {
		cell := row[:3*k]
		row = row[3*k:]
		var r, g, b uint32
		for j := 0; j+3 <= len(cell); j += 3 {
			r, g, b = r+uint32(cell[j]), g+uint32(cell[j+1]), b+uint32(cell[j+2])
		}
		sums[i], sums[i+1], sums[i+2] = sums[i]+r, sums[i+1]+g, sums[i+2]+b
	}
}

// cell is the source pixels that one pixel of the result covers along one
// axis: weights[i] is the share of pixel first+i.
type cell struct {
	first   int
	weights []float32
}

// cells returns cv2's computeResizeAreaTab: shares of at most a thousandth of a
// pixel are dropped.
func cells(size, n int) []cell {
	const least = 1e-3
	scale := areaScale(size, n)
	all := make([]cell, n)
	for i := range all {
		from := float64(i) * scale
		to := from + scale
		width := min(scale, float64(size)-from)
		last := min(int(math.Floor(to)), size-1)
		first := min(int(math.Ceil(from)), last)
		c := cell{first: first}
		if before := float64(first) - from; before > least {
			c.first--
			c.weights = append(c.weights, float32(before/width))
		}
		for range last - first {
			c.weights = append(c.weights, float32(1/width))
		}
		if behind := to - float64(last); behind > least {
			c.weights = append(c.weights, float32(min(behind, 1, width)/width))
		}
		all[i] = c
	}
	return all
}

// shrinkCells weighs the pixels in float32, first along x, then along y, each
// product and each sum rounded in cv2's order. The conversions keep a compiler
// from fusing the two.
func shrinkCells(out, p *Picture) {
	columns, rows := cells(p.Width, out.Width), cells(p.Height, out.Height)
	sums, line := make([]float32, 3*out.Width), make([]float32, 3*out.Width)
	for y, row := range rows {
		clear(sums)
		for i, weight := range row.weights {
			weighColumns(line, p.Pix[3*(row.first+i)*p.Width:][:3*p.Width], columns)
			for x, v := range line {
				sums[x] += float32(v * weight)
			}
		}
		dst := out.Pix[3*y*out.Width:][:len(sums)]
		for x, v := range sums {
			dst[x] = byte(min(max(math.RoundToEven(float64(v)), 0), 255))
		}
	}
}

// weighColumns writes a row's cells along x.
func weighColumns(line []float32, row []byte, columns []cell) {
	for x, c := range columns {
		var r, g, b float32
		covered := row[3*c.first:][:3*len(c.weights)]
		for i, weight := range c.weights {
			p := covered[3*i:][:3]
			r += float32(float32(p[0]) * weight)
			g += float32(float32(p[1]) * weight)
			b += float32(float32(p[2]) * weight)
		}
		line[3*x], line[3*x+1], line[3*x+2] = r, g, b
	}
}
