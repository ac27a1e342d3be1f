package cuda

// #include <cuda.h>
//
// typedef struct waited {
//   CUresult status;
//   const char *call; // whose status it is
// } waited;
//
// // Waits with a context current on the calling thread, which has afterwards the one that it had before.
// static waited wait_current(CUcontext context, CUevent event, CUstream stream) {
//   waited w = {cuCtxPushCurrent(context), "cuCtxPushCurrent"};
//   CUcontext top;
//   CUresult popped;
//   if (w.status != CUDA_SUCCESS) return w;
//   w.call = event != NULL ? "cuEventSynchronize" : "cuStreamSynchronize";
//   w.status = event != NULL ? cuEventSynchronize(event) : cuStreamSynchronize(stream);
//   popped = cuCtxPopCurrent(&top);
//   if (w.status != CUDA_SUCCESS || popped == CUDA_SUCCESS) return w;
//   return (waited){popped, "cuCtxPopCurrent"};
// }
import "C"

import "unsafe"

// waitFor blocks until an event, or else all of a stream's work, is done. It is one
// call, so that the goroutine needs no thread of its own for it.
func (d *Device) waitFor(event C.CUevent, stream C.CUstream) error {
	// gorgonia's context is the driver's, and shows it to nobody
	context := *(*C.CUcontext)(unsafe.Pointer(&d.context))
	if w := C.wait_current(context, event, stream); w.status != C.CUDA_SUCCESS {
		return failed(C.GoString(w.call), w.status)
	}
	return nil
}
