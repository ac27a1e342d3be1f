// Package simgpu gives tests a GPU where there is none: a libcuda.so.1 of ours
// whose devices are memory that the host cannot touch and threads that work
// when they like. It finds mistakes; it measures nothing.
//
// Beside it lie three TensorRTs of ours, RTX 1, 10 and 11, which the program
// loads and calls as it does NVIDIA's: SIMGPU_TENSORRT says which, 10 unless told
// otherwise.
//
// TRTDET_SIMGPU names the folder of another build of it than make simgpu's.
// TRTDET_GPU=1 has the same tests run on the machine's own GPU, TRTDET_GPU=N on
// its first N.
package simgpu

// #cgo LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
// #include "simgpu.h"
//
// static void fail(void *f, const char *call, int64_t nth, int status) {
//   ((void (*)(const char *, int64_t, int))f)(call, nth, status);
// }
// static void fault(void *f, int device, int64_t nth, int status) {
//   ((void (*)(int, int64_t, int))f)(device, nth, status);
// }
// static void pin(void *f, int64_t us) { ((void (*)(int64_t))f)(us); }
// static int64_t calls(void *f, const char *call) { return ((int64_t(*)(const char *))f)(call); }
// static simgpu_counts count(void *f) { return ((simgpu_counts(*)(void))f)(); }
// static void lose(void *f, int device, int status) { ((void (*)(int, int))f)(device, status); }
// static void nvml_load(void *f, int device, int utilization, uint64_t used) {
//   ((void (*)(int, int, uint64_t))f)(device, utilization, used);
// }
// static void nvml_xid(void *f, int device, uint64_t xid) { ((void (*)(int, uint64_t))f)(device, xid); }
// static int64_t nvml_live(void *f) { return ((int64_t(*)(void))f)(); }
// static void called(void *f, char *names, int64_t size) { ((void (*)(char *, int64_t))f)(names, size); }
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Real reports whether the tests are to run on the machine's own GPU.
func Real() bool { return os.Getenv("TRTDET_GPU") != "" }

// The driver and NVML.
var library, management unsafe.Pointer

var count = 1

// Devices is how many GPUs there are to test on.
func Devices() int { return count }

// TensorRTs are the flavors of the simulated TensorRT, by the names of their
// folders.
var TensorRTs = []string{"rtx1", "10", "11"}

// TensorRT is the flavor that this process runs on unless a test chooses another.
func TensorRT() string { return cmp.Or(os.Getenv("SIMGPU_TENSORRT"), "10") }

// UseTensorRT has a test run on a flavor of the simulated TensorRT.
func UseTensorRT(t testing.TB, flavor string) {
	t.Helper()
	t.Setenv("TRTDET_TENSORRT", filepath.Join(folder(), flavor))
}

// folder is where the simulated libraries lie.
func folder() string {
	if named := os.Getenv("TRTDET_SIMGPU"); named != "" {
		return named
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "build", "out", "simgpu")
}

// Use makes the simulated driver with a number of GPUs, its NVML and a
// TensorRT of it this process's, before the first call of any of them. Where Real it
// does not. A child process finds NVML by LD_LIBRARY_PATH.
func Use(devices int) error {
	if Real() {
		var err error
		count, err = strconv.Atoi(os.Getenv("TRTDET_GPU"))
		return err
	}
	count = devices
	// who asks the loader for NVML's name later gets what has that name already
	for name, handle := range map[string]*unsafe.Pointer{"libcuda.so.1": &library, "libnvidia-ml.so.1": &management} {
		path := C.CString(filepath.Join(folder(), name))
		defer C.free(unsafe.Pointer(path))
		if *handle = C.dlopen(path, C.RTLD_NOW|C.RTLD_LOCAL); *handle == nil {
			return fmt.Errorf("%s: %s: run make simgpu", C.GoString(path), C.GoString(C.dlerror()))
		}
	}
	return errors.Join(
		os.Setenv("SIMGPU_DEVICES", strconv.Itoa(devices)),
		os.Setenv("TRTDET_LIBCUDA", filepath.Join(folder(), "libcuda.so.1")),
		os.Setenv("TRTDET_TENSORRT", filepath.Join(folder(), TensorRT())))
}

func symbol(name string) unsafe.Pointer { return symbolOf(library, name) }

func symbolOf(library unsafe.Pointer, name string) unsafe.Pointer {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.dlsym(library, c)
}

// Fail has the nth call (1 is the next) of a name, such as cuMemAlloc, fail with
// a CUresult; "" forgets all of these.
func Fail(call string, nth int64, status int) { failBy("simgpu_fail", call, nth, status) }

// FailFrom has the nth call of a name and every one after it fail with a
// CUresult, until Fail forgets it.
func FailFrom(call string, nth int64, status int) { failBy("simgpu_fail_from", call, nth, status) }

func failBy(function, call string, nth int64, status int) {
	c := C.CString(call)
	defer C.free(unsafe.Pointer(c))
	C.fail(symbol(function), c, C.int64_t(nth), C.int(status))
}

// Late is what to Fail so that a network fails on the device: enqueueV3 succeeds,
// half of the results is written, and the device is lost with the CUresult.
const Late = "IExecutionContext::enqueueV3, late"

// Calls returns how often a call of a name was made.
func Calls(call string) int64 {
	c := C.CString(call)
	defer C.free(unsafe.Pointer(c))
	return int64(C.calls(symbol("simgpu_calls"), c))
}

// Called returns the names of all calls made so far.
func Called() []string {
	const size = 1 << 14
	names := (*C.char)(C.calloc(1, size))
	defer C.free(unsafe.Pointer(names))
	C.called(symbol("simgpu_called"), names, size)
	text := C.GoStringN(names, size)
	return strings.FieldsFunc(text, func(r rune) bool { return r == 0 })
}

// Lose has every call on a device fail with a CUresult, in contexts that are
// made anew too; 0 makes of it what a new process would find.
func Lose(device, status int) { C.lose(symbol("simgpu_lose"), C.int(device), C.int(status)) }

// Fault has the nth copy, kernel or network (1 is the next) of a device's
// streams fail when its turn comes: it is done by half, and from the next call
// on that waits for the device all is as after Lose.
func Fault(device int, nth int64, status int) {
	C.fault(symbol("simgpu_fault"), C.int(device), C.int64_t(nth), C.int(status))
}

// Pin has it take a time to pin a MiB of host memory, or to let go of it, also
// where it is under way. Nobody else waits for it.
func Pin(mib time.Duration) { C.pin(symbol("simgpu_pin"), C.int64_t(mib.Microseconds())) }

// Load has NVML say that a device's GPU is busy for a percentage of the time, and
// that others use some bytes of its memory.
func Load(device, utilization int, used uint64) {
	C.nvml_load(symbolOf(management, "simgpu_nvml_load"), C.int(device), C.int(utilization), C.uint64_t(used))
}

// Xid has NVML report a critical error of a device's GPU.
func Xid(device int, xid uint64) {
	C.nvml_xid(symbolOf(management, "simgpu_nvml_xid"), C.int(device), C.uint64_t(xid))
}

// Counts is what lives on the devices, and what was done that must not be.
type Counts struct {
	Contexts, Allocations, Pinned, Streams, Events, Modules, Graphs, Executables int
	Objects                                                                      int // of TensorRT
	Violations                                                                   int
	// NVML is how many of its event sets live, and how often it is to be shut down.
	NVML int
}

// Live is how many things there are on the devices.
func (c Counts) Live() int {
	return c.Contexts + c.Allocations + c.Pinned + c.Streams + c.Events + c.Modules + c.Graphs + c.Executables + c.Objects + c.NVML
}

// Count returns the counts of this moment.
func Count() Counts {
	c := C.count(symbol("simgpu_count"))
	return Counts{
		int(c.contexts), int(c.allocations), int(c.pinned), int(c.streams), int(c.events), int(c.modules), int(c.graphs), int(c.executables),
		int(c.objects), int(c.violations), int(C.nvml_live(symbolOf(management, "simgpu_nvml_live"))),
	}
}

// CheckClean fails a test at whose end something still lives on a device, or in
// which something was done that must not be.
func CheckClean(t *testing.T) {
	t.Helper()
	if Real() {
		return
	}
	before := Count()
	t.Cleanup(func() {
		if got := Count(); got != before {
			t.Errorf("the simulated GPU is left with %+v, before there was %+v", got, before)
		}
	})
}

// letGo are the calls that free: where one of them fails there is nothing left
// to do but to say so.
var letGo = []string{
	"cuCtxPushCurrent", "cuCtxPopCurrent", "cuMemFree", "cuMemFreeHost", "cuModuleUnload", "cuStreamDestroy", "cuEventDestroy",
	"cuDevicePrimaryCtxRelease", "cuStreamSynchronize", "cuGraphDestroy", "cuGraphExecDestroy",
}

// FailEachCall has each call that use makes, but those that free, fail the 1st,
// 2nd ... time, at most the 12th of the driver's and the 4th of TensorRT's, in short
// runs a third of that, with a CUresult, and hands check what use says then. Nothing
// may be left behind, and the next try has to work. It returns how many failures
// were tried.
func FailEachCall(t *testing.T, status int, use func() error, check func(call string, err error)) (tried int) {
	t.Helper()
	return failEach(t, Called, status, use, check)
}

// FailEachTensorRTCall is FailEachCall of TensorRT's calls, not the driver's.
func FailEachTensorRTCall(t *testing.T, status int, use func() error) (tried int) {
	t.Helper()
	called := func() []string {
		return slices.DeleteFunc(Called(), func(call string) bool { return strings.HasPrefix(call, "cu") })
	}
	return failEach(t, called, status, use, func(string, error) {})
}

func failEach(
	t *testing.T, called func() []string, status int, use func() error, check func(call string, err error),
) (tried int) {
	t.Helper()
	if err := use(); err != nil {
		t.Fatal(err)
	}
	for _, call := range called() {
		if slices.Contains(letGo, call) || call == "cuInit" || call == Late {
			continue
		}
		before := Calls(call)
		if err := use(); err != nil {
			t.Fatal(err)
		}
		clean, most := Count(), int64(12)
		if strings.Contains(call, "::") {
			most = 4
		}
		if testing.Short() {
			most = max(most/3, 2)
		}
		for nth := range min(Calls(call)-before, most) {
			Fail(call, nth+1, status)
			err := use()
			Fail("", 0, 0)
			check(fmt.Sprintf("%s, call %d", call, nth+1), err)
			if err == nil || !strings.Contains(err.Error(), call) {
				t.Errorf("%s, call %d: %v", call, nth+1, err)
			}
			if got := Count(); got != clean {
				t.Fatalf("%s, call %d: left %+v, want %+v", call, nth+1, got, clean)
			}
			tried++
		}
	}
	return tried
}
