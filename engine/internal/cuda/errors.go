package cuda

// #include <cuda.h>
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Error is what the driver said to one call.
type Error struct {
	Call   string // such as cuMemAlloc
	Status int    // CUresult
	Detail string // more than the status says, such as the log of a compilation
}

func (e *Error) Error() string {
	text := fmt.Sprintf("CUDA, %s: %s", e.Call, statusName(e.Status))
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	switch e.Status {
	case C.CUDA_ERROR_OUT_OF_MEMORY:
		text += ": fewer slots or a smaller batch need less"
	case C.CUDA_ERROR_UNKNOWN:
		text += ": common after the machine has slept; the process has to be started again, sometimes the driver's modules too"
	case C.CUDA_ERROR_NO_BINARY_FOR_GPU, C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
		text += ": the driver is too old, or the GPU is: docs/gpu.md says what they have to be"
	}
	return text
}

// restart are the statuses of which cuda.h says that the process must be
// terminated and relaunched: every later call on the GPU fails with them, also
// in a context that is made anew. They are numbers because the headers of
// early CUDA 12 do not name them all; a test holds them against cuda.h.
var restart = []int{
	226, // CONTAINED
	700, // ILLEGAL_ADDRESS
	702, // LAUNCH_TIMEOUT
	714, // HARDWARE_STACK_ERROR
	715, // ILLEGAL_INSTRUCTION
	716, // MISALIGNED_ADDRESS
	717, // INVALID_ADDRESS_SPACE
	718, // INVALID_PC
	719, // LAUNCH_FAILED
	721, // TENSOR_MEMORY_LEAK
	810, // MPS_CLIENT_TERMINATED
	911, // EXTERNAL_DEVICE
}

// Lost reports whether the context, and with it all that lies on the device, is
// gone: every later call fails too.
func (e *Error) Lost() bool {
	return e.Permanent() || slices.Contains([]int{
		C.CUDA_ERROR_DEVICE_UNAVAILABLE, C.CUDA_ERROR_ECC_UNCORRECTABLE, C.CUDA_ERROR_NVLINK_UNCORRECTABLE,
		C.CUDA_ERROR_CONTEXT_IS_DESTROYED, C.CUDA_ERROR_ASSERT, C.CUDA_ERROR_UNKNOWN,
	}, e.Status)
}

func (e *Error) outOfMemory() bool { return e.Status == C.CUDA_ERROR_OUT_OF_MEMORY }

// Permanent reports whether only a new process can use the GPU again.
func (e *Error) Permanent() bool { return slices.Contains(restart, e.Status) }

// statusName returns the name that cuda.h has for a status.
func statusName(status int) string {
	var name *C.char
	if C.cuGetErrorName(C.CUresult(status), &name) == C.CUDA_SUCCESS && name != nil {
		return C.GoString(name)
	}
	if status == C.CUDA_ERROR_NO_DEVICE {
		return "CUDA_ERROR_NO_DEVICE" // the driver that knows the names is what is missing
	}
	return fmt.Sprintf("CUresult %d", status)
}

// failed returns the Error of a call of ours, nil where there is none.
func failed(call string, status C.CUresult) error {
	if status == C.CUDA_SUCCESS {
		return nil
	}
	return &Error{Call: call, Status: int(status)}
}

// refused returns the Error of a call through gorgonia.org/cu, nil where there
// is none. Its errors are numbers of an unexported type, some of them wrapped.
func refused(call string, err error) error {
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if number := reflect.ValueOf(cause); number.CanInt() {
			return &Error{Call: call, Status: int(number.Int())}
		}
	}
	if err != nil {
		return fmt.Errorf("CUDA, %s: %w", call, err)
	}
	return nil
}
