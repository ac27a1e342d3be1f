package trt

// #include "trtdet.h"
import "C"

import (
	"errors"
	"strings"
)

// Every error of this package is one of these to errors.Is. A canceled build is
// context.Canceled or context.DeadlineExceeded instead.
var (
	// ErrNoLibrary: no TensorRT that can be used was found.
	ErrNoLibrary = errors.New("no usable TensorRT")
	// ErrLibrary: a library was found but cannot be loaded, or makes no builder.
	ErrLibrary = errors.New("TensorRT library cannot be used")
	// ErrVersion: a library, or libtrtdet.a, is of a version that does not fit.
	ErrVersion = errors.New("wrong version")
	// ErrNoDriver: there is no NVIDIA driver or no GPU, and this flavor builds
	// only with one.
	ErrNoDriver = errors.New("no NVIDIA GPU")
	// ErrParse: the ONNX parser refused the file.
	ErrParse = errors.New("ONNX file refused")
	// ErrBuild: TensorRT made no plan.
	ErrBuild = errors.New("no plan built")
	// ErrUnsupported: this flavor cannot do what was asked.
	ErrUnsupported = errors.New("not supported by this TensorRT")
	// ErrInvalid: an argument contradicts itself or the network.
	ErrInvalid = errors.New("invalid argument")
	// ErrPlan: the plan is damaged, or made for another TensorRT or GPU.
	ErrPlan = errors.New("plan that cannot be used")
	// ErrRun: TensorRT did not run the engine.
	ErrRun = errors.New("engine not run")
	// ErrClosed: the value was closed.
	ErrClosed = errors.New("already closed")
	// ErrMemory: out of host memory.
	ErrMemory = errors.New("out of memory")
	// ErrInternal: a bug, in this package or in TensorRT.
	ErrInternal = errors.New("internal error")
)

// Error is an error of TensorRT or of what stands before it.
type Error struct {
	// Op is what was being done: "load", "parse", "build", "read plan" or "run".
	Op string
	// Kind is one of this package's Err variables, or the context's error.
	Kind error
	// Message is one sentence; it names the file, node, input or setting.
	Message string
	// Log holds what TensorRT logged as errors meanwhile, the cause first.
	Log []string
}

// Error returns the message, with TensorRT's own reason where the message
// cannot know it.
func (e *Error) Error() string {
	text := "tensorrt: " + e.Op + ": " + e.Message
	if len(e.Log) > 0 && e.Kind != ErrParse { // whose message has it
		text += ": " + e.Log[0]
	}
	return text
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// kinds in trtdet_code's order. A canceled build is told apart before.
var kinds = map[C.trtdet_code]error{
	C.TRTDET_INVALID:     ErrInvalid,
	C.TRTDET_LIBRARY:     ErrLibrary,
	C.TRTDET_VERSION:     ErrVersion,
	C.TRTDET_NO_DRIVER:   ErrNoDriver,
	C.TRTDET_PARSE:       ErrParse,
	C.TRTDET_BUILD:       ErrBuild,
	C.TRTDET_UNSUPPORTED: ErrUnsupported,
	C.TRTDET_MEMORY:      ErrMemory,
	C.TRTDET_INTERNAL:    ErrInternal,
	C.TRTDET_PLAN:        ErrPlan,
	C.TRTDET_RUN:         ErrRun,
}

// goError copies a C error and frees it; nil stays nil.
func goError(op string, e *C.trtdet_error) error {
	if e == nil {
		return nil
	}
	defer C.trtdet_error_free(e)
	kind, known := kinds[C.trtdet_error_code(e)]
	if !known {
		kind = ErrInternal
	}
	err := &Error{Op: op, Kind: kind, Message: C.GoString(C.trtdet_error_message(e))}
	if log := C.GoString(C.trtdet_error_log(e)); log != "" {
		err.Log = strings.Split(log, "\n")
	}
	return err
}

func errClosed(op, what string) error {
	return &Error{Op: op, Kind: ErrClosed, Message: "the " + what + " is closed"}
}
