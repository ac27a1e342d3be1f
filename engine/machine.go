package engine

import (
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/trtdet/trtdet/engine/internal/gpus"
	"github.com/trtdet/trtdet/engine/internal/ort"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/trt"
)

// Machine is what trtdet found on this machine to work with.
type Machine struct {
	Driver      gpus.Driver   `json:"driver"`
	GPUs        []gpus.GPU    `json:"gpus"`
	TensorRT    []TensorRT    `json:"tensorrt"`
	ONNXRuntime []ort.Library `json:"onnxruntime"`
	TurboJPEG   TurboJPEG     `json:"libjpeg_turbo"`
	// HostMemory is how many bytes the images of a Detector may take unless
	// Options.HostMemory says otherwise; 0 where nobody knows.
	HostMemory int64 `json:"host_memory"`
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
	m := Machine{TensorRT: []TensorRT{}, HostMemory: HostMemory(), ONNXRuntime: ort.Search()}
	m.Driver, m.GPUs = gpus.List(management)
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
