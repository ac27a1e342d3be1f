package imaging

import (
	"bytes"

	"github.com/bep/imagemeta"
)

// metaFormats are the formats whose EXIF is read.
var metaFormats = map[string]imagemeta.ImageFormat{
	"jpeg": imagemeta.JPEG, "png": imagemeta.PNG, "webp": imagemeta.TIFF,
}

// orientation returns the file's EXIF orientation, 1 to 8; 1 where there is
// none or it cannot be read, since a picture is worth more than its metadata.
func orientation(data []byte, format string) int {
	if format == "tiff" {
		return tiffOrientation(data)
	}
	f, ok := metaFormats[format]
	if !ok {
		return 1
	}
	if format == "webp" {
		if data = webpEXIF(data); data == nil {
			return 1
		}
	}
	found := 1
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(data), ImageFormat: f, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool {
			return t.Tag == "Orientation" && t.Namespace == "IFD0"
		},
		HandleTag: func(t imagemeta.TagInfo) error {
			if v, ok := t.Value.(uint16); ok && v >= 1 && v <= 8 {
				found = int(v)
			}
			return imagemeta.ErrStopWalking
		},
	})
	if err != nil {
		return 1
	}
	return found
}

// webpEXIF returns the EXIF of a WebP file, which has the form of a TIFF file;
// nil where there is none. imagemeta loses its way after a chunk of odd length.
func webpEXIF(data []byte) []byte {
	for rest := data[min(len("RIFF????WEBP"), len(data)):]; ; {
		name, body, behind, err := webpChunk(rest)
		if err != nil {
			return nil
		}
		if name == "EXIF" {
			return bytes.TrimPrefix(body, []byte("Exif\x00\x00"))
		}
		rest = behind
	}
}

// oriented returns the picture turned and mirrored as an EXIF orientation
// says. 1 is as stored, 2 mirrored, 3 upside down, 4 mirrored upside down; 5
// to 8 lie on their side: 5 transposed, 6 to be turned clockwise, 7
// transversed, 8 to be turned counterclockwise.
func (p *Picture) oriented(orientation int) *Picture {
	if orientation < 2 || orientation > 8 {
		return p
	}
	w, h := p.Width, p.Height
	// The stored pixel that becomes (x, y) is at start + x*right + y*down.
	var start, right, down int
	switch orientation {
	case 2:
		start, right, down = w-1, -1, w
	case 3:
		start, right, down = w*h-1, -1, -w
	case 4:
		start, right, down = w*(h-1), 1, -w
	case 5:
		start, right, down = 0, w, 1
	case 6:
		start, right, down = w*(h-1), -w, 1
	case 7:
		start, right, down = w*h-1, -w, -1
	case 8:
		start, right, down = w-1, w, -1
	}
	out := NewPicture(w, h)
	if orientation >= 5 {
		out.Width, out.Height = h, w
	}
	i := 0
	for y := range out.Height {
		from := start + y*down
		for range out.Width {
			copy(out.Pix[i:i+3], p.Pix[3*from:3*from+3])
			i += 3
			from += right
		}
	}
	return out
}
