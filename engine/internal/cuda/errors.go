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
		text += ": the driver is older than CUDA 13 (580)"
	}
	return text
}

// Lost reports whether the context, and with it all that lies on the device, is
// gone: every later call fails too.
func (e *Error) Lost() bool {
	return slices.Contains([]int{
		C.CUDA_ERROR_DEVICE_UNAVAILABLE, C.CUDA_ERROR_ECC_UNCORRECTABLE, C.CUDA_ERROR_NVLINK_UNCORRECTABLE,
		C.CUDA_ERROR_ILLEGAL_ADDRESS, C.CUDA_ERROR_LAUNCH_TIMEOUT, C.CUDA_ERROR_CONTEXT_IS_DESTROYED, C.CUDA_ERROR_ASSERT,
		C.CUDA_ERROR_HARDWARE_STACK_ERROR, C.CUDA_ERROR_ILLEGAL_INSTRUCTION, C.CUDA_ERROR_MISALIGNED_ADDRESS,
		C.CUDA_ERROR_INVALID_ADDRESS_SPACE, C.CUDA_ERROR_INVALID_PC, C.CUDA_ERROR_LAUNCH_FAILED, C.CUDA_ERROR_UNKNOWN,
	}, e.Status)
}

func (e *Error) outOfMemory() bool { return e.Status == C.CUDA_ERROR_OUT_OF_MEMORY }

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
