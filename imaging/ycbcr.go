package imaging

import "image"

// fromJPEG converts JPEG's full-range YCbCr the way libjpeg does, which cv2
// and PIL read with and networks were trained on: chroma upsampled with a
// triangle filter ("fancy upsampling", jdsample.c) and libjpeg's fixed-point
// color conversion (jdcolor.c). Go's own repeats chroma samples, which moves
// colors at edges by tens of levels.
func fromJPEG(p *Picture, m *image.YCbCr) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	up := upsampler{ratio: m.SubsampleRatio, width: w}
	up.cw, up.ch = chromaSize(w, h, m.SubsampleRatio)
	cb, cr := make([]uint8, w+1), make([]uint8, w+1)
	sums := make([]int32, up.cw)
	// the picture's own corner, should it be a part of a larger one
	origin := m.COffset(m.Rect.Min.X, m.Rect.Min.Y)
	for y := range h {
		up.row(cb, sums, m.Cb[origin:], m.CStride, y)
		up.row(cr, sums, m.Cr[origin:], m.CStride, y)
		luma := m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y+y):][:w]
		dst, cb, cr := p.Pix[3*y*w:][:3*w], cb[:w], cr[:w]
		for x, l := range luma {
			u, v, l := int32(cb[x])-128, int32(cr[x])-128, int32(l)
			d := dst[3*x:][:3]
			d[0] = clip(l + (fix140200*v+half)>>16)
			d[1] = clip(l + (half-fix034414*u-fix071414*v)>>16)
			d[2] = clip(l + (fix177200*u+half)>>16)
		}
	}
}

// libjpeg's color constants in 65536ths.
const (
	fix140200 = 91881
	fix177200 = 116130
	fix034414 = 22554
	fix071414 = 46802
	half      = 1 << 15
)

func clip(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below, 255 above
	}
	return uint8(v)
}

// chromaSize returns the size of the chroma planes of a picture.
func chromaSize(w, h int, r image.YCbCrSubsampleRatio) (cw, ch int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return (w + 1) / 2, h
	case image.YCbCrSubsampleRatio420:
		return (w + 1) / 2, (h + 1) / 2
	case image.YCbCrSubsampleRatio440:
		return w, (h + 1) / 2
	case image.YCbCrSubsampleRatio411:
		return (w + 3) / 4, h
	case image.YCbCrSubsampleRatio410:
		return (w + 3) / 4, (h + 1) / 2
	}
	return w, h
}

// upsampler brings rows of chroma to the picture's width.
type upsampler struct {
	ratio  image.YCbCrSubsampleRatio
	width  int
	cw, ch int
}

// row writes row y of a chroma plane at full size; dst has one value more
// than the picture is wide.
func (u *upsampler) row(dst []uint8, sums []int32, plane []uint8, stride, y int) {
	switch u.ratio {
	case image.YCbCrSubsampleRatio444:
		copy(dst, plane[y*stride:][:u.cw])
	case image.YCbCrSubsampleRatio422:
		u.across(dst, plane[y*stride:][:u.cw])
	case image.YCbCrSubsampleRatio420:
		near, far := u.nearFar(plane, stride, y)
		u.both(dst, sums, near, far)
	case image.YCbCrSubsampleRatio440:
		near, far := u.nearFar(plane, stride, y)
		bias := 1 + y&1
		for x := range near {
			dst[x] = uint8((3*int(near[x]) + int(far[x]) + bias) >> 2)
		}
	case image.YCbCrSubsampleRatio411:
		for x := range u.width {
			dst[x] = plane[y*stride+x/4]
		}
	default:
		for x := range u.width {
			dst[x] = plane[y/2*stride+x/4]
		}
	}
}

// nearFar returns the chroma row that picture row y lies in, and the one it
// lies nearer to of its neighbors; at the edges the row itself.
func (u *upsampler) nearFar(plane []uint8, stride, y int) (near, far []uint8) {
	n := y / 2
	f := min(max(n-1+2*(y&1), 0), u.ch-1)
	return plane[n*stride:][:u.cw], plane[f*stride:][:u.cw]
}

// across doubles a row: three quarters of the nearer sample, one of the other
// (h2v1_fancy_upsample). libjpeg repeats samples where there are two or fewer.
func (u *upsampler) across(dst, src []uint8) {
	last := len(src) - 1
	if last < 2 {
		for x := range u.width {
			dst[x] = src[x/2]
		}
		return
	}
	dst[0] = src[0]
	for i := range last {
		a, b := int(src[i]), int(src[i+1])
		d := dst[2*i+1:][:2]
		d[0] = uint8((3*a + b + 2) >> 2)
		d[1] = uint8((3*b + a + 1) >> 2)
	}
	if 2*last+1 < len(dst) {
		dst[2*last+1] = src[last]
	}
}

// both doubles a row that lies between two rows (h2v2_fancy_upsample).
func (u *upsampler) both(dst []uint8, sums []int32, near, far []uint8) {
	last := len(near) - 1
	if last < 2 {
		for x := range u.width {
			dst[x] = near[x/2]
		}
		return
	}
	sums = sums[:len(near)]
	for i, n := range near {
		sums[i] = 3*int32(n) + int32(far[i])
	}
	dst[0] = uint8((4*sums[0] + 8) >> 4)
	a := sums[0]
	for i, b := range sums[1:] {
		d := dst[2*i+1:][:2]
		d[0] = uint8((3*a + b + 7) >> 4)
		d[1] = uint8((3*b + a + 8) >> 4)
		a = b
	}
	if 2*last+1 < len(dst) {
		dst[2*last+1] = uint8((4*sums[last] + 7) >> 4)
	}
}
