package imaging

import (
	"bufio"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/trtdet/trtdet/internal/wholefile"
)

// jpegQuality is cv2.imwrite's default.
const jpegQuality = 95

// Save writes the picture as the path's extension says: .jpg, .jpeg (quality
// 95) or .png. The file is complete or not there: it is written beside its
// place, synced and renamed. Another extension wraps ErrUnsupported.
func Save(path string, p *Picture) error {
	return p.save(path, func(encode func(io.Writer) error) error { return wholefile.Write(path, encode) })
}

// SaveIn is Save for a name below a folder, from which no link leads away.
func SaveIn(folder *os.Root, name string, p *Picture) error {
	return p.save(name, func(encode func(io.Writer) error) error { return wholefile.WriteIn(folder, name, encode) })
}

func (p *Picture) save(path string, write func(encode func(io.Writer) error) error) error {
	if p.Width < 1 || p.Height < 1 {
		return fmt.Errorf("cannot write %s: the picture has %dx%d pixels", path, p.Width, p.Height)
	}
	var encode func(io.Writer) error
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".jpg", ".jpeg":
		encode = p.encodeJPEG
	case ".png":
		encode = func(w io.Writer) error {
			e := png.Encoder{CompressionLevel: png.BestSpeed}
			return e.Encode(w, p.rgba())
		}
	default:
		return fmt.Errorf("cannot write %s: %w: extension %q, want .jpg or .png", path, ErrUnsupported, ext)
	}
	err := write(func(f io.Writer) error {
		w := bufio.NewWriterSize(f, 1<<16)
		if err := encode(w); err != nil {
			return err
		}
		return w.Flush()
	})
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// encodeJPEG takes libjpeg-turbo where it is, as decodeJPEG does.
func (p *Picture) encodeJPEG(w io.Writer) error {
	if t, err := turboJPEG(); err == nil {
		data, err := t.encode(p, jpegQuality)
		if !errors.Is(err, errTurboRefused) {
			_, err := w.Write(data)
			return err
		}
	}
	return jpeg.Encode(w, p.rgba(), &jpeg.Options{Quality: jpegQuality})
}
