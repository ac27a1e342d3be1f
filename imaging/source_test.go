package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/tiff"

	"github.com/trtdet/trtdet/decode"
)

// laid is pixels of a picture with a gap after each row.
func laid(p *Picture, gap int, order decode.ChannelOrder) *Raw {
	r := &Raw{Width: p.Width, Height: p.Height, Order: order}
	if gap > 0 {
		r.Pitch = 3*p.Width + gap
	}
	for y := range p.Height {
		for x := range p.Width {
			pixel := slices.Clone(p.Pix[3*(y*p.Width+x):][:3])
			if order == decode.BGR {
				slices.Reverse(pixel)
			}
			r.Pix = append(r.Pix, pixel...)
		}
		if y < p.Height-1 { // the last row ends with its pixels
			r.Pix = append(r.Pix, bytes.Repeat([]byte{0xee}, gap)...)
		}
	}
	return r
}

// A picture is the same in whatever form it comes, and what has to be written
// is written to the memory that is given.
func TestLoad(t *testing.T) {
	p := noise(37, 23)
	pic := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, p) })
	jpg := encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, p.rgba(), &jpeg.Options{Quality: 90}) })
	read, err := Read(bytes.NewReader(jpg), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	_, turboErr := TurboJPEG()
	for _, c := range []struct {
		name    string
		source  Source
		want    *Picture
		written bool // to the memory given
	}{
		{"a Picture", p, p, false},
		{"RGB", laid(p, 0, ""), p, true},
		{"RGB that says so, with a pitch", laid(p, 5, decode.RGB), p, true},
		{"BGR", laid(p, 0, decode.BGR), p, true},
		{"BGR with a pitch", laid(p, 11, decode.BGR), p, true},
		{"a PNG", Encoded{Data: pic}, p, false},
		{"a PNM", Encoded{Data: asPPM(p)}, p, true},
		{"a TIFF", Encoded{Data: asTIFF(t, p)}, p, true},
		{"a JPEG", Encoded{Data: jpg}, read, turboErr == nil},
		{"one of Go's images", Image{p.rgba()}, p, false},
		{"a part of one", Image{p.rgba().SubImage(image.Rect(3, 2, 20, 11))}, p.cut(3, 2, 20, 11), false},
	} {
		memory := bytes.Repeat([]byte{0xaa}, 3*37*23+100)
		got, err := Load(c.source, func(size int) ([]byte, error) { return memory[:size], nil })
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Width != c.want.Width || got.Height != c.want.Height || !bytes.Equal(got.Pix, c.want.Pix) {
			t.Errorf("%s: other pixels, of %dx%d", c.name, got.Width, got.Height)
		}
		if written := &got.Pix[0] == &memory[0]; written != c.written {
			t.Errorf("%s: written to the memory given: %t, want %t", c.name, written, c.written)
		}
		if written := bytes.Count(memory, []byte{0xaa}); !c.written && written != len(memory) {
			t.Errorf("%s: the memory was written to", c.name)
		}
	}
}

// TestInspect counts what decoders take beside the picture.
func TestInspect(t *testing.T) {
	p := noise(37, 23)
	pixels := int64(37 * 23)
	for _, c := range []struct {
		name   string
		source Source
		want   int64
	}{
		{"a Picture", p, 3 * pixels},
		{"a PNM", Encoded{Data: asPPM(p)}, 3 * pixels},
		{"a TIFF of four samples a pixel", Encoded{Data: asTIFF(t, p)}, (3 + 4) * pixels},
		{"a PNG", Encoded{Data: encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, p) })}, (3 + 4) * pixels},
	} {
		info, err := Inspect(c.source)
		if err != nil || info.Width != 37 || info.Height != 23 || info.Bytes != c.want {
			t.Errorf("%s: %+v, %v; want 37x23 and %d bytes", c.name, info, err, c.want)
		}
	}
}

// asPPM and asTIFF are pictures as files.
func asPPM(p *Picture) []byte {
	return append(fmt.Appendf(nil, "P6\n%d %d\n255\n", p.Width, p.Height), p.Pix...)
}

func asTIFF(t *testing.T, p *Picture) []byte {
	return encoded(t, func(b *bytes.Buffer) error {
		return tiff.Encode(b, p, &tiff.Options{Compression: tiff.Deflate, Predictor: true})
	})
}

// cut is a part of a picture.
func (p *Picture) cut(x1, y1, x2, y2 int) *Picture {
	part := NewPicture(x2-x1, y2-y1)
	for y := range part.Height {
		copy(part.Pix[3*y*part.Width:], p.Pix[3*((y1+y)*p.Width+x1):][:3*part.Width])
	}
	return part
}

func TestLoadErrors(t *testing.T) {
	full := errors.New("no memory")
	p := small()
	pic := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, p) })
	short := laid(p, 4, "")
	short.Pix = short.Pix[:len(short.Pix)-1]
	for _, c := range []struct {
		name   string
		source Source
		want   error
		words  string
	}{
		{"nothing", nil, ErrUnsupported, "no picture"},
		{"no Picture", (*Picture)(nil), ErrUnsupported, "no picture"},
		{"a Picture with too few pixels", &Picture{Width: 2, Height: 2, Pix: make([]byte, 11)}, ErrDamaged, "2x2 with 11 bytes"},
		{"a Picture of no size", &Picture{}, ErrDamaged, "0x0"},
		{"no Raw", (*Raw)(nil), ErrUnsupported, "no picture"},
		{"a Raw of no width", &Raw{Height: 3}, ErrDamaged, "0x3"},
		{"rows shorter than their pixels", &Raw{Width: 4, Height: 1, Pitch: 11, Pix: make([]byte, 12)}, ErrDamaged, "rows of 11 bytes"},
		{"a Raw that is cut short", short, ErrTruncated, "rows of 28 bytes are 164 bytes, there are 163"},
		{"an order that is none", &Raw{Width: 1, Height: 1, Pix: make([]byte, 3), Order: "rgba"}, ErrUnsupported, `order "rgba"`},
		{"no memory", laid(p, 0, ""), full, ""},
		{"no memory for a PNM", Encoded{Data: asPPM(p)}, full, ""},
		{"no memory for a TIFF", Encoded{Data: asTIFF(t, p)}, full, ""},
		{"a PNM that claims too much, before there is memory for it", Encoded{Data: []byte("P6 9999 9999 255\n")}, ErrTruncated, "pnm"},
		{"a PNM of digits likewise", Encoded{Data: []byte("P2 9999 9999 255\n1 2 3 4 5")}, ErrTruncated, "pnm"},
		{"a bitmap likewise", Encoded{Data: []byte("P4 9999 9999\n")}, ErrTruncated, "pnm"},
		{"no file", Encoded{}, ErrTruncated, "empty"},
		{"a file that is cut short", Encoded{Data: pic[:60]}, ErrTruncated, ""},
		{"a file of too many bytes", Encoded{Data: pic, Limits: Limits{MaxBytes: 20}}, ErrTooLarge, "more than 20 bytes"},
		{"a file of too many pixels", Encoded{Data: pic, Limits: Limits{MaxPixels: 47}}, ErrTooLarge, "at most 47 pixels"},
		{"no image", Image{}, ErrDamaged, "no pixels"},
		{"an image of no pixels", Image{image.NewPaletted(image.Rectangle{}, color.Palette{color.Black})}, ErrDamaged, "no pixels"},
	} {
		got, err := Load(c.source, func(int) ([]byte, error) { return nil, full })
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, %v; want %v with %q", c.name, got, err, c.want, c.words)
		}
	}
}
