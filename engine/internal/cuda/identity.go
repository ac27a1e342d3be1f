package cuda

// #include <cuda.h>
import "C"

import (
	"unsafe"
)

// Identity is what a GPU is, known without a context on it.
type Identity struct {
	// Ordinal is its number in the driver's order.
	Ordinal int
	UUID    [16]byte
	// Name is the driver's, such as "NVIDIA H100 80GB HBM3".
	Name string
	// Major and Minor are its compute capability.
	Major, Minor int
}

// Identify asks what a GPU is.
func Identify(ordinal int) (Identity, error) {
	id := Identity{Ordinal: ordinal}
	device, err := find(ordinal)
	if err != nil {
		return id, err
	}
	var uuid C.CUuuid
	// the first version has the whole GPU's UUID for a part that MIG made
	if err := failed("cuDeviceGetUuid", C.cuDeviceGetUuid_v2(&uuid, C.CUdevice(device))); err != nil {
		return id, err
	}
	id.UUID = *(*[16]byte)(unsafe.Pointer(&uuid))
	if id.Name, err = device.Name(); err != nil {
		return id, refused("cuDeviceGetName", err)
	}
	id.Major, id.Minor, err = device.ComputeCapability()
	return id, refused("cuDeviceGetAttribute", err)
}

// IdentifyAll asks what each GPU of the driver's is.
func IdentifyAll() ([]Identity, error) {
	n, err := Count()
	if err != nil {
		return nil, err
	}
	all := make([]Identity, n)
	for i := range all {
		if all[i], err = Identify(i); err != nil {
			return nil, err
		}
	}
	return all, nil
}
