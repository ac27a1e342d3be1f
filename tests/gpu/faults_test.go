package gpu

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/await"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// CUresults.
const (
	outOfMemory    = 2
	unavailable    = 46  // of a GPU that is lost and may come back
	illegalAddress = 700 // of a GPU that is lost for good
	launchFailed   = 719 // likewise
)

// whatFailed has use run with a log, and returns what it says or else what it
// logged: a graph that cannot be had is a warning.
func whatFailed(use func(log *slog.Logger) error) error {
	var logged written
	err := use(slog.New(slog.NewTextHandler(&logged, nil)))
	if text := logged.String(); err == nil && text != "" {
		err = errors.New(text)
	}
	return err
}

// TestEveryCallFails has each call of the simulated driver's, and each entry of
// the library that stands in for TensorRT, fail the 1st, 2nd ... time while a model
// is opened and three batches are run: the error names it, nothing is left behind,
// and the next try works. How NVIDIA's own fail it does not show.
func TestEveryCallFails(t *testing.T) {
	onEachTensorRT(t, everyCallFails)
}

func everyCallFails(t *testing.T, flavor string) {
	all := pictures(t)[:3]
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: 3}})
	use := func(log *slog.Logger) error {
		d, err := engine.Open(t.Context(), plan, &engine.Options{Device: devices(1), Slots: 1, StageTimes: true, Log: log})
		if err != nil {
			return err
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		for n := range all { // a new bucket, a graph of it, that graph again
			if _, err := d.DetectBatch(t.Context(), imaging.Sources(all[:1+n/2])); err != nil {
				return err
			}
		}
		return nil
	}
	simgpu.CheckClean(t)
	if flavor != simgpu.TensorRT() { // the driver's calls are the same with each
		if tried := simgpu.FailEachTensorRTCall(t, 1, func() error { return whatFailed(use) }); tried < 25 {
			t.Errorf("only %d failures were tried: of %v", tried, simgpu.Called())
		}
		return
	}
	statuses := []int{illegalAddress, outOfMemory}
	if testing.Short() {
		statuses = statuses[:1]
	}
	for _, status := range statuses {
		tried := simgpu.FailEachCall(t, status, func() error { return whatFailed(use) }, func(string, error) {})
		if tried < 70 {
			t.Errorf("only %d failures were tried: of %v", tried, simgpu.Called())
		}
	}
}

// TestAfterAFailure has each call fail while an open model runs a batch: the
// next batch of the same model is right.
func TestAfterAFailure(t *testing.T) {
	all := pictures(t)[:3]
	want, err := open(t, carried, engine.Options{Height: 256, Width: 256}).DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	onEachTensorRT(t, func(t *testing.T, flavor string) {
		plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: 3}})
		for _, call := range []string{
			"cuMemAlloc", "cuMemHostAlloc", "cuMemcpyHtoDAsync", "cuLaunchKernel", "ICudaEngine::createExecutionContext",
			"IExecutionContext::setDeviceMemoryV2", "IExecutionContext::setOptimizationProfileAsync", "IExecutionContext::setInputShape",
			"IExecutionContext::setTensorAddress", "IExecutionContext::enqueueV3", "cuMemcpyDtoHAsync", "cuEventRecord",
			"cuEventSynchronize", "cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphLaunch",
		} {
			if flavor == simgpu.TensorRT() || strings.HasPrefix(call, "I") {
				// in a test of its own: what is open for long gives pinned memory back meanwhile
				t.Run(call, func(t *testing.T) { afterAFailure(t, call, plan, all, want) })
			}
		}
	})
}

func afterAFailure(t *testing.T, call, plan string, all []*imaging.Picture, want []engine.Result) {
	simgpu.CheckClean(t)
	failures, most := 0, int64(4)
	if testing.Short() {
		most = 2
	}
	for nth := int64(1); nth <= most; nth++ {
		d := open(t, plan, engine.Options{Device: devices(1), Slots: 1, Log: slog.New(slog.DiscardHandler)})
		simgpu.Fail(call, nth, outOfMemory)
		for _, n := range []int{1, 1, 3, 3} {
			if _, err := d.DetectBatch(t.Context(), imaging.Sources(all[:n])); err != nil {
				failures++
			}
		}
		simgpu.Fail("", 0, 0)
		for _, n := range []int{3, 1, 2, 3} {
			got, err := d.DetectBatch(t.Context(), imaging.Sources(all[:n]))
			if err != nil {
				t.Fatalf("after %s had failed: %v", call, err)
			}
			for i := range got {
				same(t, "after "+call, got[i], want[i])
			}
		}
	}
	if captured := strings.Contains(call, "Capture") || call == "cuGraphInstantiate"; !captured && failures == 0 {
		t.Errorf("%s never failed", call)
	}
}

// TestRoomGrows has memory run out when a picture has more candidates than there
// was room for: the next batch of the same model finds all of them.
func TestRoomGrows(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	all := pictures(t)[:3]
	conf := float32(1e-6) // thousands of candidates
	o := engine.Options{Height: 256, Width: 256, Head: model.Hints{Conf: &conf}}
	want, err := open(t, carried, o).DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 3, Opt: 3, Max: 3}})
	simgpu.CheckClean(t)
	for _, call := range []string{"cuMemAlloc", "cuMemHostAlloc"} {
		for nth := int64(1); nth <= 2; nth++ { // room for pixels, then for candidates
			d := open(t, plan, engine.Options{Device: devices(1), Slots: 1, Head: o.Head})
			simgpu.Fail(call, nth, outOfMemory)
			got, err := d.DetectBatch(t.Context(), imaging.Sources(all))
			simgpu.Fail("", 0, 0)
			if err == nil { // the images were run again, each by itself
				for i := range got {
					same(t, "run again after "+call, got[i], want[i])
				}
			} else if !strings.Contains(err.Error(), call) {
				t.Fatalf("%s, call %d: %v", call, nth, err)
			}
			for range 2 {
				got, err := d.DetectBatch(t.Context(), imaging.Sources(all))
				if err != nil {
					t.Fatalf("after %s had failed: %v", call, err)
				}
				for i := range got {
					same(t, "after "+call, got[i], want[i])
				}
			}
		}
	}
}

// TestFreeFails has each call that frees fail when a model is closed: the error
// names it, and all else is freed.
func TestFreeFails(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real driver does not fail when it is told to")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
	for _, call := range []string{
		"cuMemFree", "cuMemFreeHost", "cuModuleUnload", "cuStreamDestroy", "cuEventDestroy", "cuDevicePrimaryCtxRelease", "cuGraphExecDestroy",
	} {
		clean := simgpu.Count()
		d, err := engine.Open(t.Context(), plan, &engine.Options{Device: devices(1), Slots: 1})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second is of a graph
			if _, err := d.Detect(t.Context(), pictures(t)[0]); err != nil {
				t.Fatal(err)
			}
		}
		simgpu.Fail(call, 1, outOfMemory)
		err = d.Close()
		simgpu.Fail("", 0, 0)
		if err == nil || !strings.Contains(err.Error(), call) {
			t.Errorf("%s: %v", call, err)
		}
		if left := simgpu.Count(); left.Live() > clean.Live()+1 {
			t.Errorf("%s: left %+v, before there was %+v", call, left, clean)
		}
	}
}

// TestLostGPU takes one GPU after another away under load: no batch fails while
// one is left, then all do at once, saying which GPU was lost, why, and what to
// do.
func TestLostGPU(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real GPU is not lost when it is told to be")
	}
	all := pictures(t)[:4]
	want, err := open(t, carried, engine.Options{Height: 256, Width: 256}).DetectBatch(t.Context(), imaging.Sources(all))
	if err != nil {
		t.Fatal(err)
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}})
	simgpu.CheckClean(t)
	var logged written
	d := open(t, plan, engine.Options{Device: devices(3), Slots: 2, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	run := func() []error {
		errs := make([]error, 8)
		var workers sync.WaitGroup
		for worker := range errs {
			workers.Go(func() {
				for range 5 {
					got, err := d.DetectBatch(t.Context(), imaging.Sources(all))
					if errs[worker] = err; err != nil {
						return
					}
					for i := range got {
						same(t, "with a lost GPU", got[i], want[i])
					}
				}
			})
		}
		workers.Wait()
		return errs
	}
	for _, lost := range []int{1, 0} {
		simgpu.Lose(lost, illegalAddress)
		defer simgpu.Lose(lost, 0)
		if err := errors.Join(run()...); err != nil {
			t.Fatalf("with GPU %d lost: %v", lost, err)
		}
	}
	simgpu.Lose(2, illegalAddress)
	defer simgpu.Lose(2, 0)
	for _, err := range run() {
		if !errors.Is(err, engine.ErrLost) {
			t.Fatalf("with every GPU lost: %v", err)
		}
		for _, words := range []string{"cuda:0", "cuda:1", "cuda:2", "CUDA_ERROR_ILLEGAL_ADDRESS", "start the process again"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("the error %q does not say %q", err, words)
			}
		}
	}
	losses := func() int { return strings.Count(logged.String(), "a device is lost") }
	await.Until(t, "three losses in the log", func() bool { return losses() >= 3 })
	for n := range 3 { // what was made there can be freed again, and the test's end counts it
		simgpu.Lose(n, 0)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if n := losses(); n != 3 {
		t.Errorf("%d losses in the log:\n%s", n, logged.String())
	}
}

// TestGPUComesBack loses the only GPU: once it is back, or while it is not, what
// runs beside calls works or says why.
func TestGPUComesBack(t *testing.T) {
	if simgpu.Real() {
		t.Skip("a real GPU is not lost when it is told to be")
	}
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256, Batch: engine.BatchRange{Min: 1, Opt: 2, Max: 2}})
	simgpu.CheckClean(t)
	// the small ones have pinned memory after Warmup, the large ones none
	small := []*imaging.Picture{imaging.NewPicture(256, 256), imaging.NewPicture(256, 256)}
	large := []*imaging.Picture{imaging.NewPicture(512, 512), imaging.NewPicture(512, 512)}
	d := open(t, plan, engine.Options{Device: devices(1), Slots: 2, Log: slog.New(slog.DiscardHandler)})
	if err := d.Warmup(t.Context()); err != nil {
		t.Fatal(err)
	}
	simgpu.Lose(0, unavailable)
	defer simgpu.Lose(0, 0)
	for _, try := range []struct {
		name string
		use  func() error
	}{
		{"rate", func() error { _, err := d.NetworkRate(t.Context(), 2, 0); return err }},
		{"warmup", func() error { return d.Warmup(t.Context()) }},
		{"large pictures", func() error { _, err := d.DetectBatch(t.Context(), imaging.Sources(large)); return err }},
		{"small pictures", func() error { _, err := d.DetectBatch(t.Context(), imaging.Sources(small)); return err }},
	} {
		if err := try.use(); !errors.Is(err, engine.ErrLost) || !strings.Contains(err.Error(), "start the process again") {
			t.Errorf("%s with the GPU lost: %v", try.name, err)
		}
	}
	if !d.Stats().Devices[0].Lost {
		t.Fatal("the GPU is not known to be lost")
	}
	simgpu.Lose(0, 0)
	await.Until(t, "the GPU is back", func() bool { return !d.Stats().Devices[0].Lost })
	if err := d.Warmup(t.Context()); err != nil {
		t.Errorf("warmup with the GPU back: %v", err)
	}
	if rate, err := d.NetworkRate(t.Context(), 2, 0); err != nil || !(rate.ImagesPerSecond > 0) {
		t.Errorf("with the GPU back: %+v, %v", rate, err)
	}
	if _, err := d.DetectBatch(t.Context(), imaging.Sources(large)); err != nil {
		t.Errorf("detect with the GPU back: %v", err)
	}
}
