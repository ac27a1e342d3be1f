package trt

// #include <stdlib.h>
// #include "trtdet.h"
import "C"

import (
	"fmt"
	"maps"
	"slices"
	"unsafe"
)

// ProfileShape is the shapes that one input may have: from Min to Max, fastest
// at Opt. They are equal where the network fixes a dimension.
type ProfileShape struct {
	Min []int `json:"min"`
	Opt []int `json:"opt"`
	Max []int `json:"max"`
}

// Profile holds the shapes by input name. Inputs whose shape is fixed need not
// be in it.
type Profile = map[string]ProfileShape

// BuildConfig is what a plan is asked to be. The zero value leaves everything
// to TensorRT and fits networks whose inputs have fixed shapes.
type BuildConfig struct {
	// Profiles are the optimization profiles; a network with an input whose
	// shape is dynamic needs at least one.
	Profiles []Profile
	// WorkspaceBytes is the most device memory one layer may use while the plan
	// runs; 0 is TensorRT's own choice. A few MB are too few for real networks.
	WorkspaceBytes int64
	// Targets are the GPUs the plan must run on. Only TensorRT-RTX takes them
	// (RTXTargets); nil is its own choice, everything from 8.0.
	Targets []ComputeCapability
	// TimingCache is one that Plan.TimingCache returned before; empty but not
	// nil starts a new one, nil does without.
	TimingCache []byte
	// OptLevel is from 0 (fast build) to 5 (fast plan); nil is TensorRT's 3.
	OptLevel *int
}

// newConfig makes the C configuration, which the caller frees.
func newConfig(c BuildConfig) (*C.trtdet_config, error) {
	var config *C.trtdet_config
	if err := goError("build", C.trtdet_config_create(&config)); err != nil {
		return nil, err
	}
	if err := c.fill(config); err != nil {
		C.trtdet_config_free(config)
		return nil, err
	}
	return config, nil
}

func (c BuildConfig) fill(config *C.trtdet_config) error {
	for i, profile := range c.Profiles {
		if len(profile) == 0 {
			return &Error{Op: "build", Kind: ErrInvalid, Message: fmt.Sprintf("profile %d names no input", i)}
		}
		for _, input := range slices.Sorted(maps.Keys(profile)) {
			if err := addShape(config, i, input, profile[input]); err != nil {
				return err
			}
		}
	}
	if c.WorkspaceBytes < 0 {
		return &Error{Op: "build", Kind: ErrInvalid, Message: "the workspace is less than nothing"}
	}
	if c.WorkspaceBytes > 0 {
		if err := goError("build", C.trtdet_config_workspace(config, C.uint64_t(c.WorkspaceBytes))); err != nil {
			return err
		}
	}
	for _, target := range c.Targets {
		if err := goError("build", C.trtdet_config_target(config, C.int32_t(target))); err != nil {
			return err
		}
	}
	if c.TimingCache != nil {
		data := unsafe.Pointer(unsafe.SliceData(c.TimingCache))
		if err := goError("build", C.trtdet_config_timing_cache(config, data, C.size_t(len(c.TimingCache)))); err != nil {
			return err
		}
	}
	if c.OptLevel != nil {
		return goError("build", C.trtdet_config_optimization_level(config, C.int32_t(*c.OptLevel)))
	}
	return nil
}

func addShape(config *C.trtdet_config, profile int, input string, s ProfileShape) error {
	if len(s.Min) != len(s.Opt) || len(s.Opt) != len(s.Max) {
		return &Error{Op: "build", Kind: ErrInvalid, Message: fmt.Sprintf(
			"profile %d, input %s: min, opt and max have %d, %d and %d dimensions",
			profile, input, len(s.Min), len(s.Opt), len(s.Max))}
	}
	if len(s.Min) == 0 || len(s.Min) > C.TRTDET_MAX_RANK {
		return &Error{Op: "build", Kind: ErrInvalid, Message: fmt.Sprintf(
			"profile %d, input %s: a shape has 1 to %d dimensions", profile, input, int(C.TRTDET_MAX_RANK))}
	}
	name := C.CString(input)
	defer C.free(unsafe.Pointer(name))
	smallest, best, largest := dims(s.Min), dims(s.Opt), dims(s.Max)
	return goError("build", C.trtdet_config_shape(config, C.int32_t(profile), name, C.int32_t(len(s.Min)),
		&smallest[0], &best[0], &largest[0]))
}

func dims(shape []int) (d [C.TRTDET_MAX_RANK]C.int64_t) {
	for i, n := range shape {
		d[i] = C.int64_t(n)
	}
	return d
}
