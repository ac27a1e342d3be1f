package kernels

// #cgo LDFLAGS: -L${SRCDIR}/../../../build/out/lib -lkernels
// #include "image.h"
import "C"

import "unsafe"

// The names of the kernels in the image. Both take the address of a Block.
//
// Letterbox's grid covers the input's width and height in x and y and the
// batch in z; Decode's the positions of the largest view, the views and the
// batch.
const (
	Letterbox = "trtdet_letterbox_kernel"
	Decode    = "trtdet_decode_kernel"
)

// Image returns the kernels compiled for every GPU that trtdet knows, as the
// driver's cuModuleLoadData takes them. It must not be written to.
func Image() []byte {
	var size C.size_t
	image := C.trtdet_kernels_image(&size)
	return unsafe.Slice((*byte)(image), size)
}

// PTX returns the same kernels as text, which any driver since CUDA 10 compiles
// for its GPU. It ends with a zero, and must not be written to.
func PTX() []byte {
	var size C.size_t
	text := C.trtdet_kernels_ptx(&size)
	return unsafe.Slice((*byte)(unsafe.Pointer(text)), size)
}
