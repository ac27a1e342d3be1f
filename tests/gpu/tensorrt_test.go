package gpu

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/await"
	"github.com/trtdet/trtdet/tests/simgpu"
	"github.com/trtdet/trtdet/trt"
)

// onEachTensorRT runs a test on each simulated TensorRT.
func onEachTensorRT(t *testing.T, test func(t *testing.T, flavor string)) {
	t.Helper()
	if simgpu.Real() {
		t.Skip("a real TensorRT does nothing that it is told to for a test")
	}
	for _, flavor := range simgpu.TensorRTs {
		t.Run(flavor, func(t *testing.T) {
			simgpu.UseTensorRT(t, flavor)
			test(t, flavor)
		})
	}
}

// upTo asks for an engine that takes 1 to so many images at once.
func upTo(most int) engine.BuildOptions {
	return engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: most}}
}

// settings asks a builder for all that it can be asked for.
func settings(flavor, timings string) engine.BuildOptions {
	level := 1
	o := engine.BuildOptions{
		Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: 3}, WorkspaceBytes: 1 << 30,
		InProcess: true, Force: true, Progress: func(trt.Progress) {}, OptLevel: &level, TimingCache: timings,
	}
	if flavor == "rtx1" {
		o.Targets = []trt.ComputeCapability{89, 120}
	}
	return o
}

// TestSettings wants each choice of a build in the plan that the library writes.
func TestSettings(t *testing.T) {
	onEachTensorRT(t, func(t *testing.T, flavor string) {
		folder := t.TempDir()
		plan, timings := filepath.Join(folder, "m.engine"), filepath.Join(folder, "timings")
		o := settings(flavor, timings)
		want := []string{"profile 0 images 4 1 3 256 256 2 3 256 256 3 3 256 256\n", "workspace 1073741824\n"}
		var phases []string
		o.Progress = func(p trt.Progress) {
			if p.Done {
				phases = append(phases, p.Parent+"/"+p.Phase)
			}
		}
		if flavor == "rtx1" {
			want = append(want, "flag 28\n") // kREQUIRE_USER_ALLOCATION
		} else {
			want = append(want, "optimization level 1\n", "timing cache of 18 bytes\n")
		}
		m, err := engine.Build(t.Context(), carried, plan, &o)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			if !bytes.Contains(data, []byte(line)) {
				t.Errorf("the plan does not have %q", line)
			}
		}
		if got := strings.Join(phases, " "); got != "Building an engine/Simulating /Building an engine" {
			t.Errorf("the phases are %q", got)
		}
		if flavor == "rtx1" {
			if got := strings.Join(m.ComputeCapabilities, " "); got != "8.9 12.0" {
				t.Errorf("it is for %s", got)
			}
			if bytes.Contains(data, []byte("optimization level")) {
				t.Error("TensorRT-RTX was given an optimization level, of which it has none")
			}
			return
		}
		// what was timed is where the next build starts
		if _, err := engine.Build(t.Context(), carried, plan, &o); err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(timings)
		if err != nil || !strings.HasPrefix(string(kept), "simulated timings\n") || bytes.Count(kept, []byte("\n")) != 3 {
			t.Errorf("the timing cache is %q, %v", kept, err)
		}
		if err := os.WriteFile(timings, []byte("damaged"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = engine.Build(t.Context(), carried, plan, &o)
		if !errors.Is(err, trt.ErrInvalid) || !strings.Contains(err.Error(), "timing cache is damaged") {
			t.Errorf("with a damaged timing cache: %v", err)
		}
	})
}

// TestEagerKernels wants TensorRT-RTX to have a shape's own kernels before a graph
// of it is captured; the simulated one takes a graph of others for a violation.
func TestEagerKernels(t *testing.T) {
	if simgpu.Real() {
		t.Skip("the tests on a GPU run with TensorRT 10")
	}
	simgpu.UseTensorRT(t, "rtx1")
	plan := build(t, carried, upTo(2))
	simgpu.CheckClean(t)
	var logged written
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := open(t, plan, engine.Options{Device: devices(1), Slots: 1, Log: log})
	before := simgpu.Calls("cuGraphLaunch")
	for range 3 {
		if _, err := d.Detect(t.Context(), pictures(t)[0]); err != nil {
			t.Fatal(err)
		}
	}
	if simgpu.Calls("cuGraphLaunch") == before {
		t.Error("no graph was launched")
	}
	await.Until(t, "eagerly compiled kernels in the log", func() bool {
		return strings.Contains(logged.String(), "kernels are compiled eagerly")
	})
}

// TestEveryCallOfABuildFails has each call that a build makes of TensorRT fail
// the 1st, 2nd ... time: the error names it, nothing is left behind, and the next
// build works.
func TestEveryCallOfABuildFails(t *testing.T) {
	onEachTensorRT(t, func(t *testing.T, flavor string) {
		simgpu.CheckClean(t)
		folder := t.TempDir()
		use := func() error {
			o := settings(flavor, filepath.Join(folder, "timings"))
			_, err := engine.Build(t.Context(), carried, filepath.Join(folder, "m.engine"), &o)
			return err
		}
		tried := simgpu.FailEachTensorRTCall(t, 1, use)
		if tried < 30 {
			t.Errorf("only %d failures were tried: of %v", tried, simgpu.Called())
		}
	})
}

// TestParserFails has what the parser says of a file fail as well: there is an
// error still.
func TestParserFails(t *testing.T) {
	odd := filepath.Join(t.TempDir(), "odd.onnx")
	data, err := os.ReadFile(carried)
	if err != nil {
		t.Fatal(err)
	}
	// an operator that there is none of
	data = bytes.Replace(data, []byte("\"\x07MaxPool"), []byte("\"\x07MaxPond"), 1)
	if err := os.WriteFile(odd, data, 0o644); err != nil {
		t.Fatal(err)
	}
	onEachTensorRT(t, func(t *testing.T, _ string) {
		simgpu.CheckClean(t)
		parse := func() error {
			library, err := trt.Load(trt.Auto, "")
			if err != nil {
				return err
			}
			defer library.Close()
			builder, err := library.NewBuilder(nil)
			if err != nil {
				return err
			}
			defer builder.Close()
			network, err := builder.ParseONNX(odd)
			if err == nil {
				network.Close()
			}
			return err
		}
		check := func(call string, words ...string) {
			err := parse()
			if !errors.Is(err, trt.ErrParse) {
				t.Errorf("%s: %v", call, err)
				return
			}
			for _, w := range append(words, odd) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s: %v does not say %q", call, err, w)
				}
			}
		}
		check("nothing", "node ", "(MaxPond)")
		for _, call := range []string{
			"IParser::getNbErrors", "IParser::getError", "IParserError::node", "IParserError::nodeName",
			"IParserError::nodeOperator", "IParserError::desc",
		} {
			before := simgpu.Calls(call)
			simgpu.Fail(call, 1, 1)
			check(call, "MaxPond")
			simgpu.Fail("", 0, 0)
			if simgpu.Calls(call) == before {
				t.Errorf("%s was not called", call)
			}
		}
	})
}

// TestBuildIsCanceled stops a build at a step of TensorRT's.
func TestBuildIsCanceled(t *testing.T) {
	onEachTensorRT(t, func(t *testing.T, flavor string) {
		simgpu.CheckClean(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := settings(flavor, "")
		steps := 0
		o.Progress = func(trt.Progress) {
			if steps++; steps == 3 {
				cancel()
			}
		}
		folder := t.TempDir()
		_, err := engine.Build(ctx, carried, filepath.Join(folder, "m.engine"), &o)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
			t.Errorf("it leaves %v, %v", left, err)
		}
	})
}

// TestBuildCrashes has TensorRT end its process, or throw out of a call that
// must not, or out of one that may, in the child that builds: there is an error.
func TestBuildCrashes(t *testing.T) {
	onEachTensorRT(t, func(t *testing.T, flavor string) {
		calls := []string{
			"createInferBuilder_INTERNAL", "createNvOnnxParser_INTERNAL", "IBuilder::createNetworkV2", "IParser::parseFromFile",
			"IBuilder::createBuilderConfig", "IOptimizationProfile::setDimensions", "IBuilder::buildSerializedNetwork",
			"IHostMemory::data",
		}
		if testing.Short() {
			calls = calls[3:4]
		}
		for _, call := range calls {
			for _, how := range []string{"crash", "throw", "fail"} {
				o := settings(flavor, "")
				o.InProcess, o.Child = false, []string{"env", fault + "=" + call + " " + how, os.Args[0]}
				folder := t.TempDir()
				_, err := engine.Build(t.Context(), carried, filepath.Join(folder, "m.engine"), &o)
				if errors.Is(err, engine.ErrBuildCrashed) != (how != "fail") || err == nil || !strings.Contains(err.Error(), call) {
					t.Errorf("%s, %s: %v", call, how, err)
				}
				if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
					t.Errorf("%s, %s: it leaves %v, %v", call, how, left, err)
				}
			}
		}
	})
}

// TestLateFailure has a network fail on the GPU after its enqueue has succeeded,
// call by call and in a graph: the batch is an error that says why, never half a
// result. Once the GPU is back the next one is right, where it can come back.
func TestLateFailure(t *testing.T) {
	all := pictures(t)[:2]
	want, err := open(t, carried, engine.Options{Height: 256, Width: 256}).DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	statuses := map[int]string{
		unavailable: "CUDA_ERROR_DEVICE_UNAVAILABLE", illegalAddress: "CUDA_ERROR_ILLEGAL_ADDRESS", launchFailed: "CUDA_ERROR_LAUNCH_FAILED",
	}
	if testing.Short() {
		delete(statuses, launchFailed)
	}
	onEachTensorRT(t, func(t *testing.T, _ string) {
		plan := build(t, carried, upTo(2))
		for status, name := range statuses {
			for nth := range int64(3) { // the first batch goes call by call, the others are launches of a graph
				simgpu.CheckClean(t)
				d := open(t, plan, engine.Options{Device: devices(1), Slots: 1, Log: slog.New(slog.DiscardHandler)})
				simgpu.Fail(simgpu.Late, nth+1, status)
				defer simgpu.Lose(0, 0)
				var failed error
				for batch := range nth + 1 {
					got, err := d.DetectBatch(t.Context(), imaging.Sources(all))
					if (err != nil) != (batch == nth) {
						t.Fatalf("batch %d of %d: %v", batch, nth, err)
					}
					for i := range got {
						same(t, "before the failure", got[i], want[i])
					}
					failed = err
				}
				if !errors.Is(failed, engine.ErrLost) || !strings.Contains(failed.Error(), name) {
					t.Errorf("%s, batch %d: %v", name, nth, failed)
				}
				simgpu.Fail("", 0, 0)
				simgpu.Lose(0, 0)
				if status == unavailable {
					checkComesBack(t, d, all, want)
				}
			}
		}
	})
}

// checkComesBack waits until the only GPU is in use again and wants a right batch.
func checkComesBack(t *testing.T, d *engine.Detector, all []*imaging.Picture, want []engine.Result) {
	t.Helper()
	await.Until(t, "the GPU is back", func() bool { return !d.Stats().Devices[0].Lost })
	got, err := d.DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		same(t, "after the failure", got[i], want[i])
	}
}

// TestFailurePersists has a call fail from some time on: each batch is an error
// that names it, until it works again.
func TestFailurePersists(t *testing.T) {
	all := pictures(t)[:2]
	want, err := open(t, carried, engine.Options{Height: 256, Width: 256}).DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	onEachTensorRT(t, func(t *testing.T, _ string) {
		plan := build(t, carried, upTo(4))
		for _, call := range []string{
			"ICudaEngine::createExecutionContext", "IExecutionContext::setDeviceMemoryV2", "IExecutionContext::setInputShape",
			"IExecutionContext::setTensorAddress", "IExecutionContext::enqueueV3",
		} {
			simgpu.CheckClean(t)
			d := open(t, plan, engine.Options{Device: devices(1), Slots: 1, Log: slog.New(slog.DiscardHandler)})
			simgpu.FailFrom(call, 1, 1)
			for range 3 {
				if _, err := d.DetectBatch(t.Context(), imaging.Sources(all)); err == nil || !strings.Contains(err.Error(), call) {
					t.Errorf("%s: %v", call, err)
				}
			}
			simgpu.Fail("", 0, 0)
			for range 3 {
				got, err := d.DetectBatch(t.Context(), imaging.Sources(all))
				if err != nil {
					t.Fatalf("after %s had failed: %v", call, err)
				}
				for i := range got {
					same(t, "after "+call, got[i], want[i])
				}
			}
		}
	})
}

// TestOldTensorRT runs on libraries older than the headers: TensorRT-RTX before
// 1.2 is asked for nothing that it does not have, and TensorRT 10.0 is refused.
func TestOldTensorRT(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real TensorRT has the version that it has")
	}
	o := upTo(2)
	t.Run("rtx1", func(t *testing.T) {
		simgpu.UseTensorRT(t, "rtx1")
		t.Setenv("SIMGPU_TENSORRT_VERSION", "10101")
		plan := build(t, carried, o)
		simgpu.CheckClean(t)
		d := open(t, plan, engine.Options{Device: devices(1), Slots: 1})
		before := simgpu.Calls("cuGraphLaunch")
		for range 3 {
			if _, err := d.Detect(t.Context(), pictures(t)[0]); err != nil {
				t.Fatal(err)
			}
		}
		if simgpu.Calls("cuGraphLaunch") == before {
			t.Error("no graph was launched")
		}
	})
	t.Run("10", func(t *testing.T) {
		simgpu.UseTensorRT(t, "10")
		t.Setenv("SIMGPU_TENSORRT_VERSION", "100001")
		plan := build(t, carried, o)
		simgpu.CheckClean(t)
		_, err := engine.Open(t.Context(), plan, &engine.Options{Device: devices(1)})
		if !errors.Is(err, trt.ErrVersion) || !strings.Contains(err.Error(), "10.0 is too old") {
			t.Errorf("it says %v", err)
		}
	})
}
