package engine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrNoGPU is wrapped by errors about work that needs a GPU where there is
// none that trtdet can use.
var ErrNoGPU = errors.New("no GPU to run on")

// Device says what a network runs on; the zero value leaves the choice to Open:
// the CPU for an ONNX file, the best GPU there is for an engine.
type Device struct {
	// CPU is for ONNX files only.
	CPU bool
	// CUDA lists GPUs by their number in the driver's order.
	CUDA []int
}

// ParseDevice reads "auto" (or ""), "cpu", "cuda", "cuda:0,1" and YOLOv5's
// short forms "0" and "0,1".
func ParseDevice(s string) (Device, error) {
	switch s {
	case "", "auto":
		return Device{}, nil
	case "cpu":
		return Device{CPU: true}, nil
	case "cuda":
		return Device{CUDA: []int{0}}, nil
	}
	var d Device
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "cuda:"), ",") {
		part = strings.TrimPrefix(part, "cuda:")
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return Device{}, fmt.Errorf("device %q is none of auto, cpu, cuda:0, cuda:0,1, 0, 0,1", s)
		}
		if slices.Contains(d.CUDA, n) {
			return Device{}, fmt.Errorf("device %q names GPU %d twice", s, n)
		}
		d.CUDA = append(d.CUDA, n)
	}
	return d, nil
}

// String returns the form that ParseDevice reads.
func (d Device) String() string {
	switch {
	case d.CPU:
		return "cpu"
	case len(d.CUDA) == 0:
		return "auto"
	}
	var numbers []string
	for _, n := range d.CUDA {
		numbers = append(numbers, strconv.Itoa(n))
	}
	return "cuda:" + strings.Join(numbers, ",")
}
