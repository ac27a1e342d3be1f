package trt

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/cgo"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Builder parses ONNX files and builds plans, one call at a time.
type Builder struct {
	library *Library

	mu sync.Mutex
	c  *C.trtdet_builder // nil when closed
}

// NewBuilder makes a builder whose log goes to log: TensorRT's information and
// verbose lines at slog.LevelDebug, its internal errors at LevelInternalError; nil drops them.
// CUDA's complaints about a missing driver come at LevelDebug.
//
// Errors: ErrNoDriver from TensorRT 10 and 11 on a machine without a GPU,
// ErrLibrary where TensorRT makes no builder, as one does that is newer than the
// driver.
func (l *Library) NewBuilder(log *slog.Logger) (*Builder, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return nil, errClosed("build", "library")
	}
	b := &Builder{library: l}
	if err := goError("build", C.create_builder_for_go(l.c, loggerHandle(log), &b.c)); err != nil {
		if of := (*Error)(nil); errors.As(err, &of) && of.Kind == ErrBuild {
			of.Kind = ErrLibrary // no network has been seen: another TensorRT may do
		}
		return nil, err
	}
	return b, nil
}

// ParseONNX reads a network from an ONNX file, strongly typed: every layer
// computes in the types the file has. Weights kept in other files are looked
// for in the file's folder.
//
// Errors: ErrParse with the node that was refused.
func (b *Builder) ParseONNX(path string) (*Network, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		return nil, errClosed("parse", "builder")
	}
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	n := &Network{builder: b}
	if err := goError("parse", C.trtdet_network_parse(b.c, file, &n.c)); err != nil {
		return nil, advise(err)
	}
	if err := n.list(); err != nil {
		C.trtdet_network_free(n.c)
		return nil, err
	}
	return n, nil
}

// advise adds what to do to the refusals that quantized networks run into: the
// parser's own words lead elsewhere.
func advise(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	for _, refusal := range []struct{ words, advice string }{
		{"Non-zero zero point", "quantize symmetrically to signed int8, so that every zero point is 0"},
		{"has type Int32 but must have type", "leave the biases unquantized (ONNX Runtime: QuantizeBias=False)"},
	} {
		if strings.Contains(e.Message, refusal.words) {
			e.Message += ": " + refusal.advice
		}
	}
	return e
}

// checkFile finds what TensorRT's parser reports badly or not at all.
func checkFile(path string) error {
	refuse := func(reason string) error {
		return &Error{Op: "parse", Kind: ErrParse, Message: path + ": " + reason}
	}
	if strings.ContainsRune(path, 0) {
		return refuse("a file name cannot hold a zero byte")
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return refuse(reason(err).Error())
	case info.IsDir():
		return refuse("it is a folder, not an ONNX file")
	case info.Size() == 0:
		return refuse("the file is empty")
	}
	return nil
}

// Build makes a plan of a network that this builder parsed; a network may be
// built several times. progress may be nil; it is called from other threads,
// one call at a time, and must not panic.
//
// When ctx ends the build stops at TensorRT's next step, which takes 1 to 3
// seconds on a large network; the error is then the context's. Errors besides:
// ErrInvalid where c does not fit the network, ErrUnsupported for a target that
// this TensorRT does not build for, ErrBuild with TensorRT's reason.
func (b *Builder) Build(ctx context.Context, n *Network, c BuildConfig, progress func(Progress)) (*Plan, error) {
	if n.builder != b {
		return nil, &Error{Op: "build", Kind: ErrInvalid, Message: "the network was parsed by another builder"}
	}
	started := time.Now()
	config, err := newConfig(c)
	if err != nil {
		return nil, err
	}
	defer C.trtdet_config_free(config)

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		return nil, errClosed("build", "builder")
	}
	if n.c == nil {
		return nil, errClosed("build", "network")
	}
	if ctx.Err() != nil {
		return nil, canceled(ctx)
	}
	handle := cgo.NewHandle(&watch{ctx: ctx, started: started, progress: progress})
	defer handle.Delete()
	var plan *C.trtdet_plan
	if failure := C.build_for_go(n.c, config, C.uintptr_t(handle), &plan); failure != nil {
		if C.trtdet_error_code(failure) == C.TRTDET_CANCELED {
			C.trtdet_error_free(failure)
			return nil, canceled(ctx)
		}
		return nil, goError("build", failure)
	}
	return newPlan(plan), nil
}

func canceled(ctx context.Context) error {
	return &Error{Op: "build", Kind: ctx.Err(), Message: fmt.Sprintf("stopped: %v", context.Cause(ctx))}
}

// Close frees the builder once its networks and plans are closed too.
func (b *Builder) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	C.trtdet_builder_free(b.c)
	b.c = nil
	return nil
}
