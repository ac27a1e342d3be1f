package trt

// #include "trtdet.h"
import "C"

import (
	"bytes"
	"sync"
	"unsafe"
)

// Plan is a serialized engine, as TensorRT writes it to a file.
type Plan struct {
	timingCache []byte

	mu   sync.Mutex
	c    *C.trtdet_plan // nil when closed
	data []byte         // C's memory
}

func newPlan(c *C.trtdet_plan) *Plan {
	p := &Plan{c: c}
	var size C.size_t
	data := C.trtdet_plan_data(c, &size)
	p.data = unsafe.Slice((*byte)(data), int(size))
	if cache := C.trtdet_plan_timing_cache(c, &size); cache != nil {
		p.timingCache = bytes.Clone(unsafe.Slice((*byte)(cache), int(size)))
	}
	return p
}

// Bytes returns the plan, in memory that TensorRT owns: it must not be written
// to, nor read after Close. A closed plan has none.
func (p *Plan) Bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.data
}

// TimingCache returns what the build has timed, for BuildConfig.TimingCache of
// the next; nil where none was asked for or this TensorRT has none.
func (p *Plan) TimingCache() []byte { return p.timingCache }

// Close frees the plan.
func (p *Plan) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	C.trtdet_plan_free(p.c)
	p.c, p.data = nil, nil
	return nil
}
