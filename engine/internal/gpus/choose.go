package gpus

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/dustin/go-humanize"
)

// load is how busy a device is.
type load struct {
	device      Device
	utilization int // percent
	free        uint64
}

// LeastLoaded returns the ordinal of the device that is least busy, and among
// equals has most memory free, of those with need bytes free. Devices that NVML
// does not know are left out; where it knows none of them, or is missing, it is
// the first. The error lists what each has free where none has enough.
func LeastLoaded(management nvml.Interface, devices []Device, need uint64) (int, error) {
	if len(devices) == 0 {
		return 0, fmt.Errorf("the driver shows no GPU (CUDA_VISIBLE_DEVICES hides those that it does not name)")
	}
	loads := measure(management, devices)
	if len(loads) == 0 {
		return devices[0].Ordinal, nil
	}
	fit := slices.DeleteFunc(slices.Clone(loads), func(l load) bool { return l.free < need })
	if len(fit) == 0 {
		var each []string
		for _, l := range loads {
			each = append(each, fmt.Sprintf("%s %s", l.device, humanize.IBytes(l.free)))
		}
		return 0, fmt.Errorf("no GPU has %s of memory free: %s; end what uses it, or name one with --device cuda:N to try all the same",
			humanize.IBytes(need), strings.Join(each, ", "))
	}
	least := slices.MinFunc(fit, func(a, b load) int {
		return cmp.Or(cmp.Compare(a.utilization, b.utilization), cmp.Compare(b.free, a.free))
	})
	return least.device.Ordinal, nil
}

// measure asks how busy each device is, in the driver's order.
func measure(management nvml.Interface, devices []Device) []load {
	if management.Init() != nvml.SUCCESS {
		return nil
	}
	defer management.Shutdown()
	var loads []load
	for _, d := range devices {
		handle, ok := d.handle(management)
		if !ok {
			continue
		}
		l := load{device: d}
		memory, ret := handle.GetMemoryInfo()
		if ret != nvml.SUCCESS {
			continue
		}
		l.free = memory.Free
		if utilization, ret := handle.GetUtilizationRates(); ret == nvml.SUCCESS { // a part of a GPU has none
			l.utilization = int(utilization.Gpu)
		}
		loads = append(loads, l)
	}
	return loads
}
