package engine

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/trtdet/trtdet/engine/internal/ort"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/trt"
)

// Machine is what trtdet found on this machine to work with.
type Machine struct {
	Driver      Driver        `json:"driver"`
	GPUs        []GPU         `json:"gpus"`
	TensorRT    []TensorRT    `json:"tensorrt"`
	ONNXRuntime []ort.Library `json:"onnxruntime"`
	TurboJPEG   TurboJPEG     `json:"libjpeg_turbo"`
}

// Driver is NVIDIA's driver.
type Driver struct {
	Version string `json:"version,omitempty"`
	CUDA    string `json:"cuda,omitempty"` // newest CUDA it serves, such as "13.0"
	Reason  string `json:"reason,omitempty"`
}

// GPU is one device, in NVML's order.
type GPU struct {
	Index             int    `json:"index"`
	Name              string `json:"name"`
	ComputeCapability string `json:"compute_capability"`
	MemoryBytes       uint64 `json:"memory_bytes"`
	FreeBytes         uint64 `json:"free_bytes"`
}

// TensorRT is one TensorRT found, or why it is passed over.
type TensorRT struct {
	Flavor  trt.Flavor `json:"flavor"`
	Version string     `json:"version,omitempty"`
	Path    string     `json:"path,omitempty"`
	Source  string     `json:"source,omitempty"`
	Reason  string     `json:"reason,omitempty"`
}

// TurboJPEG is the libjpeg-turbo that JPEG files are read and written with, or
// why Go's own code does it.
type TurboJPEG struct {
	Library string `json:"library,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// InspectMachine looks for the driver, GPUs and the libraries. What
// is missing is part of the answer, not an error. management is NVML, usually
// nvml.New(); tensorrt is a library or folder to look at instead of the usual
// places.
func InspectMachine(management nvml.Interface, tensorrt string) Machine {
	m := Machine{TensorRT: []TensorRT{}, ONNXRuntime: ort.Search()}
	m.Driver, m.GPUs = inspectGPUs(management)
	if library, err := imaging.TurboJPEG(); err != nil {
		m.TurboJPEG.Reason = err.Error()
	} else {
		m.TurboJPEG.Library = library
	}
	for _, f := range trt.Search(tensorrt) {
		found := TensorRT{Flavor: f.Flavor, Version: f.Version, Path: f.Path, Source: string(f.Source)}
		if f.Err != nil {
			found.Reason = f.Err.Error()
		}
		m.TensorRT = append(m.TensorRT, found)
	}
	return m
}

func inspectGPUs(management nvml.Interface) (Driver, []GPU) {
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
		g := GPU{Index: i}
		if name, ret := device.GetName(); ret == nvml.SUCCESS {
			g.Name = name
		}
		if major, minor, ret := device.GetCudaComputeCapability(); ret == nvml.SUCCESS {
			g.ComputeCapability = fmt.Sprintf("%d.%d", major, minor)
		}
		if memory, ret := device.GetMemoryInfo(); ret == nvml.SUCCESS {
			g.MemoryBytes, g.FreeBytes = memory.Total, memory.Free
		}
		gpus = append(gpus, g)
	}
	return d, gpus
}
