package gpus

import (
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Use is how busy a device was over a time.
type Use struct {
	Device string `json:"device"` // "cuda:0"
	// Utilization is the mean percentage of the time that kernels ran.
	Utilization float64 `json:"utilization_percent"`
	// MemoryBytes is the most that was in use, by this process and others.
	MemoryBytes uint64 `json:"memory_bytes"`
}

// Sample looks at the devices every interval until stop is called, which
// returns what it saw: nothing without NVML. stop must be called once.
func Sample(management nvml.Interface, devices []Device, interval time.Duration) (stop func() []Use) {
	if management.Init() != nvml.SUCCESS {
		return func() []Use { return nil }
	}
	var handles []nvml.Device
	var uses []Use
	for _, d := range devices {
		if handle, ok := d.handle(management); ok {
			handles = append(handles, handle)
			uses = append(uses, Use{Device: d.String()})
		}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		samples := 0.0
		for ticker := time.NewTicker(interval); ; {
			for i, handle := range handles {
				if memory, ret := handle.GetMemoryInfo(); ret == nvml.SUCCESS {
					uses[i].MemoryBytes = max(uses[i].MemoryBytes, memory.Used)
				}
				if utilization, ret := handle.GetUtilizationRates(); ret == nvml.SUCCESS {
					uses[i].Utilization = (uses[i].Utilization*samples + float64(utilization.Gpu)) / (samples + 1)
				}
			}
			samples++
			select {
			case <-ticker.C:
			case <-quit:
				ticker.Stop()
				return
			}
		}
	}()
	return func() []Use {
		close(quit)
		<-done
		management.Shutdown()
		return uses
	}
}
