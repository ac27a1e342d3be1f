package trt

// #include <stdlib.h>
// #include "trtdet.h"
import "C"

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

// Library is a TensorRT, loaded. Any goroutine may use it.
type Library struct {
	flavor  Flavor
	path    string
	version string

	mu sync.Mutex
	c  *C.trtdet_library // nil when closed
}

// DriverError returns nil when there is an NVIDIA driver with a GPU, and an
// ErrNoDriver that says what is missing otherwise.
func DriverError() error { return goError("load", C.trtdet_driver_check()) }

// Load loads the first library of a flavor that Search finds and that can be
// used. Auto takes any flavor; without a GPU it takes TensorRT-RTX before the
// others, which cannot build then. explicit is a file or folder to search
// instead of the usual places, empty for none.
//
// Errors: ErrNoLibrary names everything that was passed over and why.
func Load(f Flavor, explicit string) (*Library, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	if f != "" && f != Auto {
		if _, err := f.line(); err != nil {
			return nil, err
		}
	}
	var passed []string
	for found := range Candidates(f, explicit) {
		if found.Err == nil {
			library, err := open(found)
			if err == nil {
				return library, nil
			}
			found.Err = err
		}
		passed = append(passed, found.Path+": "+found.Err.Error())
	}
	return nil, &Error{Op: "load", Kind: ErrNoLibrary, Message: noLibrary(f, passed)}
}

// LoadVersion loads the library of a version, which a plan that was built with it
// needs, wherever it lies among others; where there is none it is Load.
func LoadVersion(f Flavor, version string) (*Library, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	for found := range Candidates(f, "") {
		if found.Err != nil || !sameRelease(found.Version, version) {
			continue
		}
		library, err := open(found)
		if err != nil {
			continue // Load says so
		}
		if library.Version() == version {
			return library, nil
		}
		library.Close() // cannot fail
	}
	return Load(f, "")
}

// Candidates yields what Load tries for a flavor, in order, and what it passes
// over. Places further away are looked at only once they are asked for.
func Candidates(f Flavor, explicit string) iter.Seq[Found] {
	order := preference(f)
	places, source := given(explicit)
	if places == nil {
		return func(yield func(Found) bool) {
			for _, wanted := range order {
				for found := range search(wanted) {
					if !yield(found) {
						return
					}
				}
			}
		}
	}
	all := searchGiven(places, source)
	rank := func(found Found) int {
		return slices.IndexFunc(order, func(wanted []line) bool {
			return slices.ContainsFunc(wanted, func(l line) bool { return l.flavor == found.Flavor })
		})
	}
	for i := range all {
		if all[i].Flavor != "" && rank(all[i]) < 0 {
			all[i].Err = fmt.Errorf("it is %s, not %s", all[i].Name(), f.Title())
		}
	}
	slices.SortStableFunc(all, func(a, b Found) int { return rank(a) - rank(b) })
	return slices.Values(all)
}

// preference returns the lines that a flavor stands for, those to be tried
// first in the first group. Without a GPU only TensorRT-RTX can build.
func preference(f Flavor) [][]line {
	var rtx, others []line
	for _, l := range lines {
		switch {
		case l.flavor == f:
			return [][]line{{l}}
		case l.flavor == RTX:
			rtx = append(rtx, l)
		default:
			others = append(others, l)
		}
	}
	if DriverError() != nil {
		return [][]line{rtx, others}
	}
	return [][]line{lines}
}

func noLibrary(f Flavor, passed []string) string {
	text := "no " + f.Title() + " that can be used"
	if f == "" || f == Auto {
		text = "no TensorRT that can be used"
	}
	if len(passed) > 0 {
		text += " (" + strings.Join(passed, "; ") + ")"
	}
	return text + ": install one, or name its folder in " + EnvLibrary
}

func open(found Found) (*Library, error) {
	files, err := found.Flavor.line()
	if err != nil {
		return nil, err
	}
	path, parser := C.CString(found.Path), C.CString(found.ParserPath)
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(parser))
	l := &Library{flavor: found.Flavor, path: found.Path}
	if err := goError("load", C.trtdet_library_open(files.id, path, parser, &l.c)); err != nil {
		return nil, err
	}
	l.version = C.GoString(C.trtdet_library_version(l.c))
	return l, nil
}

// Flavor returns which TensorRT it is, never Auto.
func (l *Library) Flavor() Flavor { return l.flavor }

// Path returns the file it was loaded from.
func (l *Library) Path() string { return l.path }

// Version returns what the library says of itself, "1.7.1.116".
func (l *Library) Version() string { return l.version }

// Ignored returns a sentence for each setting that this TensorRT takes but does
// nothing with.
func (l *Library) Ignored(c BuildConfig) []string {
	if l.flavor != RTX {
		return nil
	}
	var ignored []string
	if c.TimingCache != nil {
		ignored = append(ignored, "TensorRT-RTX has no timing cache: it compiles kernels on the GPU, when the plan runs")
	}
	if c.OptLevel != nil {
		ignored = append(ignored, "TensorRT-RTX has no optimization level: it compiles kernels on the GPU, when the plan runs")
	}
	return ignored
}

// Close gives the library up. Its code stays in memory until the process ends.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	C.trtdet_library_free(l.c)
	l.c = nil
	return nil
}
