package gpu

import (
	"strings"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// TestNetworkRate measures the network's own rate: there is one however short the
// time, also for two callers at once, and a slot that fails holds up no other.
func TestNetworkRate(t *testing.T) {
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: 2}})
	for name, d := range map[string]*engine.Detector{
		"CPU": open(t, carried, engine.Options{Height: 256, Width: 256, Batch: 2, Threads: 2, Slots: 2}),
		"GPU": open(t, plan, engine.Options{Device: devices(1), Slots: 2}),
	} {
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				if rate, err := d.NetworkRate(t.Context(), 2, 0); err != nil || !(rate.ImagesPerSecond > 0) {
					t.Errorf("%s: %+v, %v", name, rate, err)
				}
			})
		}
		callers.Wait()
		if name == "CPU" || simgpu.Real() {
			continue // they fail when they are told to only on the simulated GPU
		}
		simgpu.Fail("IExecutionContext::enqueueV3", 1, outOfMemory)
		_, err := d.NetworkRate(t.Context(), 2, 0)
		simgpu.Fail("", 0, 0)
		if err == nil || !strings.Contains(err.Error(), "IExecutionContext::enqueueV3") {
			t.Errorf("a slot failed: %v", err)
		}
		if rate, err := d.NetworkRate(t.Context(), 2, 0); err != nil || !(rate.ImagesPerSecond > 0) {
			t.Errorf("after a failure: %+v, %v", rate, err)
		}
	}
}

// TestNetworkRateFails has each call that measures fail: the error names it,
// nothing is left behind, and the next measurement works.
func TestNetworkRateFails(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
	d := open(t, plan, engine.Options{Device: devices(1), Slots: 1})
	rate := func() error { _, err := d.NetworkRate(t.Context(), 1, 0); return err }
	if err := rate(); err != nil { // it makes the bucket
		t.Fatal(err)
	}
	clean := simgpu.Count()
	for call, times := range map[string]int64{
		"IExecutionContext::enqueueV3": 2, "cuStreamBeginCapture": 1, "cuStreamEndCapture": 1, "cuGraphInstantiate": 1,
		"cuEventCreate": 3, "cuEventRecord": 4, "cuGraphLaunch": 4, "cuEventSynchronize": 3, "cuEventElapsedTime": 3,
	} {
		for nth := int64(1); nth <= times; nth++ {
			simgpu.Fail(call, nth, outOfMemory)
			err := rate()
			simgpu.Fail("", 0, 0)
			if err == nil || !strings.Contains(err.Error(), call) {
				t.Errorf("%s, call %d: %v", call, nth, err)
			}
			if got := simgpu.Count(); got != clean {
				t.Fatalf("%s, call %d: left %+v, want %+v", call, nth, got, clean)
			}
			if err := rate(); err != nil {
				t.Fatalf("after %s, call %d: %v", call, nth, err)
			}
		}
	}
}
