package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"strings"
	"syscall"
)

// The errors that reading ends in, to be told with errors.Is.
var (
	// ErrUnsupported: the file is no picture, or of a kind trtdet does not read.
	ErrUnsupported = errors.New("not a picture trtdet reads")
	// ErrTooLarge: the file or the picture it claims to hold is over the limit.
	ErrTooLarge = errors.New("picture is over the limit")
	// ErrTruncated: the file ends before the picture does.
	ErrTruncated = errors.New("picture is cut short")
	// ErrDamaged: the file contradicts itself.
	ErrDamaged = errors.New("picture is damaged")
)

// Limits bound what a file may ask for and lack. Zero fields are the defaults.
type Limits struct {
	// MaxPixels is the greatest width x height, taken from the file's header
	// before a pixel is decoded. Default 200 million.
	MaxPixels int64
	// MaxBytes is the greatest size of the file. Default 512 MiB.
	MaxBytes int64
	// AllowTruncated reads a JPEG whose data ends early as far as it goes, the
	// rest gray, where it otherwise is an error that wraps ErrTruncated. It
	// takes libjpeg-turbo 2.0 or newer.
	AllowTruncated bool
}

// The defaults of Limits.
const (
	DefaultMaxPixels = 200_000_000
	DefaultMaxBytes  = 512 << 20
)

func (l Limits) withDefaults() Limits {
	if l.MaxPixels <= 0 {
		l.MaxPixels = DefaultMaxPixels
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	return l
}

// Open reads a JPEG, PNG, WebP, BMP, TIFF, GIF or PNM file, told by its content
// and not by its name, and turns it the way its EXIF orientation says. Of
// several images in a file it is the first. Errors name the path and wrap
// ErrUnsupported, ErrTooLarge, ErrTruncated, ErrDamaged or what the file
// system said.
func Open(path string, l Limits) (*Picture, error) {
	e, err := ReadFile(path, l)
	if err != nil {
		return nil, err
	}
	p, err := Load(e, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// ReadFile reads a file's bytes and decodes nothing: Inspect says what Load will
// take. Errors name the path and wrap ErrUnsupported, ErrTooLarge or what the file
// system said.
func ReadFile(path string, l Limits) (Encoded, error) {
	l = l.withDefaults()
	// not blocking: a named pipe that nobody writes to is an empty file
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Encoded{}, fmt.Errorf("cannot open picture: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Encoded{}, fmt.Errorf("cannot open picture: %w", err)
	}
	if info.IsDir() {
		return Encoded{}, fmt.Errorf("%s: %w: it is a folder", path, ErrUnsupported)
	}
	if info.Size() > l.MaxBytes {
		return Encoded{}, fmt.Errorf("%s: %w: %d bytes, at most %d are read", path, ErrTooLarge, info.Size(), l.MaxBytes)
	}
	e, err := read(f, l, info.Size())
	if err != nil {
		return Encoded{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// Read reads a picture as Open does. It reads r to its end.
func Read(r io.Reader, l Limits) (*Picture, error) {
	e, err := read(r, l.withDefaults(), 0)
	if err != nil {
		return nil, err
	}
	return Load(e, nil)
}

func read(r io.Reader, l Limits, size int64) (Encoded, error) {
	var buffer bytes.Buffer
	buffer.Grow(int(size) + bytes.MinRead)
	if _, err := buffer.ReadFrom(io.LimitReader(r, l.MaxBytes+1)); err != nil {
		return Encoded{}, fmt.Errorf("cannot read picture: %w", err)
	}
	if err := l.checkBytes(buffer.Len()); err != nil {
		return Encoded{}, err
	}
	return Encoded{buffer.Bytes(), l}, nil
}

// parse turns a file's bytes into a picture, whose pixels lie in memory where
// its decoder can write there.
func parse(data []byte, l Limits, memory Memory) (p *Picture, err error) {
	defer gaveUp(&err)
	f, config, err := header(data, l)
	if err != nil {
		return nil, err
	}
	var full error // of memory
	p, err = f.decode(data, config, func(bytes int) (pix []byte, err error) {
		pix, err = memory(bytes)
		full = err
		return pix, err
	}, l)
	if err != nil && full != nil && errors.Is(err, full) {
		return nil, err // which says nothing of the file
	}
	if err != nil {
		return nil, sorted(f.name, err)
	}
	return p.oriented(orientation(data, f.name)), nil
}

// gaveUp is deferred. The decoders are other people's: what makes one panic is a
// damaged file like any other.
func gaveUp(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: its decoder gave up: %v", ErrDamaged, r)
	}
}

// header returns a file's format and what its header says, within the limits.
func header(data []byte, l Limits) (_ format, _ image.Config, err error) {
	defer gaveUp(&err)
	if len(data) == 0 {
		return format{}, image.Config{}, fmt.Errorf("%w: the file is empty", ErrTruncated)
	}
	name := sniff(data)
	f, ok := formats[name]
	if !ok {
		return format{}, image.Config{}, refused(name)
	}
	config, err := f.config(data)
	if err != nil {
		return format{}, image.Config{}, sorted(f.name, err)
	}
	if config.Width < 1 || config.Height < 1 {
		return format{}, image.Config{}, fmt.Errorf("%w: %s of %dx%d pixels; get the file again", ErrDamaged, f.name, config.Width, config.Height)
	}
	if err := l.check(config.Width, config.Height); err != nil {
		return format{}, image.Config{}, fmt.Errorf("%w (%s)", err, f.name)
	}
	return f, config, nil
}

// refused is the error of a file that is not read, with the command that
// converts it where it is an image.
func refused(name string) error {
	if name == "" {
		name = "of no kind that is known"
	}
	command, ok := converters[name]
	if !ok {
		return fmt.Errorf("%w: it is %s; convert it to JPEG, PNG, WebP, BMP or TIFF", ErrUnsupported, name)
	}
	return fmt.Errorf("%w: it is %s; convert it first, for example with: %s", ErrUnsupported, name, command)
}

// checkBytes refuses a file that is over the limit.
func (l Limits) checkBytes(n int) error {
	if int64(n) > l.MaxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, l.MaxBytes)
	}
	return nil
}

// check refuses a size in pixels that is over the limit.
func (l Limits) check(width, height int) error {
	if int64(width) > l.MaxPixels/int64(height) {
		return fmt.Errorf("%w: %dx%d pixels, at most %d pixels are read; scale it down", ErrTooLarge, width, height, l.MaxPixels)
	}
	return nil
}

// sorted gives an error of the decoder of a format the kind that callers know.
func sorted(name string, err error) error {
	text := err.Error()
	for _, kind := range []error{ErrUnsupported, ErrTruncated, ErrDamaged} {
		if errors.Is(err, kind) {
			return err
		}
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), strings.Contains(text, "unexpected EOF"),
		strings.Contains(text, "not enough pixel data"), strings.Contains(text, "not enough image data"), strings.Contains(text, "short Huffman data"):
		return fmt.Errorf("%w: the %s ends early; get the file again", ErrTruncated, name)
	case strings.Contains(text, "dimension overflow"):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case strings.Contains(text, "unsupported"), strings.Contains(text, "not implemented"):
		return fmt.Errorf("%w: %w; convert it to JPEG or PNG", ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %s: %w; get the file again, or save it anew with another program", ErrDamaged, name, err)
}
