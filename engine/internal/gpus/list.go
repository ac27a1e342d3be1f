package gpus

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Driver is NVIDIA's driver, or the reason why it cannot be asked.
type Driver struct {
	Version string `json:"version,omitempty"`
	CUDA    string `json:"cuda,omitempty"` // newest CUDA it serves, such as "13.0"
	Reason  string `json:"reason,omitempty"`
}

// GPU is one device, in NVML's order.
type GPU struct {
	Index             int    `json:"index"`
	UUID              string `json:"uuid"`
	Name              string `json:"name"`
	ComputeCapability string `json:"compute_capability"`
	MemoryBytes       uint64 `json:"memory_bytes"`
	FreeBytes         uint64 `json:"free_bytes"`
	// Utilization is the percentage of the time that kernels ran, a moment ago;
	// nil where NVML does not say, as of a GPU that is divided by MIG.
	Utilization *int  `json:"utilization_percent,omitempty"`
	MIG         []MIG `json:"mig,omitempty"`
}

// MIG is a part of a GPU that works as a device of its own.
type MIG struct {
	UUID        string `json:"uuid"`
	Name        string `json:"name"`
	MemoryBytes uint64 `json:"memory_bytes"`
	FreeBytes   uint64 `json:"free_bytes"`
}

// List returns what NVML says of the driver and the GPUs. What cannot be read is
// part of the answer, not an error.
func List(management nvml.Interface) (Driver, []GPU) {
	gpus := []GPU{}
	if ret := management.Init(); ret != nvml.SUCCESS {
		if ret == nvml.ERROR_LIBRARY_NOT_FOUND {
			return Driver{Reason: "no NVIDIA driver on this machine (libnvidia-ml.so.1 not found)"}, gpus
		}
		return Driver{Reason: "NVML: " + management.ErrorString(ret)}, gpus
	}
	defer management.Shutdown()
	var d Driver
	if version, ret := management.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		d.Version = version
	}
	if cuda, ret := management.SystemGetCudaDriverVersion_v2(); ret == nvml.SUCCESS {
		d.CUDA = fmt.Sprintf("%d.%d", cuda/1000, cuda%1000/10)
	}
	count, ret := management.DeviceGetCount()
	if ret != nvml.SUCCESS {
		d.Reason = "NVML cannot count the GPUs: " + management.ErrorString(ret)
	}
	for i := range count {
		device, ret := management.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			gpus = append(gpus, GPU{Index: i, Name: "unreadable: " + management.ErrorString(ret)})
			continue
		}
		gpus = append(gpus, describe(i, device))
	}
	return d, gpus
}

func describe(index int, device nvml.Device) GPU {
	g := GPU{Index: index}
	if name, ret := device.GetName(); ret == nvml.SUCCESS {
		g.Name = name
	}
	if uuid, ret := device.GetUUID(); ret == nvml.SUCCESS {
		g.UUID = uuid
	}
	if major, minor, ret := device.GetCudaComputeCapability(); ret == nvml.SUCCESS {
		g.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
	}
	if memory, ret := device.GetMemoryInfo(); ret == nvml.SUCCESS {
		g.MemoryBytes, g.FreeBytes = memory.Total, memory.Free
	}
	if utilization, ret := device.GetUtilizationRates(); ret == nvml.SUCCESS {
		percent := int(utilization.Gpu)
		g.Utilization = &percent
	}
	if mode, _, ret := device.GetMigMode(); ret == nvml.SUCCESS && mode == nvml.DEVICE_MIG_ENABLE {
		g.MIG = migDevices(device)
	}
	return g
}

func migDevices(device nvml.Device) []MIG {
	var parts []MIG
	most, ret := device.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		return nil
	}
	for i := range most {
		part, ret := device.GetMigDeviceHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue // there are fewer than there could be
		}
		var m MIG
		if name, ret := part.GetName(); ret == nvml.SUCCESS {
			m.Name = name
		}
		if uuid, ret := part.GetUUID(); ret == nvml.SUCCESS {
			m.UUID = uuid
		}
		if memory, ret := part.GetMemoryInfo(); ret == nvml.SUCCESS {
			m.MemoryBytes, m.FreeBytes = memory.Total, memory.Free
		}
		parts = append(parts, m)
	}
	return parts
}
