package gpus

import (
	"fmt"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Watch keeps the critical errors (Xid) that the driver reports of some devices
// until they are asked for. Any goroutine may use it. NVML is never called with
// the lock held.
type Watch struct {
	management nvml.Interface
	set        nvml.EventSet // nil where nothing is reported
	ordinals   map[string]int

	mu     sync.Mutex
	last   map[int]uint64
	next   chan struct{} // closed at the end of the round that begins next; nil where nobody waits for one
	reader chan struct{} // closed when the goroutine of the rounds ends; nil while there is none
	closed bool
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

// settle is how late an error may be: the driver tells a call of it and NVML in
// no order.
const settle = 50 * time.Millisecond

// Explain says which error a device had last and what to do about it, "" where
// none was reported. It waits for what is late, for two rounds at most, however
// many call it at once.
func (w *Watch) Explain(ordinal int) string {
	if round := w.join(); round != nil {
		<-round
	}
	w.mu.Lock()
	xid, ok := w.last[ordinal]
	w.mu.Unlock()
	if !ok {
		return ""
	}
	return explain(xid)
}

// join returns what is closed at the end of a round that begins later than now,
// nil where nothing is reported. A round that is under way may be over before
// what is late comes.
func (w *Watch) join() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil || w.closed {
		return nil
	}
	if w.next == nil {
		w.next = make(chan struct{})
	}
	if w.reader == nil {
		w.reader = make(chan struct{})
		go w.rounds(w.reader)
	}
	return w.next
}

// rounds reads what NVML reports for as long as anybody waits for it.
func (w *Watch) rounds(reader chan struct{}) {
	defer close(reader)
	for {
		w.mu.Lock()
		round := w.next
		w.next = nil
		if round == nil {
			w.reader = nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		end := time.Now().Add(settle)
		for left := settle; left > 0 && w.read(left); left = time.Until(end) {
		}
		close(round)
	}
}

// read takes one error from NVML, false where none comes within a time.
func (w *Watch) read(within time.Duration) bool {
	event, ret := w.set.Wait(uint32((within + time.Millisecond - 1).Milliseconds()))
	if ret != nvml.SUCCESS {
		return false
	}
	if uuid, ret := event.Device.GetUUID(); ret == nvml.SUCCESS {
		if of, ok := w.ordinals[uuid]; ok {
			w.mu.Lock()
			w.last[of] = event.EventData
			w.mu.Unlock()
		}
	}
	return true
}

// Close ends the watch. It is safe to call twice.
func (w *Watch) Close() error {
	w.mu.Lock()
	closed, reader := w.closed, w.reader
	w.closed = true
	w.mu.Unlock()
	if closed || w.set == nil {
		return nil
	}
	if reader != nil {
		<-reader // the set may not be freed under it
	}
	defer w.management.Shutdown()
	if ret := w.set.Free(); ret != nvml.SUCCESS {
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
