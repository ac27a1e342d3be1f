package gpus

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Device is a GPU, or a part of one that MIG made, as the driver has it.
type Device struct {
	Ordinal int // in the driver's order
	UUID    [16]byte
}

// String returns "cuda:0".
func (d Device) String() string { return fmt.Sprintf("cuda:%d", d.Ordinal) }

// handle finds NVML's device. The driver does not say whether a UUID is a whole
// GPU's or a part's.
func (d Device) handle(management nvml.Interface) (nvml.Device, bool) {
	u := d.UUID
	for _, kind := range []string{"GPU", "MIG"} {
		uuid := fmt.Sprintf("%s-%x-%x-%x-%x-%x", kind, u[:4], u[4:6], u[6:8], u[8:10], u[10:])
		if device, ret := management.DeviceGetHandleByUUID(uuid); ret == nvml.SUCCESS {
			return device, true
		}
	}
	return nil, false
}
