package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

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
	next, stop := iter.Pull(trt.Candidates(o.TensorRT, o.Library))
	a := &attempts{next: next, stop: stop, start: func(library buildLibrary, onnx *os.File) (builder, error) {
		if o.InProcess {
			return &inProcess{ctx, library, onnx}, nil
		}
		return startChild(ctx, o.Child, library, onnx)
	}, onnx: onnx}
	var err error
	if !a.find() {
		// there is none, and Load says what was passed over and why
		a.now, err = a.start(buildLibrary{Flavor: o.TensorRT, Path: o.Library}, onnx)
	} else {
		a.now, err = a.start(a.library(), onnx)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return a, nil
}

// attempts is a builder that goes on to the next TensorRT, in a process of its
// own, where one does not load or makes no builder: it may be newer than the
// driver, or want a GPU that is not there.
type attempts struct {
	next  func() (trt.Found, bool)
	stop  func()
	start func(buildLibrary, *os.File) (builder, error)
	onnx  *os.File

	now    builder
	found  trt.Found // what it loads
	passed []string  // those passed over, and why
}

// find goes to the next library that may do.
func (a *attempts) find() bool {
	for {
		found, ok := a.next()
		if !ok {
			return false
		}
		if found.Err == nil {
			a.found = found
			return true
		}
		a.passed = append(a.passed, found.Path+": "+found.Err.Error())
	}
}

func (a *attempts) library() buildLibrary {
	return buildLibrary{Flavor: a.found.Flavor, Path: a.found.Explicit()}
}

func (a *attempts) run(job *buildJob, log *slog.Logger, progress func(trt.Progress)) (*buildOutcome, error) {
	// a builder closes the network's file; what this keeps of it is let go once TensorRT is at work
	again, err := reopen(a.onnx)
	if err != nil {
		return nil, err
	}
	defer again.Close()
	var first error
	var atWork sync.Once
	for {
		outcome, err := a.now.run(job, log, func(p trt.Progress) {
			atWork.Do(func() { again.Close() })
			progress(p)
		})
		if err == nil || !cannotBuild(err) {
			return outcome, err
		}
		before := a.found
		if first == nil {
			first = err
		} else {
			a.passed = append(a.passed, fmt.Sprintf("%s: %v", before.Path, err))
		}
		if !a.find() {
			if before.Path != "" && len(a.passed) > 0 { // otherwise Load has named them
				first = fmt.Errorf("%w; passed over: %s", first, strings.Join(a.passed, "; "))
			}
			return nil, first
		}
		log.Warn(fmt.Sprintf("%s in %s is passed over for %s: %v", before.Name(), before.Path, a.found.Name(), err))
		onnx, reopenErr := reopen(again)
		if reopenErr != nil {
			return nil, err // this one was at work, whatever it says
		}
		a.now.close()
		if a.now, err = a.start(a.library(), onnx); err != nil {
			a.now = nil
			onnx.Close()
			return nil, err
		}
	}
}

func (a *attempts) close() {
	if a.now != nil {
		a.now.close()
	}
	a.stop()
}

// cannotBuild reports whether an error is TensorRT's own on this machine, so that
// another one may do.
func cannotBuild(err error) bool {
	return slices.ContainsFunc([]error{trt.ErrLibrary, trt.ErrNoLibrary, trt.ErrVersion, trt.ErrNoDriver},
		func(kind error) bool { return errors.Is(err, kind) })
}

// reopen opens a file that has no name once more, so that both can be closed.
func reopen(f *os.File) (*os.File, error) {
	again, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("opening the edited network again: %w", pathless(err))
	}
	return again, nil
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

func (p *inProcess) close() { p.onnx.Close() }

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
