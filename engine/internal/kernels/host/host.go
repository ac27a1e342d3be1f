// Package host runs the kernels compiled for the host, for tests: addresses in
// their blocks are pointers.
package host

// #cgo CFLAGS: -I${SRCDIR}/../../../../csrc/kernels
// #cgo LDFLAGS: -L${SRCDIR}/../../../../build/out/lib -lkernels_host -lm
// #include "host.h"
import "C"

import (
	"unsafe"

	"github.com/trtdet/trtdet/engine/internal/kernels"
)

// Letterbox is a launch of the letterbox kernel.
func Letterbox(b *kernels.Block) { C.trtdet_host_letterbox((*C.trtdet_block)(unsafe.Pointer(b))) }

// Decode is a launch of the decode kernel over a number of views.
func Decode(b *kernels.Block, views int) {
	C.trtdet_host_decode((*C.trtdet_block)(unsafe.Pointer(b)), C.int32_t(views))
}
