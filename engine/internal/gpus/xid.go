package gpus

import (
	"fmt"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Watch keeps the critical errors (Xid) that the driver reports of some devices
// until they are asked for. Any goroutine may use it.
type Watch struct {
	mu         sync.Mutex
	management nvml.Interface
	set        nvml.EventSet // nil where nothing is reported
	ordinals   map[string]int
	last       map[int]uint64
}

// NewWatch begins to watch. Where NVML is missing or reports no events, nothing
// will ever have happened.
func NewWatch(management nvml.Interface, devices []Device) *Watch {
	w := &Watch{management: management, ordinals: map[string]int{}, last: map[int]uint64{}}
	if management.Init() != nvml.SUCCESS {
		return w
	}
	set, ret := management.EventSetCreate()
	if ret != nvml.SUCCESS {
		management.Shutdown()
		return w
	}
	for _, d := range devices {
		handle, ok := d.handle(management)
		if !ok {
			continue
		}
		if whole, ret := handle.GetDeviceHandleFromMigDeviceHandle(); ret == nvml.SUCCESS {
			handle = whole // the errors of a part are reported of its GPU
		}
		uuid, ret := handle.GetUUID()
		if ret == nvml.SUCCESS && handle.RegisterEvents(nvml.EventTypeXidCriticalError, set) == nvml.SUCCESS {
			w.ordinals[uuid] = d.Ordinal
		}
	}
	w.set = set
	return w
}

// settle is how many milliseconds an error may be late: the driver tells a call
// of it and NVML in no order.
const settle = 50

// Explain says which error a device had last and what to do about it, "" where
// none was reported.
func (w *Watch) Explain(ordinal int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.set != nil {
		event, ret := w.set.Wait(settle)
		if ret != nvml.SUCCESS {
			break // no more
		}
		if uuid, ret := event.Device.GetUUID(); ret == nvml.SUCCESS {
			if of, ok := w.ordinals[uuid]; ok {
				w.last[of] = event.EventData
			}
		}
	}
	xid, ok := w.last[ordinal]
	if !ok {
		return ""
	}
	return explain(xid)
}

// Close ends the watch. It is safe to call twice.
func (w *Watch) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil {
		return nil
	}
	set := w.set
	w.set = nil
	defer w.management.Shutdown()
	if ret := set.Free(); ret != nvml.SUCCESS {
		return fmt.Errorf("NVML: %s", w.management.ErrorString(ret))
	}
	return nil
}

// xids are the errors after which work ends, as NVIDIA's list of Xid errors
// explains them, and what helps.
var xids = map[uint64]struct{ what, do string }{
	13:  {"a kernel did what it must not", "start the process again, and report it if it comes back"},
	31:  {"a kernel touched memory that is not its own", "start the process again, and report it if it comes back"},
	43:  {"the GPU stopped working for a process", "start the process again"},
	45:  {"the driver ended a process's work after another error", "look for the error before it in the kernel's log (dmesg)"},
	48:  {"an error in the GPU's memory that could not be corrected", "reset the GPU (nvidia-smi --gpu-reset)"},
	63:  {"a row of the GPU's memory is to be replaced", "reset the GPU (nvidia-smi --gpu-reset) when it is idle"},
	64:  {"a row of the GPU's memory could not be replaced", "reset the GPU (nvidia-smi --gpu-reset); if it comes back, have it replaced"},
	74:  {"an error of NVLink", "reset the GPUs that it joins; if it comes back, check the bridge"},
	79:  {"the GPU has fallen off the bus", "restart the machine; if it comes back, check power, cooling and the slot"},
	94:  {"an error in the GPU's memory that one process had", "start the process again, and reset the GPU (nvidia-smi --gpu-reset) when it is idle"},
	95:  {"an error in the GPU's memory that every process has", "reset the GPU (nvidia-smi --gpu-reset)"},
	119: {"the GPU's own processor does not answer", "reset the GPU (nvidia-smi --gpu-reset) or restart the machine"},
	120: {"the GPU's own processor failed", "reset the GPU (nvidia-smi --gpu-reset) or restart the machine"},
}

func explain(xid uint64) string {
	known, ok := xids[xid]
	if !ok {
		return fmt.Sprintf("Xid %d: NVIDIA's list of Xid errors has it", xid)
	}
	return fmt.Sprintf("Xid %d, %s: %s", xid, known.what, known.do)
}
