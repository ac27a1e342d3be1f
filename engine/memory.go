package engine

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// HostMemory is what Options.HostMemory's zero stands for on this machine, in
// bytes.
func HostMemory() int64 { return hostMemory(0) }

// hostMemory returns a limit, or the default for 0: a quarter of the least of the
// machine's memory, that of the control group, and Go's own limit.
func hostMemory(limit int64) int64 {
	if limit > 0 {
		return limit
	}
	usable := debug.SetMemoryLimit(-1) // math.MaxInt64 where there is none
	for _, ask := range []func() (uint64, error){memlimit.FromCgroup, memlimit.FromSystem} {
		if bytes, err := ask(); err == nil && bytes > 0 && bytes < math.MaxInt64 {
			usable = min(usable, int64(bytes))
		}
	}
	if usable == math.MaxInt64 {
		return 0 // nobody knows
	}
	return max(usable/4, leastHostMemory)
}

// leastHostMemory is room for an image of 12 megapixels, read by Go's decoders.
const leastHostMemory = 96 << 20

// Memory is what a Detector may take for images, and takes, in bytes.
type Memory struct {
	// HostLimit is Options.HostMemory; HostCalls is what the calls that are read
	// and computed at this moment count for.
	HostLimit int64 `json:"host_limit"`
	HostCalls int64 `json:"host_calls"`
	// Pinned is host memory that GPUs copy from, in use or kept for the next calls.
	Pinned int64 `json:"pinned"`
}

// memory is what the model takes at this moment.
func (c *core) memory(calls int64) Memory {
	return Memory{HostLimit: c.hostMemory, HostCalls: calls, Pinned: c.backend.Memory().Host}
}
