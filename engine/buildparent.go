package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/trtdet/trtdet/trt"
)

// ErrBuildCrashed is wrapped by the error of a build whose TensorRT died or
// stood still. The process that asked for the build is not harmed.
var ErrBuildCrashed = errors.New("TensorRT did not survive this model")

// stall is how long a build may use no processor time before it counts as
// deadlocked, which is how TensorRT answers too little memory, and how long a
// child may go without BuildChild's first word.
const stall = 60 * time.Second

// child is the process that TensorRT runs in.
type child struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	cmd    *exec.Cmd
	onnx   *os.File
	stdin  io.WriteCloser // stays open: its end is the child's sign that the parent is gone
	events *os.File
	said   *tail
	ended  bool
}

// startChild starts the process, which loads the library. A cancelled ctx
// kills it. onnx is where the network will be.
func startChild(ctx context.Context, command []string, library buildLibrary, onnx *os.File) (*child, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the build: %w", err)
	}
	defer writer.Close()
	c := &child{onnx: onnx, events: reader, said: &tail{limit: 4 << 10}}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.cmd = exec.CommandContext(c.ctx, command[0], command[1:]...)
	// a crash is one line of ours, its addresses help nobody
	c.cmd.Env = append(os.Environ(), "GOTRACEBACK=none", childEnv+"=1")
	if path := trt.LoaderPath(library.Flavor, library.Path); path != "" {
		c.cmd.Env = append(c.cmd.Env, "LD_LIBRARY_PATH="+path)
	}
	c.cmd.ExtraFiles = []*os.File{writer, onnx} // become eventsFD and onnxFD
	// a group of its own: Ctrl+C on the terminal reaches the parent alone
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	c.cmd.WaitDelay = time.Second
	c.cmd.Cancel = func() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) } // its whole group
	if c.stdin, err = c.cmd.StdinPipe(); err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		c.cancel(nil)
		reader.Close()
		return nil, fmt.Errorf("starting the build: %w", err)
	}
	c.tell(library)
	return c, nil
}

// tell sends the child its next line. A child that is gone does not take it,
// and run finds out why.
func (c *child) tell(v any) { json.NewEncoder(c.stdin).Encode(v) } //nolint:errcheck // see above

// close ends the process, if it has not come to its end.
func (c *child) close() {
	c.cancel(nil)
	if !c.ended {
		c.cmd.Wait() //nolint:errcheck // it was killed
	}
	c.events.Close()
}

// run has the child do the job.
func (c *child) run(job *buildJob, log *slog.Logger, progress func(trt.Progress)) (*buildOutcome, error) {
	ctx, cancel := c.ctx, c.cancel
	c.tell(job)
	c.onnx.Close()         // what was written; the child has a descriptor of its own
	var heard atomic.Int64 // counts events, so that the watch sees life in them too
	go watch(ctx, c.cmd.Process.Pid, &heard, cancel)
	// a process that the child started may keep the pipe open
	defer context.AfterFunc(ctx, func() { c.events.Close() })()
	var outcome *buildOutcome
	var failure error
	decoder := json.NewDecoder(c.events)
	for outcome == nil && failure == nil {
		var e buildEvent
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			break // the pipe ends with the child; what it did not say shows below
		} else if err != nil {
			cancel(fmt.Errorf("%w: it no longer makes sense: %w", ErrBuildCrashed, err))
			break
		}
		if !e.Hello && heard.Load() == 0 {
			cancel(fmt.Errorf("%w: %s", ErrNotChild, callBuildChild))
			break
		}
		heard.Add(1)
		switch {
		case e.Progress != nil:
			progress(*e.Progress)
		case e.Log != nil:
			log.Log(ctx, e.Log.Level, e.Log.Message)
		case e.Done != nil:
			outcome = e.Done
			c.cmd.Cancel() //nolint:errcheck // the kernel takes its memory back sooner than TensorRT gives it
		case e.Failed != nil:
			failure = e.Failed
		}
	}
	switch {
	case context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case failure != nil:
		return nil, failure
	case outcome != nil: // how the child ends after that does not matter
		return outcome, nil
	}
	err := c.cmd.Wait()
	c.ended = true
	if context.Cause(ctx) != nil {
		return nil, context.Cause(ctx)
	}
	return nil, crash(err, c.said.String(), heard.Load() > 0)
}

// crash words the end of a child that did not say goodbye. One that was no
// child of a build, as far as was heard, may still have died of a signal.
func crash(err error, said string, child bool) error {
	how := "it ended without a word"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		how = "its process ended with " + exit.String()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			child = true
			how = "its process died of " + status.Signal().String()
			if status.Signal() == syscall.SIGKILL {
				how = "its process was killed, most often for lack of memory"
			}
		}
	}
	if line := lastWords(said); line != "" && !strings.Contains(line, ErrNotChild.Error()) { // which is said anyway
		how += " (" + line + ")"
	}
	if !child {
		return fmt.Errorf("%w: %s; %s", ErrNotChild, how, callBuildChild)
	}
	return fmt.Errorf("%w: %s", ErrBuildCrashed, how)
}

// lastWords picks the line that says most: where Go's runtime ends a program,
// the one that gives its reason behind the one that came before it, otherwise
// the last.
func lastWords(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for i, line := range lines {
		if !endsProgram(line) {
			continue
		}
		if i > 0 && strings.TrimSpace(lines[i-1]) != "" {
			line = lines[i-1] + "; " + line
		}
		return strings.TrimSpace(line)
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// endsProgram reports whether Go's runtime begins with line to say why it ends
// the program.
func endsProgram(line string) bool {
	return strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "SIG") || strings.HasPrefix(line, "panic: ")
}

// watch cancels a build whose process has neither spoken nor used the processor
// for as long as stall, or has not said its first word in that time. It counts
// ticks: while this process is stopped, none pass.
func watch(ctx context.Context, pid int, heard *atomic.Int64, cancel context.CancelCauseFunc) {
	const tick = time.Second
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var last [2]int64
	for still := time.Duration(0); still < stall; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := [2]int64{heard.Load()}
		if now[0] > 0 {
			now[1] = processorTime(pid)
		}
		if now == last {
			still += tick
		} else {
			last, still = now, 0
		}
	}
	if last[0] == 0 {
		cancel(fmt.Errorf("%w: it is still running after %s; %s", ErrNotChild, stall, callBuildChild))
		return
	}
	cancel(fmt.Errorf("%w: it has done nothing for %s, most often for lack of memory", ErrBuildCrashed, stall))
}

// processorTime returns the clock ticks a process has used, 0 when it is gone.
func processorTime(pid int) int64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// the command's name, in parentheses, may hold spaces: count from its end
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system
}

// tail keeps the end of what is written to it, up to the line with which Go's
// runtime ends a program and no more of what follows: all its goroutines, where
// the program has asked for them.
type tail struct {
	limit int
	data  []byte
	ended bool
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if t.ended {
			break
		}
		t.data = append(t.data, line...)
		whole := t.data[bytes.LastIndexByte(bytes.TrimSuffix(t.data, []byte("\n")), '\n')+1:]
		t.ended = bytes.HasSuffix(whole, []byte("\n")) && endsProgram(string(whole))
	}
	if over := len(t.data) - t.limit; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.data) }
