package trt

// The archive is one object that keeps its C++ runtime to itself, so nothing
// else needs to be named here. It is made by `make build` (or cmake). Where the
// compiler has not been told of it, the error says how.

// #cgo CFLAGS: -I${SRCDIR}/../csrc/include
// #cgo LDFLAGS: -L${SRCDIR}/../build/out/lib -ltrtdet -lcuda -ldl -lpthread
// #if !__has_include(<trtdet_flags.h>)
// #error "no flags for trtdet: run  flags=$(PREFIX/bin/trtdet env) && eval \"$flags\"  first, after  make install PREFIX=DIR  in trtdet's checkout; docs/library.md has all of it"
// #endif
// #include "trtdet.h"
import "C"

import "fmt"

// checkABI tells whether libtrtdet.a is the one this package was written for.
func checkABI() error {
	if got := uint32(C.trtdet_abi_version()); got != C.TRTDET_ABI_VERSION {
		return &Error{Op: "load", Kind: ErrVersion, Message: fmt.Sprintf(
			"libtrtdet.a has ABI version %d, this package needs %d: rebuild both with make build",
			got, uint32(C.TRTDET_ABI_VERSION))}
	}
	return nil
}
