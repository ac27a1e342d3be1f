package tiff

import (
	"bytes"
	"fmt"
)

// Markers of JPEG.
const (
	markSOI   = 0xd8
	markEOI   = 0xd9
	markSOS   = 0xda
	markAPP0  = 0xe0
	markAPP14 = 0xee
	markAPP15 = 0xef
)

// unJPEG decodes a chunk that is a JPEG file, but for the tables that all
// chunks share.
func (h *Header) unJPEG(src []byte, rows int, jpeg JPEG) ([]byte, error) {
	if h.bits != 8 {
		return nil, fmt.Errorf("%w: JPEG of %d-bit samples", ErrUnsupported, h.bits)
	}
	if h.samplesOf() == 2 {
		return nil, fmt.Errorf("%w: JPEG of two samples a pixel", ErrUnsupported)
	}
	samples, w, height, err := jpeg(h.wholeJPEG(src), h.chunkW, h.chunkH, h.samplesOf())
	if err != nil {
		return nil, err
	}
	if w != h.chunkW || height < rows {
		return nil, fmt.Errorf("%w: a JPEG of %dx%d pixels in a strip or tile of %dx%d", ErrDamaged, w, height, h.chunkW, rows)
	}
	return samples, nil
}

// wholeJPEG joins the shared tables and a chunk. What the chunk itself says
// of its colors is left out: the TIFF's tags decide.
func (h *Header) wholeJPEG(chunk []byte) []byte {
	const asStored, yCbCrToRGB = 0, 1
	transform := byte(asStored)
	if h.photometric == yCbCr {
		transform = yCbCrToRGB
	}
	out := []byte{0xff, markSOI, 0xff, markAPP14, 0, 14}
	out = append(out, "Adobe\x00\x64\x00\x00\x00\x00"...)
	out = append(out, transform)
	for _, part := range [][]byte{h.jpegTables, chunk} {
		out = appendSegments(out, part)
	}
	return out
}

// appendSegments appends a JPEG without SOI and application segments; what
// follows SOS is not looked at.
func appendSegments(out, data []byte) []byte {
	data = bytes.TrimPrefix(data, []byte{0xff, markSOI})
	for len(data) >= 4 && data[0] == 0xff {
		switch mark := data[1]; {
		case mark == markEOI:
			return out
		case mark == markSOS:
			return append(out, data...)
		case mark == 0xff: // fill
			data = data[1:]
		default:
			size := min(2+int(data[2])<<8+int(data[3]), len(data))
			if mark < markAPP0 || mark > markAPP15 {
				out = append(out, data[:size]...)
			}
			data = data[size:]
		}
	}
	return out
}
