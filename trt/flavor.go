package trt

// #include "trtdet.h"
import "C"

import (
	"fmt"
	"strings"
)

// Flavor is a line of TensorRT releases with an interface of its own.
type Flavor string

// The flavors. Auto leaves the choice to Load; so does the empty string.
const (
	Auto       Flavor = "auto"
	RTX        Flavor = "rtx" // TensorRT-RTX 1.x
	TensorRT10 Flavor = "10"
	TensorRT11 Flavor = "11"
)

// line says what a flavor's libraries are called.
type line struct {
	flavor  Flavor
	id      C.trtdet_flavor
	title   string
	library string // file name, and the loader's name, of TensorRT itself
	parser  string // of its ONNX parser, in the same folder
	major   int
}

var lines = []line{
	{TensorRT11, C.TRTDET_FLAVOR_11, "TensorRT 11", "libnvinfer.so.11", "libnvonnxparser.so.11", 11},
	{TensorRT10, C.TRTDET_FLAVOR_10, "TensorRT 10", "libnvinfer.so.10", "libnvonnxparser.so.10", 10},
	{RTX, C.TRTDET_FLAVOR_RTX1, "TensorRT-RTX", "libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1", 1},
}

// Flavors returns the flavors this package was compiled for.
func Flavors() []Flavor {
	flavors := make([]Flavor, len(lines))
	for i, l := range lines {
		flavors[i] = l.flavor
	}
	return flavors
}

// ParseFlavor reads "auto", "rtx", "10" or "11"; the empty string is Auto.
// Anything else is an ErrInvalid.
func ParseFlavor(s string) (Flavor, error) {
	f := Flavor(strings.ToLower(s))
	if f == "" || f == Auto {
		return Auto, nil
	}
	if _, err := f.line(); err != nil {
		return "", err
	}
	return f, nil
}

// String returns what ParseFlavor reads.
func (f Flavor) String() string {
	if f == "" {
		return string(Auto)
	}
	return string(f)
}

// Title returns the flavor's name for people, such as "TensorRT-RTX".
func (f Flavor) Title() string {
	l, err := f.line()
	if err != nil {
		return "TensorRT"
	}
	return l.title
}

// HeaderVersion returns the version of the TensorRT headers that this program
// was compiled with for the flavor, such as "10.16.0.72". A library of the same
// major version is what it takes, newer or older. Auto has none.
func (f Flavor) HeaderVersion() string {
	l, err := f.line()
	if err != nil {
		return ""
	}
	return C.GoString(C.trtdet_flavor_headers(l.id))
}

func (f Flavor) line() (line, error) {
	for _, l := range lines {
		if l.flavor == f {
			return l, nil
		}
	}
	return line{}, &Error{Op: "load", Kind: ErrInvalid,
		Message: fmt.Sprintf("unknown TensorRT %q: use auto, rtx, 10 or 11", string(f))}
}
