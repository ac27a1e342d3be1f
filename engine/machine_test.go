package engine

import (
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

func TestInspectMachine(t *testing.T) {
	m := InspectMachine(&mock.Interface{InitFunc: func() nvml.Return { return nvml.ERROR_LIBRARY_NOT_FOUND }}, "")
	if m.Driver.Reason == "" || len(m.GPUs) != 0 {
		t.Errorf("driver %+v, GPUs %v", m.Driver, m.GPUs)
	}
	if len(m.TensorRT) == 0 || len(m.ONNXRuntime) == 0 || m.ONNXRuntime[0].Version == "" {
		t.Errorf("TensorRT %+v, ONNX Runtime %+v", m.TensorRT, m.ONNXRuntime)
	}
}
