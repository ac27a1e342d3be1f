package trt

// #include <stdlib.h>
// #include "trtdet_engine.h"
import "C"

import "unsafe"

// Context is one run of an engine at a time. One goroutine at a time may use
// it, with the engine's CUDA context current on its thread. Once a CUDA graph
// was captured from it, it must not be changed any more: graphs of several
// shapes want a context each.
type Context struct {
	engine *Engine
	names  map[string]*C.char // C's copies, made once
	c      *C.trtdet_context  // nil when closed
}

// NewContext makes a context for one of the engine's profiles, 0 for the first.
// stream is a CUstream; it has no work left of it when NewContext returns.
//
// Errors: ErrRun, with TensorRT's reason.
func (e *Engine) NewContext(profile int, stream uint64) (*Context, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.c == nil {
		return nil, errClosed("run", "engine")
	}
	x := &Context{engine: e, names: map[string]*C.char{}}
	if err := goError("run", C.trtdet_context_create(e.c, C.int32_t(profile), C.uint64_t(stream), &x.c)); err != nil {
		return nil, err
	}
	for _, t := range append(e.Inputs(), e.outputs...) {
		x.names[t.Name] = C.CString(t.Name)
	}
	return x, nil
}

// SetShape sets an input's shape for the runs to come. It must lie in the
// context's profile: ErrInvalid.
func (x *Context) SetShape(input string, shape []int) error {
	d := dims(shape)
	return goError("run", C.trtdet_context_set_shape(x.c, x.names[input], C.int32_t(len(shape)), &d[0]))
}

// MemorySize is how many bytes of device memory the activations need with the
// shapes that are set, which may be less than the engine's MemorySize.
func (x *Context) MemorySize() (int, error) {
	var size C.int64_t
	err := goError("run", C.trtdet_context_memory_size(x.c, &size))
	return int(size), err
}

// SetMemory gives the activations size bytes at memory, 256-byte aligned on the
// device. Contexts that never run at once may share it.
func (x *Context) SetMemory(memory uint64, size int) error {
	return goError("run", C.trtdet_context_set_memory(x.c, C.uint64_t(memory), C.int64_t(size)))
}

// Outputs returns the outputs with the shapes that follow from the inputs', in
// the order of the engine's.
func (x *Context) Outputs() ([]TensorInfo, error) {
	return tensorInfos("run", C.int32_t(len(x.engine.outputs)), func(i C.int32_t, t *C.trtdet_tensor) *C.trtdet_error {
		return C.trtdet_context_tensor(x.c, C.TRTDET_OUTPUT, i, t)
	})
}

// SetAddress says where in device memory an input or output lies: 256-byte
// aligned, and there as long as the context may use it.
func (x *Context) SetAddress(tensor string, address uint64) error {
	return goError("run", C.trtdet_context_set_address(x.c, x.names[tensor], C.uint64_t(address)))
}

// Capturable reports whether the next run may be captured into a CUDA graph.
func (x *Context) Capturable(stream uint64) bool {
	return C.trtdet_context_capturable(x.c, C.uint64_t(stream)) != 0
}

// Enqueue adds one run to a CUstream.
func (x *Context) Enqueue(stream uint64) error {
	return goError("run", C.trtdet_context_enqueue(x.c, C.uint64_t(stream)))
}

// Close frees the context. It is safe to call twice, not while a run is under
// way.
func (x *Context) Close() error {
	C.trtdet_context_free(x.c)
	x.c = nil
	for name, c := range x.names {
		C.free(unsafe.Pointer(c))
		delete(x.names, name)
	}
	return nil
}
