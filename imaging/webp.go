package imaging

import "image"

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
