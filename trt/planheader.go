package trt

import (
	"encoding/binary"
	"fmt"
)

// PlanHeaderSize is how many of a plan's first bytes ReadPlanHeader needs.
const PlanHeaderSize = 64

// PlanHeader is what a TensorRT-RTX plan says of itself in its first bytes. The
// layout is not documented; it was read off plans of TensorRT-RTX 1.7.
type PlanHeader struct {
	Format              uint32              // 2
	Size                uint64              // bytes of the whole plan
	Version             string              // TensorRT-RTX that made it, "1.7.1.116"
	ComputeCapabilities []ComputeCapability // GPUs it runs on, ascending
	CapabilityMask      uint64              // the same as bits, with those that no name is known for
	WeightsBytes        uint64              // bytes of weights in it
}

// Offsets in a TensorRT-RTX plan, little-endian.
const (
	offsetFormat  = 8
	offsetSize    = 16
	offsetVersion = 24 // major, minor, patch, build: a byte each
	offsetMask    = 32
	offsetWeights = 56
)

// ReadPlanHeader reads the header of a TensorRT-RTX plan from its first
// PlanHeaderSize bytes or more. It does not compare Size with len(b): do that
// where the whole plan, or its file's size, is at hand.
//
// Errors: ErrPlan for anything else, plans of TensorRT 10 and 11 included.
func ReadPlanHeader(b []byte) (*PlanHeader, error) {
	refuse := func(reason string) (*PlanHeader, error) {
		return nil, &Error{Op: "read plan", Kind: ErrPlan, Message: reason}
	}
	if len(b) < PlanHeaderSize {
		return refuse(fmt.Sprintf("it has %d bytes, a plan's header alone has %d: build it again", len(b), PlanHeaderSize))
	}
	switch string(b[:4]) {
	case "vtrt":
	case "ftrt":
		return refuse("it looks like a plan of TensorRT 10 or 11, not of TensorRT-RTX")
	default:
		return refuse("it does not start like a plan: build it again")
	}
	h := &PlanHeader{
		Format:         binary.LittleEndian.Uint32(b[offsetFormat:]),
		Size:           binary.LittleEndian.Uint64(b[offsetSize:]),
		CapabilityMask: binary.LittleEndian.Uint64(b[offsetMask:]),
		WeightsBytes:   binary.LittleEndian.Uint64(b[offsetWeights:]),
	}
	v := b[offsetVersion:]
	h.Version = fmt.Sprintf("%d.%d.%d.%d", v[0], v[1], v[2], v[3])
	if h.Size < PlanHeaderSize || h.WeightsBytes > h.Size {
		return refuse("its header contradicts itself: build it again")
	}
	for _, t := range rtxTargets {
		if h.CapabilityMask&t.bit != 0 {
			h.ComputeCapabilities = append(h.ComputeCapabilities, t.capability)
		}
	}
	return h, nil
}
