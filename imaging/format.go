package imaging

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/bmp"
)

// Extensions are those by which a folder's pictures are told from its other files.
var Extensions = []string{
	".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".pbm", ".pgm", ".ppm", ".pnm",
}

// IsPicture reports whether a path has a picture's extension.
func IsPicture(path string) bool {
	return slices.Contains(Extensions, strings.ToLower(filepath.Ext(path)))
}

// format is one kind of file that is read. decode is given a whole file, what
// config says of it, memory that it may put the pixels into, and limits that
// the file's size and config's are within.
type format struct {
	name   string
	config func([]byte) (image.Config, error)
	decode func([]byte, image.Config, Memory, Limits) (*Picture, error)
	// bytes is about what decode takes beside the pixels that it returns; nil
	// for one of Go's decoders, which makes an image of its own.
	bytes func([]byte, image.Config) int64
}

var formats = map[string]format{
	"jpeg": {"jpeg", configWith(jpeg.DecodeConfig), decodeJPEG, jpegBytes},
	"png":  {"png", configWith(png.DecodeConfig), decodeWith(png.Decode, FromImage), nil},
	"webp": {"webp", webpConfig, decodeWebP, nil},
	"bmp":  {"bmp", configWith(bmp.DecodeConfig), decodeWith(bmp.Decode, FromImage), nil},
	"tiff": {"tiff", tiffConfig, decodeTIFF, tiffBytes},
	"gif":  {"gif", configWith(gif.DecodeConfig), decodeGIF, nil},
	"pnm":  {"pnm", pnmConfig, decodePNM, func([]byte, image.Config) int64 { return 0 }},
}

func configWith(config func(io.Reader) (image.Config, error)) func([]byte) (image.Config, error) {
	return func(data []byte) (image.Config, error) { return config(bytes.NewReader(data)) }
}

// decodeWith joins one of Go's decoders and the way its images become pictures.
func decodeWith(
	decode func(io.Reader) (image.Image, error), convert func(image.Image) *Picture,
) func([]byte, image.Config, Memory, Limits) (*Picture, error) {
	return func(data []byte, _ image.Config, _ Memory, _ Limits) (*Picture, error) {
		m, err := decode(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return convert(m), nil
	}
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
	{"II+\x00", "tiff"},
	{"MM\x00+", "tiff"},
	{"GIF87a", "gif"},
	{"GIF89a", "gif"},
	{"P7\n", "a PAM image"},
	{"PF\n", "a PFM image"}, {"Pf\n", "a PFM image"},
	{"%PDF", "a PDF"},
	{"%!PS", "PostScript"},
	{"8BPS", "a Photoshop file"},
	{"????ftypavif", "an AVIF image"},
	{"????ftypavis", "an AVIF image"},
	{"????ftypheic", "a HEIC image"},
	{"????ftypheix", "a HEIC image"},
	{"????ftypheim", "a HEIC image"},
	{"????ftypheis", "a HEIC image"},
	{"????ftyphevc", "a HEIC image"},
	{"????ftyphevx", "a HEIC image"},
	{"????ftypmif1", "a HEIF image"},
	{"????ftypmsf1", "a HEIF image"},
	{"????ftyp", "a video (MP4 family)"},
	{"RIFF????AVI ", "a video (AVI)"},
	{"\x1aE\xdf\xa3", "a video (Matroska)"},
	{"\xff\x0a", "a JPEG XL image"},
	{"\x00\x00\x00\x0cJXL ", "a JPEG XL image"},
	{"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"},
	{"\xff\x4f\xff\x51", "a JPEG 2000 image"},
	{"\x76\x2f\x31\x01", "an OpenEXR image"},
	{"#?RADIANCE", "a Radiance HDR image"},
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

// converters are commands that make a PNG of what is not read here.
var converters = map[string]string{
	"an AVIF image":        "magick in.avif out.png",
	"a HEIC image":         "magick in.heic out.png",
	"a HEIF image":         "magick in.heif out.png",
	"a JPEG 2000 image":    "magick in.jp2 out.png",
	"a JPEG XL image":      "magick in.jxl out.png",
	"a PAM image":          "magick in.pam out.png",
	"a PFM image":          "magick in.pfm out.png",
	"an OpenEXR image":     "magick in.exr out.png",
	"a Radiance HDR image": "magick in.hdr out.png",
	"an icon (ICO)":        "magick 'in.ico[0]' out.png",
	"a Photoshop file":     "magick 'in.psd[0]' out.png",
	"an SVG drawing":       "magick in.svg out.png",
	"a PDF":                "pdftoppm -png in.pdf out",
	"a video (MP4 family)": "ffmpeg -i in.mp4 out%05d.png",
	"a video (AVI)":        "ffmpeg -i in.avi out%05d.png",
	"a video (Matroska)":   "ffmpeg -i in.mkv out%05d.png",
}

// sniff names what the data is, by its first bytes; "" where that is unknown.
func sniff(data []byte) string {
	if isPNM(data) {
		return "pnm"
	}
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
