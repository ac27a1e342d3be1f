package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"

	"github.com/trtdet/trtdet/engine/internal/guard"
	"github.com/trtdet/trtdet/engine/internal/ort"
	"github.com/trtdet/trtdet/model"
)

// source is where a model comes from: a file, or the bytes of one.
type source struct {
	path string
	// model and manifest are the bytes where there is no path; an ONNX file has no
	// manifest.
	model, manifest []byte
}

// String names it in errors.
func (s source) String() string {
	if s.path == "" {
		return "the model"
	}
	return s.path
}

// onnx is an ONNX file as an argument of trtdet's.
func (s source) onnx() string {
	if s.path == "" {
		return "MODEL.onnx"
	}
	return s.path
}

// isPlan reports whether it is a TensorRT engine rather than an ONNX file.
func (s source) isPlan() bool {
	if s.path == "" {
		return s.manifest != nil
	}
	return IsPlan(s.path)
}

// network reads an ONNX file.
func (s source) network(h *model.Hints) (*model.Network, error) {
	if s.path != "" {
		return model.Load(s.path, h)
	}
	return model.Parse(s.model, h)
}

// plan reads a TensorRT engine: the bytes that were held against the manifest, not
// those of another read.
func (s source) plan() (*model.Manifest, []byte, error) {
	plan := s.model
	m, err := s.readManifest()
	if err != nil {
		return nil, nil, err
	}
	if s.path != "" {
		if plan, err = os.ReadFile(s.path); err != nil {
			return nil, nil, err
		}
	}
	sum := sha256.Sum256(plan)
	if err := s.checkPlan(m, hex.EncodeToString(sum[:]), int64(len(plan)), plan); err != nil {
		return nil, nil, err
	}
	return m, plan, nil
}

// openInTime is openCore until the context ends. What is opened later is closed
// again, and then ended is closed.
func openInTime(ctx context.Context, s source, o *Options) (c *core, ended <-chan struct{}, err error) {
	over := make(chan struct{})
	var guarded guard.Context
	if err := guarded.Set(ctx); err != nil {
		close(over)
		return nil, over, panicked(err)
	}
	type outcome struct {
		core *core
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		var out outcome
		out.err = guard.Call("opening the model", func() (err error) {
			out.core, err = openCore(&guarded, s, o)
			return err
		})
		done <- out
	}()
	select {
	case out := <-done:
		close(over)
		return out.core, over, panicked(out.err)
	case <-guarded.Done():
		go func() {
			defer close(over)
			if out := <-done; out.core != nil {
				out.core.close() //nolint:errcheck // nobody is left to tell
			}
		}()
		return nil, over, guarded.Err()
	}
}

// openCore gets a model ready. When the context ends it comes to an end at the next
// step.
func openCore(ctx context.Context, s source, o *Options) (*core, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkDevice(s, o.Device); err != nil {
		return nil, err
	}
	log := guard.NewHandler(logger(o.Log).Handler())
	defer log.Flush()
	guarded := *o
	guarded.Log = slog.New(log)
	guarded.HostMemory = hostMemory(o.HostMemory)
	open := openNetwork
	if s.isPlan() {
		open = openPlan
	}
	c, err := open(ctx, s, &guarded)
	if err != nil {
		return nil, err
	}
	c.log = log
	c.start(&guarded)
	return c, nil
}

// openNetwork gets an ONNX file ready to run.
func openNetwork(ctx context.Context, s source, o *Options) (*core, error) {
	go ort.Load() //nolint:errcheck // while the model is being read; ort.Open says what went wrong
	n, err := s.network(&o.Head)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &core{spec: n.Spec}
	if c.height, c.width, err = inputSize(n, o.Height, o.Width, o.Log); err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if size, dynamic := n.Batch(); !dynamic && size == 1 && o.Batch > 1 {
		if err := n.MakeBatchDynamic(); err != nil {
			o.Log.Warn("the network takes one picture at a time", "model", s.String(), "reason", err)
		}
	}
	if err := c.setSelection(o); err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	c.backend, err = ort.Open(n, ort.Config{Height: c.height, Width: c.width, Threads: o.Threads, Slots: o.Slots, MultiLabel: o.MultiLabel})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return c, nil
}
