// Package alone holds the measurement of the network alone to a network whose
// time is known: that of the simulated GPU, whose events tell the time that it
// has set, however busy the machine is.
package alone

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// batchTime is what a batch of any size takes on each of the GPUs, one at a time.
// It is long, so that a stream never waits for a thread of this process's.
const batchTime = 30 * time.Millisecond

const gpus = 2

func TestMain(m *testing.M) {
	if simgpu.Real() {
		fmt.Println("skipped: nobody knows how long the network takes on a real GPU")
		return
	}
	os.Setenv("SIMGPU_NETWORK_US", strconv.Itoa(int(batchTime.Microseconds())))
	if err := simgpu.Use(gpus); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func build(t *testing.T, batch int) string {
	t.Helper()
	plan := filepath.Join(t.TempDir(), "model.engine")
	o := engine.BuildOptions{
		InProcess: true, Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: batch, Max: batch},
	}
	if _, err := engine.Build(t.Context(), "../../../models/emoji/decoupled-base.onnx", plan, &o); err != nil {
		t.Fatal(err)
	}
	return plan
}

func open(t *testing.T, plan string, o engine.Options) *engine.Detector {
	t.Helper()
	d, err := engine.Open(t.Context(), plan, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestNetworkRate wants as many images a second as the network's time allows,
// from one stream and from several, which share a GPU, with graphs and without.
// More cannot be by construction: a hundredth is for float32 milliseconds and for
// windows of two streams that do not begin together.
func TestNetworkRate(t *testing.T) {
	const batch = 4
	plan := build(t, batch)
	perGPU := batch / batchTime.Seconds()
	for _, c := range []struct {
		streams, devices int
		noGraphs         bool
	}{{1, 1, false}, {1, 1, true}, {2, 1, false}, {3, 1, true}, {1, 2, false}, {2, 2, false}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			o := engine.Options{Slots: c.streams, NoGraphs: c.noGraphs}
			for n := range c.devices {
				o.Device.CUDA = append(o.Device.CUDA, n)
			}
			simgpu.CheckClean(t)
			d := open(t, plan, o)
			got, err := d.NetworkRate(t.Context(), batch, 5*batchTime)
			if err != nil {
				t.Fatal(err)
			}
			if want := perGPU * float64(c.devices); math.Abs(got.ImagesPerSecond/want-1) > 0.01 {
				t.Errorf("%+v, want %g", got, want)
			}
			t.Logf("%+v", got)
		})
	}
}

// TestOwnEventTimes has a Detector on one stream time the network of its batches
// by its own events: the network alone does what these say.
func TestOwnEventTimes(t *testing.T) {
	const batch = 2
	d := open(t, build(t, batch), engine.Options{Slots: 1, StageTimes: true})
	alone, err := d.NetworkRate(t.Context(), batch, 0)
	if err != nil {
		t.Fatal(err)
	}
	blank := imaging.NewPicture(32, 32)
	for range 3 { // a new bucket, a graph of it, that graph again
		results, err := d.DetectBatch(t.Context(), []imaging.Source{blank, blank})
		if err != nil {
			t.Fatal(err)
		}
		if told := batch / results[0].Timing.Network.Seconds(); math.Abs(alone.ImagesPerSecond/told-1) > 0.01 {
			t.Errorf("alone %+v, by the events of a batch %g", alone, told)
		}
	}
}
