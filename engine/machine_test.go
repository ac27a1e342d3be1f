package engine

import (
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

func TestInspectMachine(t *testing.T) {
	machine := dgxa100.New()
	machine.SystemGetCudaDriverVersion_v2Func = func() (int, nvml.Return) { return 13000, nvml.SUCCESS }
	machine.ShutdownFunc = func() nvml.Return { return nvml.SUCCESS }
	for _, d := range machine.Devices {
		d.(*server.Device).GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) {
			return nvml.Memory{Total: 40 << 30, Free: 30 << 30}, nvml.SUCCESS
		}
	}
	m := InspectMachine(machine, "")
	if len(m.GPUs) != 8 || m.Driver.Version == "" || m.Driver.CUDA != "13.0" {
		t.Fatalf("driver %+v, %d GPUs", m.Driver, len(m.GPUs))
	}
	if g := m.GPUs[3]; g.Index != 3 || !strings.Contains(g.Name, "A100") || g.ComputeCapability != "8.0" || g.FreeBytes != 30<<30 {
		t.Errorf("GPU %+v", g)
	}
	if len(m.TensorRT) == 0 || len(m.ONNXRuntime) == 0 || m.ONNXRuntime[0].Version == "" {
		t.Errorf("TensorRT %+v, ONNX Runtime %+v", m.TensorRT, m.ONNXRuntime)
	}
}

func TestInspectMachineWithoutDriver(t *testing.T) {
	for ret, words := range map[nvml.Return]string{
		nvml.ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver",
		nvml.ERROR_DRIVER_NOT_LOADED: "not loaded",
	} {
		m := InspectMachine(&mock.Interface{
			InitFunc:        func() nvml.Return { return ret },
			ErrorStringFunc: func(nvml.Return) string { return "the driver is not loaded" },
		}, "")
		if !strings.Contains(m.Driver.Reason, words) || len(m.GPUs) != 0 {
			t.Errorf("driver %+v, GPUs %v, want a reason with %q", m.Driver, m.GPUs, words)
		}
	}
}
