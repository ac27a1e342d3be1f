package cuda

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/schedule"
	"github.com/trtdet/trtdet/tests/simgpu"
)

const outOfMemory, unavailable, unsupportedPTX, illegalAddress = 2, 46, 222, 700 // CUresults

// all is everything that a program does with a device, once.
func all(t *testing.T) error {
	t.Helper()
	d, err := OpenDevice(0)
	if err != nil {
		return err
	}
	var made []interface{ Close() error }
	defer func() {
		for i := len(made) - 1; i >= 0; i-- {
			if err := made[i].Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	}()
	made = append(made, d)
	if _, _, err := d.Memory(); err != nil {
		return err
	}
	buffer, err := d.Alloc(100)
	if err != nil {
		return err
	}
	made = append(made, buffer)
	pinned, err := d.AllocPinned(100)
	if err != nil {
		return err
	}
	made = append(made, pinned)
	module, err := d.Load()
	if err != nil {
		return err
	}
	made = append(made, module)
	stream, err := d.NewStream()
	if err != nil {
		return err
	}
	made = append(made, stream)
	copy(pinned.Bytes(), "there and back")
	if err := d.Do(func() error {
		return errors.Join(stream.CopyIn(buffer.Address(), pinned.Bytes()), stream.Mark())
	}); err != nil {
		return err
	}
	if err := stream.Wait(); err != nil {
		return err
	}
	clear(pinned.Bytes())
	if err := d.Do(func() error {
		return errors.Join(stream.CopyOut(pinned.Bytes()[:14], buffer.Address()), stream.Mark())
	}); err != nil {
		return err
	}
	if err := stream.Wait(); err != nil {
		return err
	}
	if got := strings.TrimRight(string(pinned.Bytes()), "\x00"); got != "there and back" {
		t.Errorf("what came back is %q", got)
	}
	return nil
}

// TestEveryCallFails has each call of the driver's fail the 1st, 2nd ... time:
// the error names it, and nothing is left behind.
func TestEveryCallFails(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	simgpu.CheckClean(t)
	tried := simgpu.FailEachCall(t, outOfMemory, func() error { return all(t) }, func(call string, err error) {
		var failure *Error
		name, _, _ := strings.Cut(call, ",")
		if !errors.As(err, &failure) || !strings.HasPrefix(failure.Call, name) || failure.Status != outOfMemory {
			t.Fatalf("%s: %v", call, err)
		}
	})
	if tried < 15 {
		t.Errorf("only %d failures were tried: of %v", tried, simgpu.Called())
	}
}

func TestErrors(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	if _, err := OpenDevice(99); err == nil || !strings.Contains(err.Error(), "cuDeviceGet: CUDA_ERROR_INVALID_DEVICE: there are 2 GPUs, cuda:0 to cuda:1") {
		t.Errorf("device 99: %v", err)
	}
	simgpu.CheckClean(t)
	// of the PTX too
	simgpu.FailFrom("cuModuleLoadData", 1, unsupportedPTX)
	err := all(t)
	simgpu.Fail("", 0, 0)
	if err == nil || !strings.Contains(err.Error(), "ptxas fatal : simulated: the driver is too old, or the GPU is") {
		t.Errorf("kernels that do not compile: %v", err)
	}
	simgpu.Lose(0, illegalAddress)
	defer simgpu.Lose(0, 0)
	var failure *Error
	if err := all(t); !errors.As(err, &failure) || !failure.Lost() {
		t.Errorf("a lost device: %v", err)
	}
}

// TestClassify tells what an error means for its device.
func TestClassify(t *testing.T) {
	d := &Device{}
	for status, want := range map[int]schedule.Failure{
		outOfMemory: schedule.Failed, unavailable: schedule.DeviceLost, 999: schedule.DeviceLost, illegalAddress: schedule.DeviceLostForGood,
	} {
		// what TensorRT says, with what the driver does
		err := lossOf(d, errors.Join(errors.New("TensorRT did not run the engine"), &Error{Call: "cuStreamSynchronize", Status: status}), nil)
		if got := (&Backend{}).Classify(err); got != want {
			t.Errorf("status %d means %v, want %v", status, got, want)
		}
	}
	if got := (&Backend{}).Classify(fmt.Errorf("cuda:0: %w", backend.ErrMemoryLimit)); got != schedule.Refused {
		t.Errorf("more memory than there may be means %v", got)
	}
}

// A driver that is older than the compiler takes none of its machine code, says
// so in one way or another, and compiles the PTX instead.
func TestOldDriver(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver is not old when it is told to be")
	}
	simgpu.CheckClean(t)
	for _, status := range []int{200, 209, 218, unsupportedPTX} {
		before := simgpu.Calls("cuModuleLoadData")
		simgpu.Fail("cuModuleLoadData", 1, status)
		if err := all(t); err != nil {
			t.Errorf("after %d: %v", status, err)
		}
		if loads := simgpu.Calls("cuModuleLoadData") - before; loads != 2 {
			t.Errorf("after %d the kernels are loaded %d times, want 2", status, loads)
		}
	}
}

// What the driver refuses in a capture ends it, and the next one works.
func TestUnsafeInACapture(t *testing.T) {
	if simgpu.Real() {
		t.Skip("it is the simulated driver that this is about")
	}
	simgpu.CheckClean(t)
	d, err := OpenDevice(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stream, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, refused := range []bool{true, false} {
		var graph *Graph
		err := d.Do(func() (err error) {
			graph, err = stream.Capture(func() error {
				if !refused {
					return nil
				}
				_, err := d.AllocPinned(100)
				return err
			})
			return err
		})
		var failure *Error
		const unsupported = 900
		if refused != (errors.As(err, &failure) && failure.Status == unsupported && failure.Call == "cuMemHostAlloc" && graph == nil) {
			t.Errorf("refused %t: %v", refused, err)
		}
		if graph == nil {
			continue
		}
		if err := graph.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A capture that fails when its graph is there already leaves none to be launched
// behind.
func TestCaptureFailsLate(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	d, err := OpenDevice(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stream, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	before := simgpu.Count().Executables
	simgpu.Fail("cuGraphDestroy", 1, illegalAddress)
	err = d.Do(func() error {
		_, err := stream.Capture(func() error { return nil })
		return err
	})
	if !isLost(err) {
		t.Errorf("the capture ended with %v", err)
	}
	if n := simgpu.Count().Executables - before; n != 0 {
		t.Errorf("%d graphs are left to be launched", n)
	}
}
