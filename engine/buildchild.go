package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/trtdet/trtdet/trt"
)

// A build runs in a child process, because a hostile or merely unlucky ONNX
// file crashes TensorRT's parser, runs it for ever, or deadlocks it for lack of
// memory. The child reads from standard input a buildLibrary, which it loads while
// its parent still reads the model, and a buildJob once the network lies in
// onnxFD. It writes buildEvents to eventsFD, one JSON object a line, and goes
// away when standard input ends: that is how it notices that its parent has died.
const (
	eventsFD = 3
	onnxFD   = 4
)

// childEnv is set in the environment of the child until it calls BuildChild. A
// child that calls Build instead, because its main is the main that started it,
// would start children of its own without end.
const childEnv = "TRTDET_BUILD_CHILD"

// ErrNotChild: the process that Build started, or that calls Build, is to call
// BuildChild and does not.
var ErrNotChild = errors.New("engine.BuildChild was not called in the process that engine.Build started")

// callBuildChild is what to do about ErrNotChild.
const callBuildChild = "main of the program in BuildOptions.Child calls it before anything else, " +
	"and exits with what it returns"

// buildEvent is one line of the child's report. Exactly one field is set; Hello
// is the first, Done or Failed is the last.
type buildEvent struct {
	Hello    bool          `json:"hello,omitempty"`
	Progress *trt.Progress `json:"progress,omitempty"`
	Log      *buildLog     `json:"log,omitempty"`
	Done     *buildOutcome `json:"done,omitempty"`
	Failed   *buildFailure `json:"failed,omitempty"`
}

type buildLog struct {
	Level   slog.Level `json:"level"`
	Message string     `json:"message"`
}

// buildFailure carries an error across the pipe.
type buildFailure struct {
	Message string `json:"message"`
	Kind    string `json:"kind,omitempty"`
}

// failureKinds are the sentinels that survive the way to the parent.
var failureKinds = map[string]error{
	"no-library": trt.ErrNoLibrary, "version": trt.ErrVersion, "no-driver": trt.ErrNoDriver,
	"parse": trt.ErrParse, "build": trt.ErrBuild, "unsupported": trt.ErrUnsupported, "invalid": trt.ErrInvalid,
	"library": trt.ErrLibrary, "memory": trt.ErrMemory, "internal": trt.ErrInternal,
}

func newBuildFailure(err error) *buildFailure {
	f := &buildFailure{Message: err.Error()}
	for name, kind := range failureKinds {
		if errors.Is(err, kind) {
			f.Kind = name
		}
	}
	return f
}

// Error and Unwrap make a failure the error it was in the child.
func (f *buildFailure) Error() string { return f.Message }
func (f *buildFailure) Unwrap() error { return failureKinds[f.Kind] }

// BuildChild is the whole life of the child process that Build starts: the
// program whose command line BuildOptions.Child holds calls it and exits with
// what it returns. The parent ends a child that does not (ErrNotChild).
func BuildChild() int {
	os.Unsetenv(childEnv)         //nolint:errcheck // it fails for odd names only
	syscall.CloseOnExec(eventsFD) // what this process starts must not keep the pipe open
	syscall.CloseOnExec(onnxFD)
	events := os.NewFile(eventsFD, "events")
	in := json.NewDecoder(os.Stdin)
	var wanted buildLibrary
	if err := in.Decode(&wanted); err != nil {
		fmt.Fprintln(os.Stderr, "trtdet: this command is started by `trtdet build` and takes its job from it:", err)
		return 2
	}
	var mu sync.Mutex
	encoder := json.NewEncoder(events)
	send := func(e buildEvent) {
		mu.Lock()
		defer mu.Unlock()
		encoder.Encode(e) //nolint:errcheck // a parent that no longer reads is about to kill us
	}
	send(buildEvent{Hello: true})
	library, loadErr := trt.Load(wanted.Flavor, wanted.Path)
	var job buildJob
	if err := in.Decode(&job); err != nil { // the parent wants no engine any more
		return 1
	}
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // ends when the parent does
		os.Exit(1)
	}()
	if loadErr != nil {
		send(buildEvent{Failed: newBuildFailure(loadErr)})
		return 1
	}
	defer library.Close()
	err := job.run(context.Background(), library, os.NewFile(onnxFD, "network"), slog.New(eventHandler{send, job.LogLevel}),
		thinned(func(p trt.Progress) { send(buildEvent{Progress: &p}) }),
		func(o *buildOutcome) { send(buildEvent{Done: o}) })
	if err != nil {
		send(buildEvent{Failed: newBuildFailure(err)})
		return 1
	}
	return 0
}

// thinned passes on the first step of each phase and its last, and in between
// what an eye can follow: TensorRT takes hundreds of steps in a moment, on
// several threads.
func thinned(progress func(trt.Progress)) func(trt.Progress) {
	const pause = 50 * time.Millisecond
	var mu sync.Mutex
	passed := map[string]time.Time{}
	return func(p trt.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if last, seen := passed[p.Phase]; seen && !p.Done && time.Since(last) < pause {
			return
		}
		passed[p.Phase] = time.Now()
		progress(p)
	}
}

// eventHandler sends log records up the pipe.
type eventHandler struct {
	send  func(buildEvent)
	level slog.Level
}

func (h eventHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }
func (h eventHandler) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h eventHandler) WithGroup(string) slog.Handler                    { return h }

func (h eventHandler) Handle(_ context.Context, r slog.Record) error {
	h.send(buildEvent{Log: &buildLog{Level: r.Level, Message: r.Message}})
	return nil
}
