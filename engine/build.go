package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trtdet/trtdet/engine/internal/cuda"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

// Errors a caller of Build may act on; trt's and model's come through as well.
var (
	// ErrExists: the output is there already and Force is not set.
	ErrExists = errors.New("it exists already")
	// ErrBatchFolded: a network whose outputs do not have one row per picture.
	ErrBatchFolded = errors.New("an output does not follow the batch")
	// ErrNoChild: neither a child's command line nor InProcess was given.
	ErrNoChild = errors.New("no command to run the build in: set Child to a program that calls BuildChild, or InProcess")
)

// BuildOptions say how an engine is built. Of the zero value only Child or
// InProcess must be set.
type BuildOptions struct {
	// Child is the command line of a program that calls BuildChild at once, such
	// as this program with an argument that its main looks for first (see the
	// example of BuildChild). TensorRT runs there, so that a model which crashes
	// or hangs it is an error here. The environment is passed on to it.
	Child []string
	// InProcess runs TensorRT in the caller's process instead. A TensorRT 10 that
	// is not where the loader looks needs its folder in LD_LIBRARY_PATH then.
	InProcess bool

	// Head is what the caller knows of the head and the model does not say.
	Head model.Hints
	// Height and Width of the network's input in pixels, for a model whose
	// input size is dynamic; 0 takes 640.
	Height, Width int
	// Batch is the least, best and largest number of pictures run at once; the
	// zero value is one picture. A model with a fixed batch of one is made
	// dynamic where it can be.
	Batch BatchRange
	// Half computes in half precision.
	Half bool

	// TensorRT to use and the library or folder to take it from; the zero
	// values take the first that is found.
	TensorRT trt.Flavor
	Library  string
	// Targets are the GPUs a TensorRT-RTX engine is for; empty means all that
	// it builds for by default. The others build for the GPU at hand.
	Targets []trt.ComputeCapability
	// WorkspaceBytes bounds TensorRT's scratch memory; 0 leaves it to TensorRT.
	WorkspaceBytes int64
	// TimingCache is a file that TensorRT 10 and 11 read and update.
	TimingCache string
	// OptLevel is TensorRT's optimization level, 0 to 5; nil leaves it alone.
	OptLevel *int
	// Timeout ends a build that takes longer; 0 lets it take its time.
	Timeout time.Duration

	// Force overwrites an engine that exists.
	Force bool
	// Progress, when set, is called for every step TensorRT reports.
	Progress func(trt.Progress)
	// Log gets TensorRT's words and trtdet's warnings; nil means none.
	Log *slog.Logger
}

// BatchRange is the least, best and largest batch of an engine.
type BatchRange struct{ Min, Opt, Max int }

func (b BatchRange) String() string { return fmt.Sprintf("%d:%d:%d", b.Min, b.Opt, b.Max) }

// Build makes a TensorRT engine from the detector in the ONNX file onnxPath
// and writes it to planPath, its manifest beside it (see ManifestPath). Until
// both are whole nothing is written under these names; a cancelled ctx stops
// TensorRT at once. In a process that is the child of another Build and has not
// called BuildChild it does nothing but return ErrNotChild.
func Build(ctx context.Context, onnxPath, planPath string, o *BuildOptions) (*model.Manifest, error) {
	if os.Getenv(childEnv) != "" {
		return nil, fmt.Errorf("%w: %s", ErrNotChild, callBuildChild)
	}
	if o == nil || (len(o.Child) == 0 && !o.InProcess) {
		return nil, ErrNoChild
	}
	if err := checkOutput(onnxPath, planPath, o.Force); err != nil {
		return nil, err
	}
	part, err := openPart(planPath)
	if err != nil {
		return nil, fmt.Errorf("writing the engine: %w; -o names another place", err)
	}
	defer part.close()

	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout,
			fmt.Errorf("it took longer than %s (--timeout): %w", o.Timeout, context.DeadlineExceeded))
		defer cancel()
	}
	edited, err := unnamedFile()
	if err != nil {
		return nil, fmt.Errorf("writing the edited network into %s: %w; TMPDIR names another folder", os.TempDir(), err)
	}
	defer edited.Close()
	builder, err := o.startBuilder(ctx, edited)
	if err != nil {
		return nil, err
	}
	defer builder.close()

	n, err := prepare(onnxPath, o)
	if err != nil {
		return nil, err
	}
	job := &buildJob{Plan: part.path(), Config: trt.BuildConfig{
		WorkspaceBytes: o.WorkspaceBytes, Targets: o.Targets, OptLevel: o.OptLevel,
	}, DType: rareDType(n), LogLevel: leastLevel(o.log())}
	if job.Config.Profiles, err = profiles(n, o); err != nil {
		return nil, fmt.Errorf("%s: %w", onnxPath, err)
	}
	if err := writeEdited(edited, n); err != nil {
		return nil, err
	}
	cache, err := openCache(job, o.TimingCache)
	if err != nil {
		return nil, err
	}
	if cache != nil {
		defer cache.close()
	}

	go n.SHA256() // while TensorRT is at work
	outcome, err := builder.run(job, o.log(), o.progress())
	if errors.Is(err, trt.ErrUnsupported) && len(o.Targets) > 0 {
		err = fmt.Errorf("%w; --target takes %s", err, targetNames(trt.RTXTargets()))
	}
	if err != nil {
		return nil, fmt.Errorf("building an engine from %s: %w", onnxPath, err)
	}
	go part.sync() // while the manifest is made
	if err := checkFollowsBatch(n, outcome.Outputs); err != nil {
		return nil, fmt.Errorf("%s: %w", onnxPath, err)
	}
	for _, sentence := range outcome.Ignored {
		o.log().Warn(sentence)
	}
	manifest, err := newManifest(n, job, outcome)
	if err != nil {
		return nil, err
	}
	if cache != nil && !cache.empty() { // TensorRT-RTX writes none
		if err := cache.commit(); err != nil {
			return nil, fmt.Errorf("timing cache: %w", err)
		}
	}
	if err := manifest.Write(ManifestPath(planPath)); err != nil {
		return nil, fmt.Errorf("writing the manifest: %w; -o names another place", err)
	}
	if err := part.commit(); err != nil {
		return nil, fmt.Errorf("writing the engine: %w", err)
	}
	return manifest, nil
}

// checkOutput refuses an output that could not be written, or not be told from
// other files, before any work is done.
func checkOutput(onnxPath, planPath string, force bool) error {
	if !IsPlan(planPath) {
		return fmt.Errorf("%s: an engine's name ends in .engine or .plan: say so with -o", planPath)
	}
	for _, path := range []string{planPath, ManifestPath(planPath)} {
		info, err := os.Stat(path)
		if err != nil { // most often it is not there yet; what else is wrong shows when it is opened
			continue
		}
		if model, err := os.Stat(onnxPath); err == nil && os.SameFile(model, info) {
			return fmt.Errorf("%s: it is the model itself: name another file with -o", path)
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: it is no regular file: name another with -o", path)
		}
		if !force {
			return fmt.Errorf("%s: %w; --force overwrites it", path, ErrExists)
		}
	}
	return nil
}

// ManifestPath is where the manifest of the plan at planPath lies.
func ManifestPath(planPath string) string { return planPath + ".json" }

func (o *BuildOptions) log() *slog.Logger {
	if o.Log == nil {
		return discard
	}
	return o.Log
}

func (o *BuildOptions) progress() func(trt.Progress) {
	if o.Progress == nil {
		return func(trt.Progress) {}
	}
	return o.Progress
}

// prepare reads the model and makes it the network that TensorRT is to see.
func prepare(path string, o *BuildOptions) (*model.Network, error) {
	n, err := model.Load(path, &o.Head)
	if err != nil {
		return nil, err
	}
	if size, dynamic := n.Batch(); !dynamic && o.Batch != (BatchRange{}) && (o.Batch.Opt != size || o.Batch.Max != size) {
		if size != 1 {
			return nil, fmt.Errorf("%s: the batch is fixed at %d and cannot be %s: leave --batch out, or export with a dynamic batch",
				path, size, o.Batch)
		}
		if err := n.MakeBatchDynamic(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if o.Half {
		if err := n.Half(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return n, checkTargets(n, o.Targets)
}

// rareDType is what the network computes in and not every GPU does, "" for none.
func rareDType(n *model.Network) string {
	return map[string]string{model.BF16: "bfloat16", model.FP8: "float8e4m3fn"}[n.Precision]
}

// checkTargets refuses GPUs that cannot compute in the network's precision;
// TensorRT itself finds that out only on the GPU.
func checkTargets(n *model.Network, targets []trt.ComputeCapability) error {
	dtype := rareDType(n)
	for _, t := range targets {
		if dtype != "" && !t.Supports(dtype) {
			return fmt.Errorf("target %s does not compute in %s: leave it out of --target", t.Target(), n.Precision)
		}
	}
	return nil
}

// targetNames lists targets the way --target takes them.
func targetNames(targets []trt.ComputeCapability) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Target()
	}
	return strings.Join(names, ", ")
}

// profiles returns the one optimization profile of the network's dynamic
// input, or none where everything is fixed.
func profiles(n *model.Network, o *BuildOptions) ([]trt.Profile, error) {
	height, width, err := inputSize(n, o.Height, o.Width, o.log())
	if err != nil {
		return nil, err
	}
	_, _, dynamicSize := n.InputSize()
	size, dynamicBatch := n.Batch()
	if !dynamicSize && !dynamicBatch {
		return nil, nil
	}
	batch := o.Batch
	switch {
	case !dynamicBatch:
		batch = BatchRange{size, size, size}
	case batch == BatchRange{}:
		batch = BatchRange{1, 1, 1}
	}
	if batch.Min < 1 || batch.Min > batch.Opt || batch.Opt > batch.Max {
		return nil, fmt.Errorf("batch %s: want 1 <= MIN <= OPT <= MAX", batch)
	}
	shape := func(b int) []int { return []int{b, 3, height, width} }
	return []trt.Profile{{n.Inputs[0].Name: trt.ProfileShape{
		Min: shape(batch.Min), Opt: shape(batch.Opt), Max: shape(batch.Max),
	}}}, nil
}

// openCache prepares the timing cache's file, if one is asked for.
func openCache(job *buildJob, path string) (*partFile, error) {
	if path == "" {
		return nil, nil
	}
	if path, err := filepath.Abs(path); err == nil {
		job.TimingCache = path
	}
	cache, err := openPart(path)
	if err != nil {
		return nil, fmt.Errorf("timing cache: %w", err)
	}
	job.TimingCacheOut = cache.path()
	return cache, nil
}

// checkFollowsBatch refuses a network that TensorRT would build without a
// murmur and that would mix up the pictures of a batch.
func checkFollowsBatch(n *model.Network, outputs []trt.TensorInfo) error {
	want, dynamic := n.Batch()
	if dynamic {
		want = -1
	}
	for _, t := range outputs {
		if len(t.Shape) == 0 || t.Shape[0] != want {
			return fmt.Errorf("%w: %s is %v, its first dimension should be %d; leave --batch out, or export with a dynamic batch",
				ErrBatchFolded, t.Name, t.Shape, want)
		}
	}
	return nil
}

func newManifest(n *model.Network, job *buildJob, outcome *buildOutcome) (*model.Manifest, error) {
	m := &model.Manifest{
		Version:             model.ManifestVersion,
		Plan:                model.ManifestPlan{SHA256: outcome.PlanSHA256, Bytes: outcome.PlanBytes},
		ONNX:                model.ManifestONNX{SHA256: n.SHA256()},
		TensorRT:            model.ManifestTensorRT{Flavor: string(outcome.Flavor), Version: outcome.Version},
		ComputeCapabilities: []string{},
		Inputs:              tensorInfos(outcome.Inputs),
		Outputs:             tensorInfos(outcome.Outputs),
		Profiles:            []model.Profile{},
		Precision:           n.Precision,
		Head:                n.Head,
		Preprocess:          n.Preprocess,
		Names:               n.Names,
		Thresholds:          n.Thresholds,
	}
	for _, p := range job.Config.Profiles {
		profile := model.Profile{}
		for name, shape := range p {
			profile[name] = model.ProfileShape(shape)
		}
		m.Profiles = append(m.Profiles, profile)
	}
	if outcome.Flavor == trt.RTX {
		header, err := readPlanHeader(job.Plan)
		if err != nil {
			return nil, fmt.Errorf("reading the plan back: %w", err)
		}
		m.ComputeCapabilities = capabilityNames(header)
		return m, nil
	}
	gpu, err := cuda.Identify(0) // on which the others build
	if err != nil {
		return nil, err
	}
	m.GPU, m.ComputeCapabilities = gpu.Name, []string{capability(gpu)}
	return m, nil
}

func tensorInfos(tensors []trt.TensorInfo) []model.TensorInfo {
	infos := make([]model.TensorInfo, len(tensors))
	for i, t := range tensors {
		infos[i] = model.TensorInfo(t)
	}
	return infos
}
