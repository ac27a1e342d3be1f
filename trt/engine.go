package trt

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"bytes"
	"log/slog"
	"sync"
	"unsafe"
)

// Engine is a plan made ready to run, in the CUDA context that was current on
// the thread which loaded it. That context has to be current for its methods
// and its contexts' but for Inputs and Outputs. Any goroutine may use it.
type Engine struct {
	library         *Library
	inputs, outputs []TensorInfo
	profiles        []Profile

	mu sync.Mutex
	c  *C.trtdet_engine // nil when closed
}

// LoadEngine makes a plan ready to run; the plan is not needed afterwards.
// cache is what Engine.Cache returned for it on this GPU, nil for none. log is
// NewBuilder's.
//
// Errors: ErrNoDriver on a machine without a GPU, ErrPlan for a plan that this
// TensorRT or this GPU cannot run, ErrRun.
func (l *Library) LoadEngine(plan, cache []byte, log *slog.Logger) (*Engine, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return nil, errClosed("run", "library")
	}
	e := &Engine{library: l}
	err := goError("run", C.load_engine_for_go(l.c, loggerHandle(log), unsafe.Pointer(unsafe.SliceData(plan)), C.size_t(len(plan)),
		unsafe.Pointer(unsafe.SliceData(cache)), C.size_t(len(cache)), &e.c))
	if err == nil {
		err = e.list()
	}
	if err != nil {
		C.trtdet_engine_free(e.c)
		return nil, err
	}
	return e, nil
}

func (e *Engine) list() (err error) {
	if e.inputs, err = e.tensors(C.TRTDET_INPUT); err != nil {
		return err
	}
	if e.outputs, err = e.tensors(C.TRTDET_OUTPUT); err != nil {
		return err
	}
	for p := range C.trtdet_engine_profile_count(e.c) {
		profile := Profile{}
		for _, input := range e.inputs {
			if profile[input.Name], err = e.profileShape(p, input); err != nil {
				return err
			}
		}
		e.profiles = append(e.profiles, profile)
	}
	return nil
}

func (e *Engine) tensors(role C.trtdet_role) ([]TensorInfo, error) {
	return tensorInfos("run", C.trtdet_engine_tensor_count(e.c, role), func(i C.int32_t, t *C.trtdet_tensor) *C.trtdet_error {
		return C.trtdet_engine_tensor(e.c, role, i, t)
	})
}

func (e *Engine) profileShape(profile C.int32_t, input TensorInfo) (ProfileShape, error) {
	name := C.CString(input.Name)
	defer C.free(unsafe.Pointer(name))
	var smallest, best, largest [C.TRTDET_MAX_RANK]C.int64_t
	err := goError("run", C.trtdet_engine_profile_shape(e.c, profile, name, &smallest[0], &best[0], &largest[0]))
	shape := func(dims [C.TRTDET_MAX_RANK]C.int64_t) []int {
		s := make([]int, len(input.Shape))
		for i := range s {
			s[i] = int(dims[i])
		}
		return s
	}
	return ProfileShape{Min: shape(smallest), Opt: shape(best), Max: shape(largest)}, err
}

// Inputs returns the inputs; -1 in a shape is what a profile leaves open.
func (e *Engine) Inputs() []TensorInfo { return clone(e.inputs) }

// Outputs returns the outputs in an order that is no promise: tell them by
// name.
func (e *Engine) Outputs() []TensorInfo { return clone(e.outputs) }

// Profiles returns the shapes that the inputs may have.
func (e *Engine) Profiles() []Profile { return e.profiles }

// MemorySize is how many bytes of device memory a context of a profile needs
// for its activations.
func (e *Engine) MemorySize(profile int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(C.trtdet_engine_memory_size(e.c, C.int32_t(profile)))
}

// Cache returns the kernels that TensorRT-RTX has compiled so far for this GPU,
// for the next LoadEngine of this plan; nil from other TensorRTs.
func (e *Engine) Cache() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.c == nil {
		return nil, errClosed("run", "engine")
	}
	var cache *C.trtdet_plan
	if err := goError("run", C.trtdet_engine_cache(e.c, &cache)); err != nil {
		return nil, err
	}
	defer C.trtdet_plan_free(cache)
	var size C.size_t
	data := C.trtdet_plan_data(cache, &size)
	return bytes.Clone(unsafe.Slice((*byte)(data), int(size))), nil
}

// Close frees the engine once its contexts are closed too.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	C.trtdet_engine_free(e.c)
	e.c = nil
	return nil
}
