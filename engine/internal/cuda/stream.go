package cuda

// #include <cuda.h>
import "C"

import (
	"errors"
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is a queue of work on a device. Its methods but for Wait only add to
// it, and belong inside the device's Do; one goroutine at a time may use it.
type Stream struct {
	device   *Device
	stream   cu.Stream
	done     cu.Event
	argument *uint64 // what a launch passes: the address of a block
	launch   [1]unsafe.Pointer
	// capturing is set while work that is added is recorded instead.
	capturing bool
}

// NewStream makes a stream that does not wait for the device's default one.
func (d *Device) NewStream() (*Stream, error) {
	s := &Stream{device: d, argument: new(uint64)}
	s.launch[0] = unsafe.Pointer(s.argument)
	err := d.Do(func() (err error) {
		if s.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return refused("cuStreamCreate", err)
		}
		if s.done, err = cu.MakeEvent(cu.BlockingSyncEvent | cu.DisableTiming); err != nil {
			return errors.Join(refused("cuEventCreate", err), refused("cuStreamDestroy", s.stream.Destroy()))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Handle is the stream's CUstream.
func (s *Stream) Handle() uint64 { return uint64(uintptr(unsafe.Pointer(s.stream.C()))) }

// CopyIn copies pinned bytes to an address on the device.
func (s *Stream) CopyIn(to uint64, from []byte) error {
	if len(from) == 0 {
		return nil
	}
	return refused("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(cu.DevicePtr(to), unsafe.Pointer(&from[0]), int64(len(from)), s.stream))
}

// CopyOut copies from an address on the device to pinned bytes.
func (s *Stream) CopyOut(to []byte, from uint64) error {
	if len(to) == 0 {
		return nil
	}
	return refused("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(unsafe.Pointer(&to[0]), cu.DevicePtr(from), int64(len(to)), s.stream))
}

// Dim is a number of blocks, or of threads in one, along x, y and z.
type Dim struct{ X, Y, Z int }

// Launch runs a kernel with the address of its block.
func (s *Stream) Launch(k Kernel, grid, block Dim, address uint64) error {
	*s.argument = address
	return refused("cuLaunchKernel, "+k.name, k.function.Launch(grid.X, grid.Y, grid.Z, block.X, block.Y, block.Z, 0, s.stream, s.launch[:]))
}

// Mark ends a batch: Wait returns when all that was added before it is done.
func (s *Stream) Mark() error { return refused("cuEventRecord", s.done.Record(s.stream)) }

// Wait blocks until the work before the last Mark is done. It is called outside of
// the device's Do, as Drain is.
func (s *Stream) Wait() error {
	// gorgonia's event is the driver's, and shows it to nobody
	return s.device.waitFor(*(*C.CUevent)(unsafe.Pointer(&s.done)), nil)
}

// Drain blocks until all of the stream's work is done, marked or not.
func (s *Stream) Drain() error { return s.device.waitFor(nil, s.c()) }

// Close waits for the stream's work and frees it. It is safe to call twice.
func (s *Stream) Close() error {
	if s.stream == (cu.Stream{}) {
		return nil
	}
	return errors.Join(s.Drain(), s.device.Do(func() error {
		return errors.Join(refused("cuEventDestroy", cu.DestroyEvent(&s.done)), refused("cuStreamDestroy", s.stream.Destroy()))
	}))
}
