package imaging

import (
	"bufio"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// jpegQuality is cv2.imwrite's default.
const jpegQuality = 95

// Save writes the picture as the path's extension says: .jpg, .jpeg (quality
// 95) or .png. The file is complete or not there: it is written beside its
// place, synced and renamed. Another extension wraps ErrUnsupported.
func Save(path string, p *Picture) error {
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
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer f.Cleanup()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := encode(w); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
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
