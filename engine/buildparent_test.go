package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/trtdet/trtdet/trt"
)

// begin is how a script does what BuildChild does first.
const begin = `read library; echo '{"hello":true}' >&3; read job; `

// script runs a job with a shell script in the child's place.
func script(ctx context.Context, text string, log *slog.Logger, progress func(trt.Progress)) (*buildOutcome, error) {
	c, err := startChild(ctx, []string{"sh", "-c", text}, buildLibrary{}, nil)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.run(&buildJob{}, log, progress)
}

func TestChildReports(t *testing.T) {
	var log bytes.Buffer
	var phases []string
	outcome, err := script(t.Context(), begin+`
		echo '{"log":{"level":"WARN","message":"a word of TensorRT"}}' >&3
		echo '{"progress":{"Phase":"one"}}' >&3
		echo '{"progress":{"Phase":"two"}}' >&3
		echo '{"done":{"flavor":"rtx","version":"1.2.3"}}' >&3`,
		slog.New(slog.NewTextHandler(&log, nil)), func(p trt.Progress) { phases = append(phases, p.Phase) })
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Flavor != trt.RTX || outcome.Version != "1.2.3" {
		t.Errorf("outcome %+v", outcome)
	}
	if got := strings.Join(phases, " "); got != "one two" {
		t.Errorf("phases %q", got)
	}
	if !strings.Contains(log.String(), "a word of TensorRT") {
		t.Errorf("log %q", log.String())
	}
}

func TestChildFails(t *testing.T) {
	for _, c := range []struct {
		name, script string
		kind         error
		words        string
	}{
		{"says why",
			begin + `echo '{"failed":{"message":"node 3 is odd","kind":"parse"}}' >&3; exit 1`,
			trt.ErrParse, "node 3 is odd"},
		{"crashes", begin + `kill -SEGV $$`, ErrBuildCrashed, "segmentation fault"},
		{"is killed", begin + `kill -KILL $$`, ErrBuildCrashed, "memory"},
		{"is killed before it says a word", `kill -KILL $$`, ErrBuildCrashed, "memory"},
		{"exits without a word", begin + `exit 3`, ErrBuildCrashed, "exit status 3"},
		{"prints its last words", begin + `echo 'terminate called' >&2; exit 134`, ErrBuildCrashed, "terminate called"},
		{"runs out of memory",
			begin + `printf 'fatal error: out of memory\n\nruntime stack:\n' >&2; exit 2`,
			ErrBuildCrashed, "(fatal error: out of memory)"},
		{"dies in C and shows every goroutine",
			begin + `printf 'what(): out of luck\nSIGABRT: abort\n' >&2; seq 1 9999 >&2; exit 2`,
			ErrBuildCrashed, "(what(): out of luck; SIGABRT: abort)"},
		{"talks nonsense", begin + `echo 'nonsense' >&3`, ErrBuildCrashed, "no longer makes sense"},
		{"does not take its job",
			`read library; echo '{"hello":true}' >&3; exec 0<&-; exit 1`,
			ErrBuildCrashed, "exit status 1"},
		{"is another program", `exit 0`, ErrNotChild, "BuildOptions.Child"},
		{"is another program that fails",
			`echo 'what does build-child mean?'; exit 2`,
			ErrNotChild, "exit status 2 (what does build-child mean?)"},
		{"is another program that uses the pipe",
			`echo '{"done":{}}' >&3; read library; read job; cat`,
			ErrNotChild, "BuildOptions.Child"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := script(t.Context(), c.script, discard, func(trt.Progress) {})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %v with %q", err, c.kind, c.words)
			}
		})
	}
}

// A child that ignores every signal but the one that cannot be ignored, and one
// whose own child, in another group, keeps the pipe open.
func TestChildIsKilled(t *testing.T) {
	for name, text := range map[string]string{
		"that ignores signals": `trap '' INT TERM HUP; ` + begin + `echo '{"progress":{}}' >&3; cat`,
		"that has started others": begin +
			`setsid sh -c 'echo "{\"progress\":{\"Phase\":\"$$\"}}" >&3; exec tail -f /dev/null >/dev/null 2>&1' & cat`,
	} {
		t.Run(name, func(t *testing.T) {
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			var other string
			_, err := script(ctx, text, discard, func(p trt.Progress) { other = p.Phase; cancel(enough) })
			if !errors.Is(err, enough) {
				t.Errorf("got %v, want %v", err, enough)
			}
			if other != "" {
				if err := exec.Command("kill", other).Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A process that does nothing is taken for dead after a minute, one that never
// said that it is a child of the build whatever it does.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name, command string
		heard         int64
		want          error
	}{
		{"idle", "cat", 1, ErrBuildCrashed},
		{"idle and no child", "cat", 0, ErrNotChild},
		{"busy and no child", "while :; do :; done", 0, ErrNotChild},
	} {
		t.Run(c.name, func(t *testing.T) {
			process := exec.Command("sh", "-c", "echo; "+c.command)
			stdin, err1 := process.StdinPipe()
			stdout, err2 := process.StdoutPipe()
			if err := errors.Join(err1, err2, process.Start()); err != nil {
				t.Fatal(err)
			}
			defer func() {
				stdin.Close()
				process.Process.Kill() //nolint:errcheck // it runs
				process.Wait()         //nolint:errcheck // it was killed
			}()
			if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				var heard atomic.Int64
				heard.Store(c.heard)
				watch(ctx, process.Process.Pid, &heard, cancel)
				if err := context.Cause(ctx); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

// A program that names itself as the child and forgets BuildChild is told so by
// an error, and has one child.
func TestBuildChildForgotten(t *testing.T) {
	dir := t.TempDir()
	program, count := filepath.Join(dir, "forgetful"), filepath.Join(dir, "count")
	onnx, err := filepath.Abs(carried)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/forgetful").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := exec.Command(program, count, onnx, "m.engine")
	c.Dir = dir
	said, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 3 || strings.Count(string(said), callBuildChild) != 1 {
		t.Errorf("%v: %s", err, said)
	}
	if processes, err := os.ReadFile(count); err != nil || len(processes) != 2 {
		t.Errorf("%d processes, want 2: the program and its child (%v)", len(processes), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*m.engine*")); err != nil || len(left) > 0 {
		t.Errorf("it left %q, %v", left, err)
	}
}
