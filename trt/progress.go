package trt

// #include <stdint.h>
import "C"

import (
	"context"
	"runtime/cgo"
	"time"
)

// Progress is how far one phase of a build has come. Phases nest, and their
// steps say little about time: TensorRT-RTX spends most of a build in a single
// step. Show the phase and the time, not a percentage.
type Progress struct {
	Phase   string
	Parent  string // the phase around it, empty for the outermost
	Step    int    // steps done
	Steps   int
	Done    bool          // the phase has ended
	Elapsed time.Duration // since Build was called
}

// watch follows one build for the C side.
type watch struct {
	ctx      context.Context
	started  time.Time
	progress func(Progress)
}

//export goStep
func goStep(handle C.uintptr_t, phase, parent *C.char, step, steps, done C.int32_t) C.int32_t {
	w := cgo.Handle(handle).Value().(*watch)
	if w.progress != nil {
		w.progress(Progress{
			Phase:   C.GoString(phase),
			Parent:  C.GoString(parent),
			Step:    int(step),
			Steps:   int(steps),
			Done:    done != 0,
			Elapsed: time.Since(w.started),
		})
	}
	if w.ctx.Err() != nil {
		return 0
	}
	return 1
}
