package tiff

import "math"

// converter writes a pixel's samples as RGB.
type converter func(dst []byte, s []uint16)

// converter returns the one for the header's kind of pixels. The arithmetic is
// that of libtiff's TIFFReadRGBAImage.
func (h *Header) converter() converter {
	switch h.photometric {
	case whiteIsZero, blackIsZero:
		return h.gray()
	case palette:
		return h.palette()
	case separated:
		return cmyk
	case cieLab:
		return h.lab.converter(h.bits)
	case yCbCr:
		if h.compression != compressionJPEG { // whose decoder converts
			return h.ycbcr.converter()
		}
	}
	level := func(v uint16) byte { return byte(v) }
	if h.bits == 16 {
		level = to8
	}
	if h.samples == 4 && h.alpha == alphaUnassociated {
		return multiplied(level)
	}
	return func(dst []byte, s []uint16) {
		dst[0], dst[1], dst[2] = level(s[0]), level(s[1]), level(s[2])
	}
}

func (h *Header) gray() converter {
	most, shift := 1<<min(h.bits, 8)-1, max(h.bits-8, 0)
	var levels [256]byte
	for i := range most + 1 {
		level := i
		if h.photometric == whiteIsZero {
			level = most - i
		}
		levels[i] = byte(level * 255 / most)
	}
	return func(dst []byte, s []uint16) {
		v := levels[s[0]>>shift]
		dst[0], dst[1], dst[2] = v, v, v
	}
}

// palette looks colors up. The numbers of a color map have 16 bits, but for
// those of some old writers.
func (h *Header) palette() converter {
	n := 1 << h.bits
	wide := false
	for _, v := range h.colorMap[:3*n] {
		wide = wide || v > 255
	}
	colors := make([][3]byte, n)
	for i := range 3 * n {
		v := h.colorMap[i]
		if wide {
			v >>= 8
		}
		colors[i%n][i/n] = byte(v)
	}
	return func(dst []byte, s []uint16) {
		c := &colors[s[0]]
		dst[0], dst[1], dst[2] = c[0], c[1], c[2]
	}
}

// to8 rounds 16 bits to 8.
func to8(v uint16) byte { return byte((uint32(v) + 128) / 257) }

// multiplied puts an image with transparent pixels on black, as cv2 shows it.
func multiplied(level func(uint16) byte) converter {
	return func(dst []byte, s []uint16) {
		alpha := uint32(level(s[3]))
		for i := range 3 {
			dst[i] = byte((uint32(level(s[i]))*alpha + 127) / 255)
		}
	}
}

func cmyk(dst []byte, s []uint16) {
	k := 255 - uint32(s[3])
	for i := range 3 {
		dst[i] = byte(k * (255 - uint32(s[i])) / 255)
	}
}

// ycbcr is how luma and chroma become RGB.
type ycbcr struct {
	across, down int // pixels that share a chroma sample
	luma         []float32
	reference    []float32 // black and white of Y, Cb and Cr
}

func newYCbCr(d *directory) ycbcr {
	y := ycbcr{across: 2, down: 2, luma: d.floats(tagYCbCrLuma, 3), reference: d.floats(tagReference, 6)}
	if n := d.entries[tagYCbCrSubsampling].numbers(d.order, 2); len(n) == 2 {
		y.across, y.down = int(n[0]), int(n[1])
	}
	if y.luma == nil {
		y.luma = []float32{0.299, 0.587, 0.114}
	}
	if y.reference == nil {
		y.reference = []float32{0, 255, 128, 255, 128, 255}
	}
	return y
}

// unitBytes is the size of a group of pixels that share a chroma sample.
func (y *ycbcr) unitBytes() int { return y.across*y.down + 2 }

func (y *ycbcr) converter() converter {
	const half = 1 << 15
	fixed := func(v float32) int32 { return int32(float64(min(max(v, 0), 2))*(1<<16) + 0.5) }
	scaled := func(i int, black, white, most float32) float32 {
		span := float32(int32(white) - int32(black))
		if white == black {
			span = 1
		}
		return float32(i-int(int32(black))) * most / span
	}
	bounded := func(v float32) int32 { return int32(min(max(v, -128*32), 128*32)) }
	r, g, b := y.luma[0], y.luma[1], y.luma[2]
	toR, toB := 2-2*r, 2-2*b
	d1, d2, d3, d4 := fixed(toR), -fixed(r*toR/g), fixed(toB), -fixed(b*toB/g)
	var luma, crR, crG, cbG, cbB [256]int32
	for i := range 256 {
		cr := bounded(scaled(i-128, y.reference[4]-128, y.reference[5]-128, 127))
		cb := bounded(scaled(i-128, y.reference[2]-128, y.reference[3]-128, 127))
		luma[i] = bounded(scaled(i, y.reference[0], y.reference[1], 255))
		crR[i], cbB[i] = (d1*cr+half)>>16, (d3*cb+half)>>16
		crG[i], cbG[i] = d2*cr, d4*cb+half
	}
	clip := func(v int32) byte { return byte(min(max(v, 0), 255)) }
	return func(dst []byte, s []uint16) {
		l, cb, cr := luma[s[0]], s[1], s[2]
		dst[0] = clip(l + crR[cr])
		dst[1] = clip(l + (cbG[cb]+crG[cr])>>16)
		dst[2] = clip(l + cbB[cb])
	}
}

// placeSubsampled writes a chunk of units: the luma of their pixels, then Cb
// and Cr.
func (h *Header) placeSubsampled(pix, chunk []byte, top, left int) {
	y := h.ycbcr
	put := y.converter()
	units := (h.chunkW + y.across - 1) / y.across
	samples := make([]uint16, 3)
	for row := range min(h.chunkH, h.Height-top) {
		dst := pix[3*((top+row)*h.Width+left):]
		for x := range min(h.chunkW, h.Width-left) {
			unit := chunk[(row/y.down*units+x/y.across)*y.unitBytes():][:y.unitBytes()]
			samples[0] = uint16(unit[row%y.down*y.across+x%y.across])
			samples[1], samples[2] = uint16(unit[len(unit)-2]), uint16(unit[len(unit)-1])
			put(dst[3*x:][:3], samples)
		}
	}
}

// lab is CIE L*a*b* and the white that it is relative to.
type lab struct{ white [3]float32 }

func newLab(d *directory) lab {
	white := d.floats(tagWhitePoint, 2)
	if white == nil || white[1] == 0 {
		// D50, as chromaticity
		const x, y, z = 96.4250, 100, 82.4680
		white = []float32{x / (x + y + z), y / (x + y + z)}
	}
	return lab{[3]float32{white[0] / white[1] * 100, 100, (1 - white[0] - white[1]) / white[1] * 100}}
}

// labSteps is the number of steps of the table of sRGB's gamma.
const labSteps = 1500

func (c *lab) converter(bits int) converter {
	var gamma [labSteps + 1]float32
	for i := range gamma {
		gamma[i] = 255 * float32(math.Pow(float64(i)/labSteps, 1/2.4))
	}
	// X, Y and Z to linear red, green and blue
	matrix := [3][3]float32{{3.2410, -1.5374, -0.4986}, {-0.9692, 1.8760, 0.0416}, {0.0556, -0.2040, 1.0570}}
	const darkest, lightest = float32(1), float32(100)
	const step = (lightest - darkest) / labSteps
	return func(dst []byte, s []uint16) {
		xyz := c.xyz(s, bits)
		for i, m := range matrix {
			v := min(max(m[0]*xyz[0]+m[1]*xyz[1]+m[2]*xyz[2], darkest), lightest)
			dst[i] = byte(min(gamma[min(int((v-darkest)/step), labSteps)]+0.5, 255))
		}
	}
}

// xyz converts L, which is unsigned, and a and b, which are not.
func (c *lab) xyz(s []uint16, bits int) [3]float32 {
	l, a, b := float32(s[0])*100/255, float32(int8(s[1])), float32(int8(s[2]))
	if bits == 16 {
		l, a, b = float32(s[0])*100/65535, float32(int16(s[1]))/256, float32(int16(s[2]))/256
	}
	var y, root float32
	if l < 8.856 {
		y = l * c.white[1] / 903.292
		root = 7.787*(y/c.white[1]) + 16./116
	} else {
		root = (l + 16) / 116
		y = c.white[1] * root * root * root
	}
	back := func(t, white float32) float32 {
		if t < 0.2069 {
			return white * (t - 0.13793) / 7.787
		}
		return white * t * t * t
	}
	return [3]float32{back(a/500+root, c.white[0]), y, back(root-b/200, c.white[2])}
}
