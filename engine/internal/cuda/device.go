package cuda

// #include <cuda.h>
//
// // Whose pointer Go would allocate.
// static CUresult pop_context(void) {
//   CUcontext popped;
//   return cuCtxPopCurrent(&popped);
// }
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"gorgonia.org/cu"
)

// Device is one GPU with its primary context held. Any goroutine may use it.
type Device struct {
	// Ordinal is its number in the driver's order.
	Ordinal int

	device  cu.Device
	context cu.CUContext
	// making is held while TensorRT makes a context and while work is captured:
	// what it does then may not happen beside a capture.
	making sync.Mutex
	taken  atomic.Int64 // bytes of Buffers
}

// Count returns how many GPUs the driver sees.
func Count() (int, error) {
	n, err := cu.NumDevices()
	return n, refused("cuDeviceGetCount", err)
}

// find returns the driver's handle of a GPU.
func find(ordinal int) (cu.Device, error) {
	device, err := cu.GetDevice(ordinal)
	if err != nil {
		err = refused("cuDeviceGet", err)
		if failure := (*Error)(nil); errors.As(err, &failure) {
			failure.Detail = thereAre()
		}
	}
	return device, err
}

// thereAre says how many GPUs the driver sees, to who named another.
func thereAre() string {
	switch n, err := Count(); {
	case err != nil || n == 0:
		return ""
	case n == 1:
		return "there is 1 GPU, cuda:0"
	default:
		return fmt.Sprintf("there are %d GPUs, cuda:0 to cuda:%d", n, n-1)
	}
}

// OpenDevice takes hold of a GPU's primary context, by its number in the driver's
// order. The context is shared with everything else in the process that uses
// the GPU through its primary context, as TensorRT does.
func OpenDevice(ordinal int) (*Device, error) {
	d := &Device{Ordinal: ordinal}
	var err error
	if d.device, err = find(ordinal); err != nil {
		return nil, err
	}
	if d.context, err = d.device.RetainPrimaryCtx(); err != nil {
		return nil, refused("cuDevicePrimaryCtxRetain", err)
	}
	return d, nil
}

// String returns "cuda:0".
func (d *Device) String() string { return fmt.Sprintf("cuda:%d", d.Ordinal) }

// Do calls f on one thread with the device's context current there. What was
// current before is so again afterwards: the thread may be one on which the
// program uses CUDA by itself. f must not wait for the device or for another
// goroutine.
func (d *Device) Do(f func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.PushCurrentCtx(d.context); err != nil {
		return refused("cuCtxPushCurrent", err)
	}
	defer func() {
		if popped := failed("cuCtxPopCurrent", C.pop_context()); err == nil {
			err = popped
		}
	}()
	return f()
}

// Memory returns the device's free and whole memory in bytes.
func (d *Device) Memory() (free, total uint64, err error) {
	err = d.Do(func() error {
		f, t, err := cu.MemInfo()
		free, total = uint64(f), uint64(t)
		return refused("cuMemGetInfo", err)
	})
	return free, total, err
}

// Close lets go of the context. Everything made on the device has to be closed
// before.
func (d *Device) Close() error {
	if d.context == (cu.CUContext{}) {
		return nil
	}
	d.context = cu.CUContext{}
	return refused("cuDevicePrimaryCtxRelease", d.device.ReleasePrimaryCtx())
}
