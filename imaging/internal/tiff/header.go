package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The errors that reading ends in, to be told with errors.Is.
var (
	// ErrUnsupported: a valid kind of TIFF that is not read here.
	ErrUnsupported = errors.New("unsupported TIFF")
	// ErrTruncated: the file ends before the image does.
	ErrTruncated = errors.New("TIFF ends early")
	// ErrDamaged: the file contradicts itself.
	ErrDamaged = errors.New("TIFF is damaged")
)

// Header is what the tags of a file say about its first image.
type Header struct {
	// Width and Height in pixels, as stored.
	Width, Height int
	// Orientation is the Orientation tag, 1 to 8.
	Orientation int

	order       binary.ByteOrder
	bits        int // of a sample: 1, 2, 4, 8 or 16
	samples     int // of a pixel
	photometric int
	compression int
	predictor   int
	planar      bool // each sample has chunks of its own
	alpha       int  // alphaNone, alphaAssociated or alphaUnassociated
	reversed    bool // the bits of a byte run from the least significant one
	faxOptions  int
	colorMap    []uint64
	jpegTables  []byte
	ycbcr       ycbcr
	lab         lab

	chunkW, chunkH int // of a strip or tile, in pixels
	tiled          bool
	offsets, sizes []uint64 // of the chunks, in bytes of the file
}

// Tags.
const (
	tagWidth            = 256
	tagHeight           = 257
	tagBits             = 258
	tagCompression      = 259
	tagPhotometric      = 262
	tagFillOrder        = 266
	tagStripOffsets     = 273
	tagOrientation      = 274
	tagSamples          = 277
	tagRowsPerStrip     = 278
	tagStripSizes       = 279
	tagPlanar           = 284
	tagT4Options        = 292
	tagPredictor        = 317
	tagWhitePoint       = 318
	tagColorMap         = 320
	tagTileWidth        = 322
	tagTileHeight       = 323
	tagTileOffsets      = 324
	tagTileSizes        = 325
	tagInkSet           = 332
	tagExtraSamples     = 338
	tagSampleFormat     = 339
	tagJPEGTables       = 347
	tagYCbCrLuma        = 529
	tagYCbCrSubsampling = 530
	tagReference        = 532
)

// Values of PhotometricInterpretation.
const (
	whiteIsZero = 0
	blackIsZero = 1
	rgb         = 2
	palette     = 3
	separated   = 5 // CMYK
	yCbCr       = 6
	cieLab      = 8
)

// Values of ExtraSamples.
const (
	alphaNone         = 0
	alphaAssociated   = 1
	alphaUnassociated = 2
)

// maxSamples of a pixel, as cv2 reads at most.
const maxSamples = 4

// maxTables is more bytes than JPEG's tables can have.
const maxTables = 8 << 10

// maxSide is more than a side can have: products of two are exact.
const maxSide = 1 << 28

// ReadHeader reads the tags of a file's first image. The errors wrap
// ErrUnsupported, ErrTruncated or ErrDamaged.
func ReadHeader(data []byte) (*Header, error) {
	d, err := readDirectory(data)
	if err != nil {
		return nil, err
	}
	h := &Header{
		order:       d.order,
		compression: d.number(tagCompression, compressionNone),
		predictor:   d.number(tagPredictor, 1),
		samples:     d.number(tagSamples, 1),
		Orientation: d.number(tagOrientation, 1),
		planar:      d.number(tagPlanar, 1) == 2,
		reversed:    d.number(tagFillOrder, 1) == 2,
		faxOptions:  d.number(tagT4Options, 0),
		colorMap:    d.entries[tagColorMap].numbers(d.order, 3<<8),
		jpegTables:  d.entries[tagJPEGTables].data,
		ycbcr:       newYCbCr(d),
		lab:         newLab(d),
	}
	if h.Orientation < 1 || h.Orientation > 8 {
		h.Orientation = 1
	}
	for _, check := range []func(*directory) error{h.readSize, h.readSamples, h.readColor, h.readChunks} {
		if err := check(d); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *Header) readSize(d *directory) error {
	h.Width, h.Height = d.number(tagWidth, 0), d.number(tagHeight, 0)
	if min(h.Width, h.Height) < 1 || max(h.Width, h.Height) > maxSide {
		return fmt.Errorf("%w: %dx%d pixels", ErrDamaged, h.Width, h.Height)
	}
	return nil
}

func (h *Header) readSamples(d *directory) error {
	h.bits = d.number(tagBits, 1)
	for _, b := range d.entries[tagBits].numbers(d.order, maxSamples) {
		if int(b) != h.bits {
			return fmt.Errorf("%w: samples of different numbers of bits", ErrUnsupported)
		}
	}
	const unsigned, signed, float = 1, 2, 3
	switch format := d.number(tagSampleFormat, unsigned); {
	case format == float:
		return fmt.Errorf("%w: samples are %d-bit floating point, which has no fixed range", ErrUnsupported, h.bits)
	case format != unsigned && format != signed: // libtiff takes a signed sample's bits as they are
		return fmt.Errorf("%w: sample format %d", ErrUnsupported, format)
	}
	switch h.bits {
	case 1, 2, 4, 8, 16:
	default:
		return fmt.Errorf("%w: %d bits a sample", ErrUnsupported, h.bits)
	}
	if h.samples < 1 || h.samples > maxSamples {
		return fmt.Errorf("%w: %d samples a pixel", ErrUnsupported, h.samples)
	}
	return nil
}

// readColor finds out what the samples mean.
func (h *Header) readColor(d *directory) error {
	h.photometric = d.number(tagPhotometric, -1)
	extra := d.entries[tagExtraSamples].numbers(d.order, maxSamples)
	if len(extra) == 1 && extra[0] <= alphaUnassociated {
		h.alpha = int(extra[0])
	}
	needs := 0 // samples
	fits := false
	switch h.photometric {
	case -1:
		return fmt.Errorf("%w: it does not say what its samples mean (PhotometricInterpretation)", ErrUnsupported)
	case whiteIsZero, blackIsZero:
		needs, fits = 1, h.samples == 1 || h.bits >= 8 && !h.planar
	case palette:
		needs, fits = 1, h.bits <= 8 && (h.samples == 1 || h.bits == 8 && !h.planar)
		if fits && len(h.colorMap) < 3<<h.bits {
			return fmt.Errorf("%w: a palette of %d numbers, want %d", ErrDamaged, len(h.colorMap), 3<<h.bits)
		}
	case rgb:
		needs, fits = 3, h.bits >= 8
	case separated:
		needs, fits = 4, h.bits == 8 && d.number(tagInkSet, 1) == 1
	case yCbCr:
		y := h.ycbcr
		needs, fits = 3, h.bits == 8 && h.samples == 3 && min(y.across, y.down) >= 1 && max(y.across, y.down) <= 4
		if h.planar {
			fits = fits && h.compression != compressionJPEG && !h.subsampled()
		}
	case cieLab:
		needs, fits = 3, h.bits >= 8 && h.samples == 3 && !h.planar
	default:
		return fmt.Errorf("%w: color space %d (%s)", ErrUnsupported, h.photometric, named(photometricNames, h.photometric))
	}
	if h.samples < needs || !fits {
		apart := ""
		if h.planar {
			apart = ", each sample by itself"
		}
		return fmt.Errorf("%w: %s of %d samples of %d bits%s", ErrUnsupported, named(photometricNames, h.photometric), h.samples, h.bits, apart)
	}
	return nil
}

// photometricNames are for errors.
var photometricNames = map[int]string{
	whiteIsZero: "gray", blackIsZero: "gray", rgb: "RGB", palette: "palette", 4: "a mask", separated: "CMYK", yCbCr: "YCbCr",
	cieLab: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a camera's raw data", 32844: "LogL", 32845: "LogLuv", 34892: "raw data",
}

func named(names map[int]string, number int) string {
	if name, ok := names[number]; ok {
		return name
	}
	return "not known here"
}

// readChunks finds the strips or tiles.
func (h *Header) readChunks(d *directory) error {
	if _, ok := compressions[h.compression]; !ok {
		return fmt.Errorf("%w: compression %d (%s)", ErrUnsupported, h.compression, named(compressionNames, h.compression))
	}
	if h.predictor > 1 && h.predicts() && (h.predictor != 2 || h.bits < 8 || h.subsampled()) {
		return fmt.Errorf("%w: predictor %d with %d-bit samples", ErrUnsupported, h.predictor, h.bits)
	}
	offsets, sizes := tagStripOffsets, tagStripSizes
	if _, h.tiled = d.entries[tagTileWidth]; h.tiled {
		offsets, sizes = tagTileOffsets, tagTileSizes
		h.chunkW, h.chunkH = d.number(tagTileWidth, 0), d.number(tagTileHeight, 0)
	} else {
		h.chunkW, h.chunkH = h.Width, min(d.number(tagRowsPerStrip, h.Height), h.Height)
		if h.chunkH == 0 {
			h.chunkH = h.Height
		}
	}
	if min(h.chunkW, h.chunkH) < 1 || max(h.chunkW, h.chunkH) > maxSide {
		return fmt.Errorf("%w: strips or tiles of %dx%d", ErrDamaged, h.chunkW, h.chunkH)
	}
	// a tile may reach over the image, but not ask for memory beyond all measure
	if area := h.chunkW * h.chunkH; h.tiled && area > max(4*h.Width*h.Height, 1<<22) {
		return fmt.Errorf("%w: tiles of %dx%d in an image of %dx%d", ErrUnsupported, h.chunkW, h.chunkH, h.Width, h.Height)
	}
	want := h.across() * h.down() * h.planes()
	h.offsets, h.sizes = d.entries[uint16(offsets)].numbers(d.order, want), d.entries[uint16(sizes)].numbers(d.order, want)
	if len(h.offsets) == 1 && want == 1 && len(h.sizes) == 0 { // old writers leave it out
		h.sizes = []uint64{uint64(len(d.data)) - min(h.offsets[0], uint64(len(d.data)))}
	}
	if len(h.offsets) < want || len(h.sizes) < want {
		return fmt.Errorf("%w: %d offsets and %d sizes of strips or tiles, want %d", ErrDamaged, len(h.offsets), len(h.sizes), want)
	}
	if len(h.jpegTables) > maxTables {
		return fmt.Errorf("%w: %d bytes of JPEG tables", ErrDamaged, len(h.jpegTables))
	}
	// chunks may share their bytes, but not so many that copying them takes for ever
	whole, sum := uint64(len(d.data)), uint64(0)
	for _, size := range h.sizes {
		if sum += min(size, whole); sum > 16*whole {
			return fmt.Errorf("%w: strips or tiles hold far more bytes than the file", ErrDamaged)
		}
	}
	return nil
}

// across and down are how many chunks lie beside and below each other.
func (h *Header) across() int { return (h.Width + h.chunkW - 1) / h.chunkW }
func (h *Header) down() int   { return (h.Height + h.chunkH - 1) / h.chunkH }

// planes is how many chunks hold the samples of one pixel.
func (h *Header) planes() int {
	if h.planar {
		return h.samples
	}
	return 1
}

// samplesOf is how many samples of a pixel one chunk holds.
func (h *Header) samplesOf() int { return h.samples / h.planes() }

// subsampled reports whether the file has fewer chroma samples than pixels.
// JPEG's are its decoder's business.
func (h *Header) subsampled() bool {
	return h.photometric == yCbCr && h.compression != compressionJPEG && h.ycbcr.across*h.ycbcr.down > 1
}

// rowBytes is the size of a row of a chunk.
func (h *Header) rowBytes() int { return (h.chunkW*h.samplesOf()*h.bits + 7) / 8 }

// chunkBytes is the size of a chunk of rows, decompressed.
func (h *Header) chunkBytes(rows int) int {
	if h.subsampled() {
		y := h.ycbcr
		return y.unitBytes() * ((h.chunkW + y.across - 1) / y.across) * ((rows + y.down - 1) / y.down)
	}
	return rows * h.rowBytes()
}

// Memory is about the number of bytes that Decode takes beside the pixels it
// writes.
func (h *Header) Memory() int64 {
	bytes := int64(h.planes()) * int64(h.chunkBytes(h.chunkH))
	if h.compression == compressionJPEG { // its decoder makes an image of its own, or two
		bytes += 8 * int64(h.chunkW) * int64(h.chunkH)
	}
	return bytes
}
