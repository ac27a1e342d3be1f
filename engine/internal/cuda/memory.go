package cuda

// #include <cuda.h>
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Buffer is memory on a device.
type Buffer struct {
	device  *Device
	pointer cu.DevicePtr
	size    int
}

// Alloc returns size bytes on the device.
func (d *Device) Alloc(size int) (*Buffer, error) {
	b := &Buffer{device: d, size: size}
	err := d.Do(func() (err error) {
		b.pointer, err = cu.MemAlloc(int64(size))
		return refused("cuMemAlloc", err)
	})
	if err != nil {
		return nil, err
	}
	d.taken.Add(int64(size))
	return b, nil
}

// Address is where the device finds the buffer.
func (b *Buffer) Address() uint64 { return uint64(b.pointer) }

// Size is the buffer's size in bytes.
func (b *Buffer) Size() int { return b.size }

// Close frees the buffer. It is safe to call twice, not while a stream has work
// that uses it.
func (b *Buffer) Close() error {
	if b.pointer == 0 {
		return nil
	}
	pointer := b.pointer
	b.pointer = 0
	b.device.taken.Add(-int64(b.size))
	return b.device.Do(func() error { return refused("cuMemFree", cu.MemFree(pointer)) })
}

// Pinned is memory on the host that a device copies from and to by itself.
type Pinned struct {
	device *Device
	bytes  []byte
}

// AllocPinned returns size bytes of pinned memory, which every device reaches.
func (d *Device) AllocPinned(size int) (*Pinned, error) {
	var at unsafe.Pointer
	err := d.Do(func() error {
		return failed("cuMemHostAlloc", C.cuMemHostAlloc(&at, C.size_t(size), C.CU_MEMHOSTALLOC_PORTABLE))
	})
	if err != nil {
		return nil, err
	}
	return &Pinned{device: d, bytes: unsafe.Slice((*byte)(at), size)}, nil
}

// Bytes is the memory; it must not be touched while a copy is under way, nor
// after Close.
func (p *Pinned) Bytes() []byte { return p.bytes }

// Close frees the memory, if there is any. It is safe to call twice.
func (p *Pinned) Close() error {
	if p == nil || p.bytes == nil {
		return nil
	}
	at := unsafe.Pointer(unsafe.SliceData(p.bytes))
	p.bytes = nil
	return p.device.Do(func() error { return failed("cuMemFreeHost", C.cuMemFreeHost(at)) })
}
