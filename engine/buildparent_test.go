package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/trtdet/trtdet/trt"
)

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
	outcome, err := script(t.Context(), `read library; read job
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
		{"says why", `read library; read job; echo '{"failed":{"message":"node 3 is odd","kind":"parse"}}' >&3; exit 1`, trt.ErrParse, "node 3 is odd"},
		{"crashes", `read library; read job; kill -SEGV $$`, ErrBuildCrashed, "segmentation fault"},
		{"is killed", `read library; read job; kill -KILL $$`, ErrBuildCrashed, "memory"},
		{"exits without a word", `read library; read job; exit 3`, ErrBuildCrashed, "exit status 3"},
		{"prints its last words", `read library; read job; echo 'terminate called' >&2; exit 134`, ErrBuildCrashed, "terminate called"},
		{"runs out of memory", `read library; read job; printf 'fatal error: out of memory\n\nruntime stack:\n' >&2; exit 2`, ErrBuildCrashed, "(fatal error: out of memory)"},
		{"talks nonsense", `read library; read job; echo 'nonsense' >&3`, ErrBuildCrashed, ""},
		{"does not take its job", `exec 0<&-; exit 1`, ErrBuildCrashed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := script(t.Context(), c.script, discard, func(trt.Progress) {})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %v with %q", err, c.kind, c.words)
			}
		})
	}
}

func TestChildIsKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	// it ignores every signal but the one that cannot be ignored
	_, err := script(ctx, `trap '' INT TERM HUP; read library; read job; while :; do sleep 0.05; done`, discard, func(trt.Progress) {})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s to kill the child", took)
	}
}
