package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/trtdet/trtdet/internal/trust"
	"github.com/trtdet/trtdet/trt"
)

// buildLibrary is the TensorRT that a build asks for.
type buildLibrary struct {
	Flavor trt.Flavor `json:"flavor"`
	Path   string     `json:"path,omitempty"` // a library or folder, "" for the usual places
}

// buildJob is the part of a build that TensorRT does: files in, files out. It
// travels to the child process as JSON.
type buildJob struct {
	Plan string `json:"plan"`
	// TimingCache is read if it exists; the new one goes to TimingCacheOut.
	TimingCache    string          `json:"timing_cache,omitempty"`
	TimingCacheOut string          `json:"timing_cache_out,omitempty"`
	Config         trt.BuildConfig `json:"config"`
	// DType is what not every GPU computes in, if the network has it.
	DType string `json:"dtype,omitempty"`
	// LogLevel is the least that the logger takes; TensorRT has thousands of lines under it.
	LogLevel slog.Level `json:"log_level"`
}

// buildOutcome is what TensorRT says of a finished build.
type buildOutcome struct {
	Flavor  trt.Flavor       `json:"flavor"`
	Version string           `json:"version"`
	Inputs  []trt.TensorInfo `json:"inputs"`
	Outputs []trt.TensorInfo `json:"outputs"`
	// PlanSHA256 and PlanBytes are of the plan that was written.
	PlanSHA256 string `json:"plan_sha256"`
	PlanBytes  int64  `json:"plan_bytes"`
	// Ignored has a sentence for each setting this TensorRT does not take.
	Ignored []string `json:"ignored,omitempty"`
}

// run does the job in this process. onnx is the network's file, which may have
// no name and is closed once it has been read. done is told the outcome once the files are
// whole, before TensorRT takes its time to give its memory back.
func (j *buildJob) run(ctx context.Context, library *trt.Library, onnx *os.File, log *slog.Logger,
	progress func(trt.Progress), done func(*buildOutcome)) error {
	builder, err := library.NewBuilder(slog.New(reasons{log.Handler()}))
	if err != nil {
		return err
	}
	defer builder.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", onnx.Fd())
	network, err := builder.ParseONNX(path)
	if refused := (*trt.Error)(nil); errors.As(err, &refused) {
		// the name of what is in memory tells nobody anything, and the parent names the file
		refused.Message = strings.TrimPrefix(refused.Message, path+": ")
	}
	go onnx.Close() // the kernel frees its pages while TensorRT is at work
	if err != nil {
		return err
	}
	defer network.Close()
	outcome := &buildOutcome{
		Flavor:  library.Flavor(),
		Version: library.Version(),
		Inputs:  network.Inputs(),
		Outputs: network.Outputs(),
	}
	if library.Flavor() == trt.RTX && len(j.Config.Targets) == 0 && j.DType != "" {
		j.Config.Targets = able(j.DType)
	}
	if j.TimingCache != "" {
		cache, err := readRegular(j.TimingCache)
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("timing cache: %w", err)
		}
		j.Config.TimingCache = append([]byte{}, cache...) // not nil: an empty one is a start
	}
	outcome.Ignored = library.Ignored(j.Config)
	plan, err := builder.Build(ctx, network, j.Config, progress)
	if err != nil {
		return err
	}
	defer plan.Close()
	hash := make(chan [sha256.Size]byte, 1)
	go func() { hash <- sha256.Sum256(plan.Bytes()) }()
	err = overwrite(j.Plan, plan.Bytes())
	sum := <-hash // before the plan is closed
	outcome.PlanSHA256, outcome.PlanBytes = hex.EncodeToString(sum[:]), int64(len(plan.Bytes()))
	if err != nil {
		return fmt.Errorf("writing the engine into %s: %w; -o names another place", filepath.Dir(j.Plan), err)
	}
	if cache := plan.TimingCache(); j.TimingCacheOut != "" && cache != nil {
		if err := overwrite(j.TimingCacheOut, cache); err != nil {
			return fmt.Errorf("writing the timing cache into %s: %w; --timing-cache names another place", filepath.Dir(j.TimingCacheOut), err)
		}
	}
	done(outcome)
	return nil
}

// able returns the targets from sm_80 up, TensorRT-RTX's own choice, that compute
// in dtype. Left to itself it claims all of them, whatever the network needs.
func able(dtype string) []trt.ComputeCapability {
	var targets []trt.ComputeCapability
	for _, t := range trt.RTXTargets() {
		if t >= 80 && t.Supports(dtype) {
			targets = append(targets, t)
		}
	}
	return targets
}

// overwrite fills a part that exists, keeping the inode that the parent has
// locked and will sync, and nothing that was put in its place since. The error
// does not name the file, which goes by another name until it is whole.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return pathless(err)
	}
	if info, statErr := f.Stat(); statErr != nil || !hasOneName(info) || !trust.Owns(info) {
		f.Close()
		return errors.New("somebody put another file in the place of the part")
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.Write(data)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return pathless(err)
}

// readRegular reads a file, and does not wait for what a pipe may bring.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is no regular file", path)
	}
	return io.ReadAll(f)
}

// pathless takes a temporary file's name off an error.
func pathless(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// reasons takes the loudness out of TensorRT's errors: the error that a call
// returns carries their text, and a failure is reported once.
type reasons struct{ slog.Handler }

func (h reasons) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		r.Level = slog.LevelDebug
	}
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// discard is a logger for callers who want none.
var discard = slog.New(slog.DiscardHandler)

// leastLevel finds out from which level on a logger takes anything.
func leastLevel(log *slog.Logger) slog.Level {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(context.Background(), level) {
			return level
		}
	}
	return slog.LevelError
}
