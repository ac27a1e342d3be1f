package tiff

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/image/tiff/lzw"
)

// Values of Compression.
const (
	compressionNone     = 1
	compressionRLE      = 2 // CCITT, modified Huffman
	compressionGroup3   = 3
	compressionGroup4   = 4
	compressionLZW      = 5
	compressionJPEG     = 7
	compressionDeflate  = 8
	compressionRLEW     = 32771 // RLE in rows of whole 16-bit words
	compressionPackBits = 32773
	compressionDeflate0 = 32946 // Deflate before it had a number
)

// compressions fill a chunk's rows from its bytes. JPEG, which makes samples of
// its own, is nil.
var compressions = map[int]func(h *Header, dst, src []byte) error{
	compressionNone:     func(_ *Header, dst, src []byte) error { return filled(copy(dst, src), dst) },
	compressionRLE:      fax,
	compressionRLEW:     fax,
	compressionGroup3:   fax,
	compressionGroup4:   fax,
	compressionLZW:      unLZW,
	compressionJPEG:     nil,
	compressionDeflate:  inflate,
	compressionDeflate0: inflate,
	compressionPackBits: func(_ *Header, dst, src []byte) error { return unpackBits(dst, src) },
}

// compressionNames are for errors.
var compressionNames = map[int]string{
	6: "old JPEG", 9: "JBIG", 10: "JBIG", 32809: "ThunderScan", 32908: "PixarFilm", 32909: "PixarLog", 34661: "JBIG", 34676: "SGI Log",
	34677: "SGI Log", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG of a DNG",
	34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
}

// filled is the error of a chunk that has fewer bytes than its rows.
func filled(n int, dst []byte) error {
	if n < len(dst) {
		return fmt.Errorf("%w: a strip or tile of %d bytes, want %d", ErrTruncated, n, len(dst))
	}
	return nil
}

// predicts reports whether the compression goes with a predictor.
func (h *Header) predicts() bool {
	switch h.compression {
	case compressionLZW, compressionDeflate, compressionDeflate0:
		return true
	}
	return false
}

func unLZW(_ *Header, dst, src []byte) error {
	if len(src) > 1 && src[0] == 0 && src[1]&1 == 1 {
		return fmt.Errorf("%w: LZW with the bits of before TIFF 5.0", ErrUnsupported)
	}
	r := lzw.NewReader(bytes.NewReader(src), lzw.MSB, 8)
	defer r.Close()
	return readAll(dst, r, "LZW")
}

func inflate(_ *Header, dst, src []byte) error {
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return streamError("Deflate", err)
	}
	defer r.Close()
	return readAll(dst, r, "Deflate")
}

func readAll(dst []byte, r io.Reader, name string) error {
	if _, err := io.ReadFull(r, dst); err != nil {
		return streamError(name, err)
	}
	return nil
}

func streamError(name string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s data", ErrTruncated, name)
	}
	return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
}

// unpackBits undoes PackBits: a signed byte n, then n+1 bytes as they are, or
// one byte 1-n times.
func unpackBits(dst, src []byte) error {
	at := 0
	for at < len(dst) && len(src) > 1 {
		n := int(int8(src[0]))
		src = src[1:]
		switch {
		case n >= 0:
			part := src[:min(n+1, len(src))]
			at += copy(dst[at:], part)
			src = src[len(part):]
		case n != -128:
			run := dst[at:min(at+1-n, len(dst))]
			for i := range run {
				run[i] = src[0]
			}
			at += len(run)
			src = src[1:]
		}
	}
	return filled(at, dst)
}

// unpredict undoes horizontal differencing in a row of whole samples.
func (h *Header) unpredict(row []byte) {
	n := h.samplesOf()
	if h.bits == 8 {
		for i := n; i < len(row); i++ {
			row[i] += row[i-n]
		}
		return
	}
	for i := 2 * n; i+2 <= len(row); i += 2 {
		h.order.PutUint16(row[i:], h.order.Uint16(row[i:])+h.order.Uint16(row[i-2*n:]))
	}
}

// mirrored returns bytes with their bits in reverse.
func mirrored(data []byte) []byte {
	out := make([]byte, len(data))
	for i, b := range data {
		out[i] = bits.Reverse8(b)
	}
	return out
}
