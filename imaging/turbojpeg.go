package imaging

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/ebitengine/purego"

	"github.com/trtdet/trtdet/internal/trust"
)

// EnvTurboJPEG names the libjpeg-turbo to read and write JPEG files with, or is
// "none" for Go's own code, which is some times slower.
const EnvTurboJPEG = "TRTDET_TURBOJPEG"

// turboJPEGNames are tried in turn where EnvTurboJPEG says nothing, the first
// beside the program before.
var turboJPEGNames = []string{"libturbojpeg.so.0", "libturbojpeg.so"}

// TurboJPEG returns the name or path of the libjpeg-turbo that JPEG files are
// read and written with, or why Go's own code does it.
func TurboJPEG() (library string, err error) {
	t, err := turboJPEG()
	if err != nil {
		return "", err
	}
	return t.name, nil
}

// turbo is libjpeg-turbo's TurboJPEG API (turbojpeg.h), version 1.2 or newer.
type turbo struct {
	name         string
	decompressor func() uintptr
	compressor   func() uintptr
	destroy      func(handle uintptr) int32
	header       func(handle uintptr, jpeg *byte, size uint64, width, height, subsampling, colorspace *int32) int32
	decompress   func(handle uintptr, jpeg *byte, size uint64, dst *byte, width, pitch, height, format, flags int32) int32
	bound        func(width, height, subsampling int32) uint64
	errorCode    func(handle uintptr) int32 // nil before 2.0
	compress     func(handle uintptr, src *byte, width, pitch, height, format int32, jpeg **byte, size *uint64, subsampling, quality, flags int32) int32

	// free are decompressors not in use; one serves one call at a time. What
	// does not fit in is destroyed.
	free chan uintptr
}

// TurboJPEG's numbers.
const (
	turboRGB           = 0       // TJPF_RGB
	turboCMYK          = 3       // TJCS_CMYK; TJCS_YCCK is the only greater one
	turbo420           = 2       // TJSAMP_420
	turboNoRealloc     = 1024    // TJFLAG_NOREALLOC
	turboStopOnWarning = 8192    // TJFLAG_STOPONWARNING
	turboLimitScans    = 32768   // TJFLAG_LIMITSCANS
	turboWarning       = 0       // TJERR_WARNING
	turboMaxBytes      = 1 << 31 // its older versions count in 32 bits
)

// errTurboRefused: libjpeg-turbo does not take this file or picture; Go's own
// code does, or says what is wrong with it.
var errTurboRefused = errors.New("libjpeg-turbo refuses it")

// turboJPEG loads the library, once.
var turboJPEG = sync.OnceValues(func() (*turbo, error) {
	names := turboJPEGNames
	if program, err := os.Executable(); err == nil {
		names = turboJPEGPlaces(program)
	}
	if named := os.Getenv(EnvTurboJPEG); named != "" {
		names = []string{named}
	}
	var errs []error
	for _, name := range names {
		if name == "none" {
			return nil, fmt.Errorf("%s is none", EnvTurboJPEG)
		}
		t, err := loadTurbo(name)
		if err == nil {
			return t, nil
		}
		errs = append(errs, err)
	}
	return nil, errs[0]
})

// turboJPEGPlaces returns turboJPEGNames, after the file of the first name that
// lies beside the program, if there is one that no stranger can have put there.
func turboJPEGPlaces(program string) []string {
	program, err := filepath.EvalSymlinks(program)
	beside := filepath.Join(filepath.Dir(program), turboJPEGNames[0])
	if info, statErr := os.Stat(beside); err != nil || statErr != nil || !info.Mode().IsRegular() || trust.File(beside) != nil {
		return turboJPEGNames
	}
	return append([]string{beside}, turboJPEGNames...)
}

func loadTurbo(name string) (*turbo, error) {
	library, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	t := &turbo{name: name, free: make(chan uintptr, runtime.GOMAXPROCS(0))}
	for symbol, function := range map[string]any{
		"tjInitDecompress": &t.decompressor, "tjDecompressHeader3": &t.header, "tjDecompress2": &t.decompress,
		"tjInitCompress": &t.compressor, "tjBufSize": &t.bound, "tjCompress2": &t.compress, "tjDestroy": &t.destroy,
	} {
		address, err := purego.Dlsym(library, symbol)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		purego.RegisterFunc(function, address)
	}
	if address, err := purego.Dlsym(library, "tjGetErrorCode"); err == nil {
		purego.RegisterFunc(&t.errorCode, address)
	}
	return t, nil
}

// decode reads a JPEG of a known size into memory. One whose data ends early,
// or is odd in another way that libjpeg warns of, is refused, unless it is to be
// read as far as it goes.
func (t *turbo) decode(data []byte, width, height int, memory Memory, asFar bool) (*Picture, error) {
	if len(data) >= turboMaxBytes || asFar && t.errorCode == nil {
		return nil, errTurboRefused
	}
	handle, err := t.take()
	if err != nil {
		return nil, err
	}
	var w, h, subsampling, colorspace int32
	pix, err := memory(3 * width * height)
	if err != nil { // who has none says so where it is needed most
		t.give(handle)
		return nil, errTurboRefused
	}
	p := &Picture{Width: width, Height: height, Pix: pix}
	if t.header(handle, &data[0], uint64(len(data)), &w, &h, &subsampling, &colorspace) != 0 || colorspace >= turboCMYK ||
		int(w) != width || int(h) != height {
		t.destroy(handle) // one that has met an error reads later files wrongly
		return nil, errTurboRefused
	}
	flags := int32(turboStopOnWarning | turboLimitScans)
	if asFar {
		flags = turboLimitScans
	}
	if t.decompress(handle, &data[0], uint64(len(data)), &p.Pix[0], w, 3*w, h, turboRGB, flags) == 0 {
		t.give(handle)
		return p, nil
	}
	defer t.destroy(handle)
	if asFar && t.errorCode(handle) == turboWarning {
		return p, nil
	}
	return nil, errTurboRefused
}

// encode writes a picture as a JPEG with half the chroma in both directions, as
// Go's encoder and cv2 do.
func (t *turbo) encode(p *Picture, quality int) ([]byte, error) {
	handle := t.compressor()
	if handle == 0 {
		return nil, errTurboRefused // for lack of memory
	}
	defer t.destroy(handle)
	w, h := int32(p.Width), int32(p.Height)
	size := t.bound(w, h, turbo420)
	if size > turboMaxBytes {
		return nil, errTurboRefused
	}
	data := make([]byte, size)
	first := &data[0]
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pinner.Pin(first)
	if t.compress(handle, &p.Pix[0], w, 3*w, h, turboRGB, &first, &size, turbo420, int32(quality), turboNoRealloc) != 0 {
		return nil, errTurboRefused // a side over 65,500 pixels, say
	}
	return data[:size], nil
}

func (t *turbo) take() (uintptr, error) {
	select {
	case handle := <-t.free:
		return handle, nil
	default:
	}
	if handle := t.decompressor(); handle != 0 {
		return handle, nil
	}
	return 0, errTurboRefused // for lack of memory
}

func (t *turbo) give(handle uintptr) {
	select {
	case t.free <- handle:
	default:
		t.destroy(handle)
	}
}
