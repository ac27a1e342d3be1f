package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

// builder is a TensorRT that does a job, in a child process or in this one.
type builder interface {
	run(job *buildJob, log *slog.Logger, progress func(trt.Progress)) (*buildOutcome, error)
	close()
}

// startBuilder has TensorRT loaded, in a child while the model is being read.
// onnx is where the network will be.
func (o *BuildOptions) startBuilder(ctx context.Context, onnx *os.File) (builder, error) {
	library := buildLibrary{Flavor: o.TensorRT, Path: o.Library}
	if o.InProcess {
		return &inProcess{ctx, library, onnx}, nil
	}
	return startChild(ctx, o.Child, library, onnx)
}

// inProcess is the builder of BuildOptions.InProcess.
type inProcess struct {
	ctx     context.Context
	library buildLibrary
	onnx    *os.File
}

func (p *inProcess) run(job *buildJob, log *slog.Logger, progress func(trt.Progress)) (*buildOutcome, error) {
	library, err := trt.Load(p.library.Flavor, p.library.Path)
	if err != nil {
		return nil, err
	}
	defer library.Close()
	var outcome *buildOutcome
	err = job.run(p.ctx, library, p.onnx, log, progress, func(o *buildOutcome) { outcome = o })
	return outcome, err
}

func (p *inProcess) close() {}

// unnamedFile makes a temporary file that has no name any more, so that nothing
// is left of it however the build ends.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "trtdet-*.onnx")
	if err != nil {
		return nil, pathless(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, pathless(err)
	}
	return f, nil
}

// writeEdited writes the network for TensorRT, which reads files.
func writeEdited(f *os.File, n *model.Network) error {
	_, err := n.WriteTo(f)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return fmt.Errorf("writing the edited network into %s: %w; TMPDIR names another folder", os.TempDir(), path.Err)
	}
	return err
}
