package gpus

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/trtdet/trtdet/engine/internal/cuda"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// The last of the simulated GPUs is the first of three parts of one.
func TestMain(m *testing.M) {
	os.Setenv("SIMGPU_MIG", "2:3")
	if err := simgpu.Use(3); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// simulated returns the driver's devices, for go-nvml's own code to find.
func simulated(t *testing.T) []Device {
	t.Helper()
	if simgpu.Real() {
		t.Skip("a real NVML does not report what it is told to")
	}
	simgpu.CheckClean(t)
	found, err := cuda.IdentifyAll()
	if err != nil {
		t.Fatal(err)
	}
	var devices []Device
	for _, id := range found {
		devices = append(devices, Device{Ordinal: id.Ordinal, UUID: id.UUID})
		t.Cleanup(func() { simgpu.Load(id.Ordinal, 0, 0) })
	}
	return devices
}

func TestListThroughNVML(t *testing.T) {
	simulated(t)
	simgpu.Load(1, 40, 1<<30)
	driver, gpus := List(nvml.New())
	if driver.Version != "580.0.simulated" || driver.CUDA != "13.0" || driver.Reason != "" || len(gpus) != 3 {
		t.Fatalf("driver %+v, %d GPUs", driver, len(gpus))
	}
	// NVML counts the other way round
	divided, busy := gpus[0], gpus[1]
	if busy.Name != "simulated GPU" || busy.ComputeCapability != "8.9" || busy.UUID != "GPU-62626262-6262-6262-6262-626262626262" ||
		busy.Utilization == nil || *busy.Utilization != 40 || busy.MemoryBytes-busy.FreeBytes != 1<<30 || busy.MIG != nil {
		t.Errorf("GPU %+v", busy)
	}
	if divided.Utilization != nil || len(divided.MIG) != 3 || divided.MIG[2].UUID != "MIG-63636363-6363-6363-6363-636363636302" ||
		divided.MIG[2].MemoryBytes != divided.MemoryBytes/3 {
		t.Errorf("divided GPU %+v", divided)
	}
}

func TestLeastLoadedThroughNVML(t *testing.T) {
	devices := simulated(t)
	for _, c := range []struct {
		utilization [2]int
		need        uint64
		want        int
	}{
		{[2]int{90, 10}, 1 << 30, 2}, // a part says nothing of how busy it is
		{[2]int{90, 10}, 2 << 30, 1}, // and has a third of the memory
		{[2]int{10, 90}, 2 << 30, 0},
	} {
		for device, percent := range c.utilization {
			simgpu.Load(device, percent, 0)
		}
		if got, err := LeastLoaded(nvml.New(), devices, c.need); got != c.want || err != nil {
			t.Errorf("of GPUs busy for %v %% it takes cuda:%d, %v, want cuda:%d", c.utilization, got, err, c.want)
		}
	}
}

func TestSampleThroughNVML(t *testing.T) {
	devices := simulated(t)
	simgpu.Load(1, 70, 3<<20)
	uses := Sample(nvml.New(), devices[1:], time.Hour)()
	if len(uses) != 2 || uses[0] != (Use{"cuda:1", 70, 3 << 20}) || uses[1] != (Use{"cuda:2", 0, 0}) {
		t.Errorf("%+v", uses)
	}
}

// Each device's own error is found, a part's among those of its GPU, by many who
// ask at once.
func TestWatchThroughNVML(t *testing.T) {
	devices := simulated(t)
	w := NewWatch(nvml.New(), devices)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	simgpu.Xid(2, 48)
	simgpu.Xid(0, 31)
	simgpu.Xid(0, 79)
	var callers sync.WaitGroup
	for n := range 30 {
		callers.Go(func() {
			for device, words := range []string{"Xid 79", "", "Xid 48"} {
				if got := w.Explain(device); !strings.Contains(got, words) || words == "" && got != "" {
					t.Errorf("caller %d: of cuda:%d it says %q, want %q", n, device, got, words)
				}
			}
		})
	}
	callers.Wait()
}
