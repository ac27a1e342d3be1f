package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func encoded(t testing.TB, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func small() *Picture {
	p := NewPicture(8, 6)
	for i := range p.Pix {
		p.Pix[i] = byte(i * 5)
	}
	return p
}

// claiming is a PNG of a few bytes that says it is width x height.
func claiming(width, height uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func TestOpenErrors(t *testing.T) {
	jpg := encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, small().rgba(), nil) })
	pic := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, small()) })
	anim := encoded(t, func(b *bytes.Buffer) error {
		return gif.Encode(b, image.NewPaletted(image.Rect(0, 0, 40, 40), color.Palette{color.Black, color.White}), nil)
	})
	flipped := bytes.Clone(pic)
	flipped[len(flipped)-20] ^= 0xff
	cases := []struct {
		name   string
		data   []byte
		limits Limits
		want   error
		says   string
	}{
		{"empty.jpg", nil, Limits{}, ErrTruncated, "empty"},
		{"cut.jpg", jpg[:len(jpg)/2], Limits{}, ErrTruncated, "jpeg ends early"},
		{"almost.jpg", jpg[:len(jpg)-4], Limits{}, ErrTruncated, "jpeg ends early"},
		{"cut.png", pic[:len(pic)/2], Limits{}, ErrTruncated, "png ends early"},
		{"flipped.png", flipped, Limits{}, ErrDamaged, "png"},
		{"cut.gif", anim[:len(anim)-20], Limits{}, ErrTruncated, "gif ends early"},
		{"over.gif", anim, Limits{MaxPixels: 1599}, ErrTooLarge, "40x40"},
		{"cut.pgm", []byte("P5 4 4 255\n0123456789abcde"), Limits{}, ErrTruncated, "pnm ends early"},
		{"head.pgm", []byte("P5 4 4"), Limits{}, ErrTruncated, "pnm ends early"},
		{"words.pgm", []byte("P2 4 four 255\n"), Limits{}, ErrDamaged, "'f' where a number is due"},
		{"over.ppm", []byte("P6 20001 10000 255\n"), Limits{}, ErrTooLarge, "20001x10000"},
		{"far.ppm", []byte("P6 2000000000 1 255\n"), Limits{}, ErrDamaged, "2000000000x1"},
		{"none.pbm", []byte("P4 0 3\n"), Limits{}, ErrDamaged, "0x3"},
		{"jpeg2000.jpg", []byte("\xff\x4f\xff\x51...."), Limits{}, ErrUnsupported, "a JPEG 2000 image; convert it first, for example with: magick"},
		{"avif.jpg", []byte("\x00\x00\x00\x20ftypavif...."), Limits{}, ErrUnsupported, "an AVIF image; convert it first, for example with: magick"},
		{"doc.jpg", []byte("%PDF-1.7 ..."), Limits{}, ErrUnsupported, "a PDF"},
		{"clip.jpg", []byte("\x00\x00\x00\x20ftypisom...."), Limits{}, ErrUnsupported, "video"},
		{"heic.jpg", []byte("\x00\x00\x00\x20ftypheic...."), Limits{}, ErrUnsupported, "a HEIC image; convert it first, for example with: magick"},
		{"lfs.jpg", []byte("version https://git-lfs.github.com/spec/v1"), Limits{}, ErrUnsupported, "LFS"},
		{"zeros.jpg", make([]byte, 4000), Limits{}, ErrUnsupported, "zeros"},
		{"text.jpg", []byte("hello"), Limits{}, ErrUnsupported, "no kind that is known"},
		{"bomb.png", claiming(1<<30, 1<<30), Limits{}, ErrTooLarge, "overflow"},
		{"wide.png", claiming(1<<30, 1), Limits{}, ErrTooLarge, "1073741824x1"},
		{"big.png", claiming(20001, 10000), Limits{}, ErrTooLarge, "20001x10000"},
		{"over.png", pic, Limits{MaxPixels: 47}, ErrTooLarge, "8x6"},
		{"bytes.png", pic, Limits{MaxBytes: 20}, ErrTooLarge, "20"},
		{"none.png", claiming(0, 5), Limits{}, ErrDamaged, ""},
	}
	folder := t.TempDir()
	for _, c := range cases {
		path := filepath.Join(folder, c.name)
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Open(path, c.limits)
		if p != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", c.name, err, c.want, c.says)
		}
		if p, err := Read(bytes.NewReader(c.data), c.limits); p != nil || !errors.Is(err, c.want) {
			t.Errorf("%s read: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := Open(filepath.Join(folder, "missing.png"), Limits{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(folder, Limits{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a folder: %v", err)
	}
	if p, err := Read(bytes.NewReader(pic), Limits{MaxPixels: 48, MaxBytes: int64(len(pic))}); err != nil || !bytes.Equal(p.Pix, small().Pix) {
		t.Errorf("a picture right at the limits: %v", err)
	}
}

// TestPanicIsAnError: whatever a decoder does to a file, the caller sees an
// error.
func TestPanicIsAnError(t *testing.T) {
	saved := formats["bmp"]
	defer func() { formats["bmp"] = saved }()
	broken := saved
	broken.config = nil
	formats["bmp"] = broken
	if _, err := Read(strings.NewReader("BM and more"), Limits{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a decoder that panics: %v", err)
	}
}

// TestNameDoesNotMatter: the content says what a file is.
func TestNameDoesNotMatter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "picture.jpg")
	if err := os.WriteFile(path, encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, small()) }), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := Open(path, Limits{}); err != nil || !bytes.Equal(p.Pix, small().Pix) {
		t.Errorf("a PNG named .jpg: %v", err)
	}
}

// TestIsPicture: a folder's files are those of the formats that are read.
func TestIsPicture(t *testing.T) {
	for name, want := range map[string]bool{
		"a.jpg": true, "a.JPEG": true, "a.jfif": true, "a.png": true, "a.webp": true, "a.bmp": true, "a.TIF": true, "a.tiff": true,
		"a.gif": true, "a.pbm": true, "a.pgm": true, "a.ppm": true, "a.pnm": true,
		"a.avif": false, "a.heic": false, "a.jp2": false, "a.pam": false, "a.hdr": false, "a.mp4": false, "a.txt": false, "jpg": false,
	} {
		if got := IsPicture("folder/" + name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

func TestFromImage(t *testing.T) {
	r := image.Rect(3, 2, 5, 3) // two pixels, not at the origin
	fill := func(m interface {
		image.Image
		Set(x, y int, c color.Color)
	}, a, b color.Color) image.Image {
		m.Set(3, 2, a)
		m.Set(4, 2, b)
		return m
	}
	paletted := image.NewPaletted(r, color.Palette{color.NRGBA{200, 100, 50, 0}, color.RGBA{50, 25, 10, 100}})
	paletted.Pix = []byte{0, 1}
	lost := image.NewPaletted(r, color.Palette{color.White})
	lost.Pix = []byte{0, 9}
	cases := []struct {
		name string
		in   image.Image
		want []byte
	}{
		{"nrgba", fill(image.NewNRGBA(r), color.NRGBA{1, 2, 3, 0}, color.NRGBA{4, 5, 6, 7}), []byte{1, 2, 3, 4, 5, 6}},
		{"rgba is un-multiplied", fill(image.NewRGBA(r), color.RGBA{50, 25, 10, 100}, color.RGBA{9, 8, 7, 255}), []byte{127, 63, 25, 9, 8, 7}},
		{"nrgba64", fill(image.NewNRGBA64(r), color.NRGBA64{0x12ff, 0x34ff, 0x56ff, 3}, color.NRGBA64{0xffff, 0xff, 0x100, 0}), []byte{0x12, 0x34, 0x56, 0xff, 0, 1}},
		{"rgba64", fill(image.NewRGBA64(r), color.RGBA64{0x12ff, 0x34ff, 0x56ff, 0xffff}, color.RGBA64{0x1000, 0x800, 0, 0x2000}), []byte{0x12, 0x34, 0x56, 127, 63, 0}},
		{"gray", fill(image.NewGray(r), color.Gray{9}, color.Gray{250}), []byte{9, 9, 9, 250, 250, 250}},
		{"gray16", fill(image.NewGray16(r), color.Gray16{0x9ff}, color.Gray16{0xfa00}), []byte{9, 9, 9, 250, 250, 250}},
		{"cmyk", fill(image.NewCMYK(r), color.CMYK{0, 255, 0, 0}, color.CMYK{0, 0, 0, 255}), []byte{255, 0, 255, 0, 0, 0}},
		{"paletted", paletted, []byte{200, 100, 50, 127, 63, 25}},
		{"index over the palette", lost, []byte{255, 255, 255, 0, 0, 0}},
		{"another type", fill(image.NewAlpha(r), color.Alpha{255}, color.Alpha{0}), []byte{255, 255, 255, 0, 0, 0}},
		{"itself", FromImage(fill(image.NewNRGBA(r), color.NRGBA{1, 2, 3, 0}, color.NRGBA{4, 5, 6, 7})), []byte{1, 2, 3, 4, 5, 6}},
	}
	for _, c := range cases {
		if got := FromImage(c.in); got.Width != 2 || got.Height != 1 || !bytes.Equal(got.Pix, c.want) {
			t.Errorf("%s: %+v, want %v", c.name, got, c.want)
		}
	}
	// a part of a larger picture has the same pixels as the whole has there
	whole, err := jpeg.Decode(bytes.NewReader(encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, noise(40, 30).rgba(), nil) })))
	if err != nil {
		t.Fatal(err)
	}
	part := FromImage(whole.(*image.YCbCr).SubImage(image.Rect(8, 6, 30, 20)))
	full := FromImage(whole)
	for y := 2; y < 12; y++ { // its edges have no neighbors to be upsampled from
		got, want := part.Pix[3*(y*part.Width+2):][:3*18], full.Pix[3*((y+6)*full.Width+10):][:3*18]
		if !bytes.Equal(got, want) {
			t.Fatalf("row %d of a part of a JPEG: %v, want %v", y, got, want)
		}
	}
}

// noise is a picture of pseudo-random pixels.
func noise(w, h int) *Picture {
	p, state := NewPicture(w, h), uint32(1)
	for i := range p.Pix {
		state = state*1664525 + 1013904223
		p.Pix[i] = byte(state >> 24)
	}
	return p
}

// FuzzRead: any bytes end in a picture that is whole, or in one of the four
// errors.
func FuzzRead(f *testing.F) {
	f.Add(encoded(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, small().rgba(), nil) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return png.Encode(b, small()) }))
	f.Add([]byte("BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x18\x00"))
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x02\x00\x00\x01\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01\x01\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00"))
	f.Add([]byte("RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00\x30\x01\x00\x9d\x01\x2a\x01\x00\x01\x00\x02\x00\x34\x25\xa4\x00\x03\x70\x00\xfe\xfb\x94\x00\x00"))
	f.Add([]byte("RIFF\x24\x00\x00\x00WEBPEXIF\xff\xff\xff\xff"))
	f.Add(claiming(9, 1<<31-1))
	f.Add([]byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x09\x00\x00\x09\x00\x00"))
	f.Add([]byte("GIF89a\x01\x00\x01\x00"))
	f.Add(encoded(f, func(b *bytes.Buffer) error {
		return gif.Encode(b, image.NewPaletted(image.Rect(0, 0, 9, 7), color.Palette{color.Black, color.Transparent}), nil)
	}))
	f.Add([]byte("RIFF\x54\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x02\x00\x00ANMF\x30\x00\x00\x00" +
		"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x64\x00\x00\x00" +
		"VP8 \x18\x00\x00\x00\x30\x01\x00\x9d\x01\x2a\x01\x00\x01\x00\x02\x00\x34\x25\xa4\x00\x03\x70\x00\xfe\xfb\x94\x00\x00"))
	for _, pnm := range []string{"P1 3 2 101010", "P2 2 2 100 1 2 3 99", "P3 1 1 9000 1 2 3", "P4 9 1 ab", "P5 2 1 255 ab", "P6#c\n1 1 65535 abcdef"} {
		f.Add([]byte(pnm))
	}
	f.Add([]byte("MM\x00+\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10"))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, small().rgba(), nil) })[:300])
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read(bytes.NewReader(data), Limits{MaxPixels: 1 << 16})
		if asFar, farErr := Read(bytes.NewReader(data), Limits{MaxPixels: 1 << 16, AllowTruncated: true}); err == nil {
			if farErr != nil || !bytes.Equal(p.Pix, asFar.Pix) {
				t.Fatalf("a file that can be read is another where it may be truncated: %v", farErr)
			}
		} else if farErr == nil && !errors.Is(err, ErrTruncated) {
			t.Fatalf("what is allowed to be truncated is more than that: %v", err)
		}
		if err != nil {
			for _, known := range []error{ErrUnsupported, ErrTooLarge, ErrTruncated, ErrDamaged} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("an error of no kind: %v", err)
		}
		if p.Width < 1 || p.Height < 1 || p.Width*p.Height > 1<<16 || len(p.Pix) != 3*p.Width*p.Height {
			t.Fatalf("%dx%d pixels in %d bytes", p.Width, p.Height, len(p.Pix))
		}
	})
}
