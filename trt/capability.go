package trt

import (
	"fmt"
	"regexp"
	"strconv"
)

// ComputeCapability names a generation of NVIDIA GPUs: ten times the major
// number plus the minor one, 89 for 8.9.
type ComputeCapability int

// Names as nvcc (sm_89), CUDA (8.9) and bare numbers (89) write them.
var capabilityForm = regexp.MustCompile(`^(?:sm_?|compute_?)?(\d{1,2})(?:\.?)(\d)$`)

// ParseComputeCapability reads "sm_89", "sm89", "8.9" or "89". Whether a
// TensorRT builds for it is another question: see RTXTargets. Errors are
// ErrInvalid.
func ParseComputeCapability(s string) (ComputeCapability, error) {
	parts := capabilityForm.FindStringSubmatch(s)
	if parts == nil {
		return 0, &Error{Op: "build", Kind: ErrInvalid,
			Message: fmt.Sprintf("%q is no compute capability: write it like sm_89 or 8.9", s)}
	}
	major, _ := strconv.Atoi(parts[1])
	minor, _ := strconv.Atoi(parts[2])
	return ComputeCapability(major*10 + minor), nil
}

// String returns CUDA's form, "8.9".
func (c ComputeCapability) String() string { return fmt.Sprintf("%d.%d", int(c)/10, int(c)%10) }

// Target returns nvcc's form, "sm_89".
func (c ComputeCapability) Target() string { return fmt.Sprintf("sm_%d", int(c)) }

// MarshalText writes "8.9".
func (c ComputeCapability) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what ParseComputeCapability reads.
func (c *ComputeCapability) UnmarshalText(text []byte) error {
	parsed, err := ParseComputeCapability(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// rtxTargets are the members of nvinfer1::ComputeCapability in TensorRT-RTX
// 1.7. Datacenter Hopper (9.0) and Blackwell (10.0) are not among them. The
// bit is the one that stands for it in a plan's header.
var rtxTargets = []struct {
	capability ComputeCapability
	bit        uint64
}{{75, 1}, {80, 2}, {86, 4}, {89, 8}, {120, 16}, {121, 32}}

// RTXTargets returns what TensorRT-RTX can build for. With no target asked for
// it takes all but the first, 7.5.
func RTXTargets() []ComputeCapability {
	targets := make([]ComputeCapability, len(rtxTargets))
	for i, t := range rtxTargets {
		targets[i] = t.capability
	}
	return targets
}

// Supports tells whether TensorRT-RTX builds plans for this capability that
// compute in a type ("bfloat16", "float8e4m3fn" ...). Ask before a build: with
// targets given TensorRT-RTX refuses late, with none it builds a plan that
// claims GPUs which cannot run it. Types not named here run everywhere.
func (c ComputeCapability) Supports(dtype string) bool {
	switch dtype {
	case "bfloat16":
		return c >= 80
	case "float8e4m3fn":
		return c >= 89
	}
	return true
}
