package imaging

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// Extensions are those by which a folder's pictures are told from its other files.
var Extensions = []string{".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}

// IsPicture reports whether a path has a picture's extension.
func IsPicture(path string) bool {
	return slices.Contains(Extensions, strings.ToLower(filepath.Ext(path)))
}

// format is one kind of file that is read. decode is given a whole file, what
// config says of it, and memory that it may put the pixels into.
type format struct {
	name   string
	config func(io.Reader) (image.Config, error)
	decode func([]byte, image.Config, Memory) (*Picture, error)
}

var formats = map[string]format{
	"jpeg": {"jpeg", jpeg.DecodeConfig, decodeJPEG},
	"png":  {"png", png.DecodeConfig, decodeWith(png.Decode, FromImage)},
	"webp": {"webp", webp.DecodeConfig, decodeWith(webp.Decode, fromWebP)},
	"bmp":  {"bmp", bmp.DecodeConfig, decodeWith(bmp.Decode, FromImage)},
	"tiff": {"tiff", tiff.DecodeConfig, decodeWith(tiff.Decode, FromImage)},
}

// decodeWith joins one of Go's decoders and the way its images become pictures.
func decodeWith(decode func(io.Reader) (image.Image, error), convert func(image.Image) *Picture) func([]byte, image.Config, Memory) (*Picture, error) {
	return func(data []byte, _ image.Config, _ Memory) (*Picture, error) {
		m, err := decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return convert(m), nil
	}
}

// decodeJPEG takes libjpeg-turbo where it is. What that refuses, damaged files
// among it, is Go's decoder's, so that a machine's libraries do not decide what
// can be read.
func decodeJPEG(data []byte, config image.Config, memory Memory) (*Picture, error) {
	if t, err := turboJPEG(); err == nil {
		p, err := t.decode(data, config.Width, config.Height, memory)
		if !errors.Is(err, errTurboRefused) {
			return p, err
		}
	}
	return decodeWith(jpeg.Decode, FromImage)(data, config, memory)
}

// signatures are the first bytes of files, those read and those met by
// mistake; ? stands for any byte.
var signatures = []struct{ magic, name string }{
	{"\xff\xd8\xff", "jpeg"},
	{"\x89PNG\r\n\x1a\n", "png"},
	{"RIFF????WEBP", "webp"},
	{"BM", "bmp"},
	{"II*\x00", "tiff"},
	{"MM\x00*", "tiff"},
	{"GIF8", "a GIF"},
	{"%PDF", "a PDF"},
	{"%!PS", "PostScript"},
	{"8BPS", "a Photoshop file"},
	{"????ftypavif", "an AVIF picture"},
	{"????ftypheic", "a HEIC picture"},
	{"????ftypheix", "a HEIC picture"},
	{"????ftypmif1", "a HEIF picture"},
	{"????ftyp", "a video (MP4 family)"},
	{"RIFF????AVI ", "a video (AVI)"},
	{"\x1aE\xdf\xa3", "a video (Matroska)"},
	{"\xff\x0a", "a JPEG XL picture"},
	{"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"},
	{"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"},
	{"\xff\x4f\xff\x51", "a JPEG 2000 picture"},
	{"II+\x00", "a BigTIFF"},
	{"MM\x00+", "a BigTIFF"},
	{"\x76\x2f\x31\x01", "an OpenEXR picture"},
	{"#?RADIANCE", "a Radiance HDR picture"},
	{"P1\n", "a PNM picture"}, {"P2\n", "a PNM picture"}, {"P3\n", "a PNM picture"},
	{"P4\n", "a PNM picture"}, {"P5\n", "a PNM picture"}, {"P6\n", "a PNM picture"},
	{"\x00\x00\x01\x00", "an icon (ICO)"},
	{"PK\x03\x04", "a ZIP archive"},
	{"\x1f\x8b", "a gzip archive"},
	{"\x7fELF", "a program"},
	{"<svg", "an SVG drawing"},
	{"<?xml", "an XML or SVG file"},
	{"<!DOCTYPE", "a web page"},
	{"<html", "a web page"},
	{"version https://git-lfs", "a Git LFS pointer, not the file itself"},
}

// sniff names what the data is, by its first bytes; "" where that is unknown.
func sniff(data []byte) string {
	for _, s := range signatures {
		if matches(data, s.magic) {
			return s.name
		}
	}
	if len(data) > 0 && len(bytes.TrimRight(data[:min(len(data), 512)], "\x00")) == 0 {
		return "a file of zeros"
	}
	return ""
}

func matches(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}
