package tiff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"strings"
	"testing"
)

// file is a little-endian TIFF of 4x2 gray pixels in one strip, whose tags a
// test changes.
func file(change map[uint16][]uint32) []byte {
	pixels := []byte{0, 10, 20, 30, 40, 50, 60, 70}
	tags := map[uint16][]uint32{
		tagWidth: {4}, tagHeight: {2}, tagBits: {8}, tagCompression: {compressionNone}, tagPhotometric: {blackIsZero},
		tagStripOffsets: {8}, tagSamples: {1}, tagRowsPerStrip: {2}, tagStripSizes: {uint32(len(pixels))},
	}
	for tag, value := range change {
		if tags[tag] = value; value == nil {
			delete(tags, tag)
		}
	}
	o := binary.LittleEndian
	data := append(o.AppendUint32([]byte("II*\x00"), uint32(8+len(pixels))), pixels...)
	data = o.AppendUint16(data, uint16(len(tags)))
	values := len(data) + 12*len(tags) + 4
	var behind []byte
	for tag := range uint16(1000) {
		value, ok := tags[tag]
		if !ok {
			continue
		}
		data = o.AppendUint32(o.AppendUint16(o.AppendUint16(data, tag), kindLong), uint32(len(value)))
		if len(value) == 1 {
			data = o.AppendUint32(data, value[0])
			continue
		}
		data = o.AppendUint32(data, uint32(values+len(behind)))
		for _, v := range value {
			behind = o.AppendUint32(behind, v)
		}
	}
	return append(append(data, 0, 0, 0, 0), behind...)
}

func TestDecode(t *testing.T) {
	h, err := ReadHeader(file(nil))
	if err != nil {
		t.Fatal(err)
	}
	pix := make([]byte, 3*8)
	if err := h.Decode(file(nil), pix, nil); err != nil {
		t.Fatal(err)
	}
	if h.Width != 4 || h.Height != 2 || h.Orientation != 1 || h.Memory() != 8 {
		t.Errorf("%dx%d, orientation %d, %d bytes; want 4x2, 1, 8", h.Width, h.Height, h.Orientation, h.Memory())
	}
	for i, v := range pix {
		if int(v) != i/3*10 {
			t.Fatalf("pixels %v", pix)
		}
	}
}

// TestHeaders refuses what cannot be read, and what asks for too much, at the
// header.
func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		change map[uint16][]uint32
		want   error
		words  string
	}{
		{"no width", map[uint16][]uint32{tagWidth: nil}, ErrDamaged, "0x2"},
		{"a side over all measure", map[uint16][]uint32{tagHeight: {1 << 30}}, ErrDamaged, "4x1073741824"},
		{"no photometric tag", map[uint16][]uint32{tagPhotometric: nil}, ErrUnsupported, "PhotometricInterpretation"},
		{"float", map[uint16][]uint32{tagBits: {32}, tagSampleFormat: {3}}, ErrUnsupported, "32-bit floating point"},
		{"odd bits", map[uint16][]uint32{tagBits: {12}}, ErrUnsupported, "12 bits"},
		{"different bits", map[uint16][]uint32{tagBits: {8, 4}}, ErrUnsupported, "different numbers"},
		{"many samples", map[uint16][]uint32{tagSamples: {1 << 31}}, ErrUnsupported, "2147483647 samples"},
		{"few samples", map[uint16][]uint32{tagPhotometric: {rgb}}, ErrUnsupported, "RGB of 1 samples of 8 bits"},
		{"ICC's Lab", map[uint16][]uint32{tagPhotometric: {9}}, ErrUnsupported, "ICCLab"},
		{"LZMA", map[uint16][]uint32{tagCompression: {34925}}, ErrUnsupported, "LZMA"},
		{"a short palette", map[uint16][]uint32{tagPhotometric: {palette}, tagColorMap: make([]uint32, 767)}, ErrDamaged, "767 numbers, want 768"},
		{"no strips", map[uint16][]uint32{tagStripOffsets: nil}, ErrDamaged, "0 offsets"},
		{"few strips", map[uint16][]uint32{tagRowsPerStrip: {1}}, ErrDamaged, "want 2"},
		{"vast tiles", map[uint16][]uint32{tagTileWidth: {1 << 27}, tagTileHeight: {1 << 27}}, ErrUnsupported, "tiles of 134217728x134217728"},
		{"tiles of nothing", map[uint16][]uint32{tagTileWidth: {0}, tagTileHeight: {16}}, ErrDamaged, "tiles of 0x16"},
		{"vast tables", map[uint16][]uint32{tagJPEGTables: make([]uint32, maxTables)}, ErrDamaged, "32768 bytes of JPEG tables"},
		{"strips of more than the file", map[uint16][]uint32{
			tagHeight: {32}, tagRowsPerStrip: {1}, tagStripOffsets: make([]uint32, 32), tagStripSizes: slices.Repeat([]uint32{1 << 30}, 32),
		}, ErrDamaged, "far more bytes"},
		{"a predictor of floats", map[uint16][]uint32{tagCompression: {compressionLZW}, tagPredictor: {3}}, ErrUnsupported, "predictor 3"},
	} {
		h, err := ReadHeader(file(c.change))
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %+v, %v; want %v with %q", c.name, h, err, c.want, c.words)
		}
	}
	for n := range len(file(nil)) - 4 {
		if _, err := ReadHeader(file(nil)[:n]); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: %v, want %v", n, err, ErrTruncated)
		}
	}
}

// TestData refuses strips that do not hold what the header promises.
func TestData(t *testing.T) {
	bilevel := map[uint16][]uint32{tagBits: {1}}
	for _, c := range []struct {
		name   string
		change map[uint16][]uint32
		strip  string
		want   error
	}{
		{"few bytes", map[uint16][]uint32{tagStripSizes: {7}}, "", ErrTruncated},
		{"bytes behind the end", map[uint16][]uint32{tagStripOffsets: {1 << 31}}, "", ErrTruncated},
		{"empty LZW", map[uint16][]uint32{tagCompression: {compressionLZW}, tagStripSizes: {0}}, "", ErrTruncated},
		{"LZW of before TIFF 5.0", map[uint16][]uint32{tagCompression: {compressionLZW}}, "\x00\x01", ErrUnsupported},
		{"odd LZW", map[uint16][]uint32{tagCompression: {compressionLZW}}, "\xff\xff\xff\xff\xff\xff\xff\xff", ErrDamaged},
		{"odd Deflate", map[uint16][]uint32{tagCompression: {compressionDeflate}}, "12345678", ErrDamaged},
		{"cut Deflate", map[uint16][]uint32{tagCompression: {compressionDeflate}, tagStripSizes: {3}}, "\x78\x9c\x62", ErrTruncated},
		{"cut PackBits", map[uint16][]uint32{tagCompression: {compressionPackBits}}, "\xfe\x01\x80\x80\x80\x80\x80\x80", ErrTruncated},
		{"CCITT of bytes", map[uint16][]uint32{tagCompression: {compressionGroup4}}, "", ErrUnsupported},
		{"a CCITT code that is none", map[uint16][]uint32{tagCompression: {compressionGroup4}}, "\x00\x00\x00\x00", ErrDamaged},
		{"cut CCITT", map[uint16][]uint32{tagCompression: {compressionRLE}, tagStripSizes: {1}}, "\x00", ErrTruncated},
		{"a CCITT run over the edge", map[uint16][]uint32{tagCompression: {compressionRLE}}, "\xd8", ErrDamaged},
	} {
		change := map[uint16][]uint32{}
		if strings.Contains(c.name, "CCITT") && c.name != "CCITT of bytes" {
			change[tagBits] = bilevel[tagBits]
		}
		for tag, value := range c.change {
			change[tag] = value
		}
		data := file(change)
		copy(data[8:16], c.strip)
		h, err := ReadHeader(data)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := h.Decode(data, make([]byte, 3*8), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestWholeJPEG: a strip's JPEG gets the shared tables, and its colors are the
// TIFF's business.
func TestWholeJPEG(t *testing.T) {
	var b bytes.Buffer
	m := image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio444)
	for i := range m.Y {
		m.Y[i], m.Cb[i], m.Cr[i] = 200, 60, 30
	}
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(b.Bytes(), []byte{0xff, 0xc0}) // the frame; tables stand before it
	tables := append(bytes.Clone(b.Bytes()[:start]), 0xff, markEOI)
	// a JFIF segment would say YCbCr, whatever else does
	strip := append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), b.Bytes()[start:]...)
	for photometric, want := range map[int]color.RGBA{rgb: {200, 60, 30, 255}, yCbCr: {62, 255, 79, 255}} {
		h := &Header{photometric: photometric, jpegTables: tables}
		got, err := jpeg.Decode(bytes.NewReader(h.wholeJPEG(strip)))
		if err != nil {
			t.Errorf("photometric %d: %v", photometric, err)
			continue
		}
		r, g, bl, _ := got.At(5, 5).RGBA()
		near := func(a uint32, b uint8) bool { return max(int(a>>8), int(b))-min(int(a>>8), int(b)) <= 4 }
		if !near(r, want.R) || !near(g, want.G) || !near(bl, want.B) {
			t.Errorf("photometric %d: color %d, %d, %d, want %v", photometric, r>>8, g>>8, bl>>8, want)
		}
	}
}

// FuzzDecode: any bytes end in pixels or in one of the three errors, and take no
// more memory than the header says.
func FuzzDecode(f *testing.F) {
	f.Add(file(nil))
	f.Add(file(map[uint16][]uint32{tagTileWidth: {16}, tagTileHeight: {16}, tagTileOffsets: {8}, tagTileSizes: {8}}))
	for compression := range compressions {
		f.Add(file(map[uint16][]uint32{tagCompression: {uint32(compression)}, tagPredictor: {2}}))
		f.Add(file(map[uint16][]uint32{tagCompression: {uint32(compression)}, tagBits: {1}, tagT4Options: {1}, tagFillOrder: {2}}))
	}
	for photometric := range photometricNames {
		f.Add(file(map[uint16][]uint32{tagPhotometric: {uint32(photometric)}, tagSamples: {3}, tagRowsPerStrip: {1}, tagColorMap: make([]uint32, 768)}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHeader(data)
		if err == nil {
			if h.Width*h.Height > 1<<16 || h.Memory() > 1<<24 {
				return
			}
			err = h.Decode(data, make([]byte, 3*h.Width*h.Height), func(_ []byte, w, h, channels int) ([]byte, int, int, error) {
				return make([]byte, w*h*channels), w, h, nil
			})
		}
		if err != nil && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}
