// Package e2e runs the trtdet program as a user does: real models, real
// pictures, the real TensorRT builder.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/tests/await"
)

// trtdet is the program under test, top the checkout's folder.
var trtdet, top string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if top, err = filepath.Abs("../.."); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		dir, err := os.MkdirTemp("", "trtdet-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		trtdet = filepath.Join(dir, "trtdet")
		build := exec.Command("go", "build", "-o", trtdet, "./cmd/trtdet")
		build.Dir = top
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building trtdet: %v\n%s", err, out)
			return 1
		}
		// the program is not in the checkout: tell it where its libraries are
		os.Setenv("TRTDET_TENSORRT", filepath.Join(top, "build/deps/tensorrt/lib"))
		os.Setenv("TRTDET_ONNXRUNTIME", filepath.Join(top, "build/deps/onnxruntime/lib"))
		return m.Run()
	}())
}

// outcome is what a run of the program left.
type outcome struct {
	status         int
	stdout, stderr string
}

// call runs the program in dir ("" for a temporary folder) with stdin.
func call(t *testing.T, dir, stdin string, args ...string) outcome {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	c := exec.CommandContext(ctx, trtdet, args...)
	c.Dir = dir
	c.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || (err != nil && !errors.As(err, &exit)) {
		t.Fatalf("trtdet %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs the program and wants it to succeed.
func must(t *testing.T, dir string, args ...string) outcome {
	t.Helper()
	o := call(t, dir, "", args...)
	if o.status != 0 {
		t.Fatalf("trtdet %s: exit status %d\n%s", strings.Join(args, " "), o.status, o.stderr)
	}
	return o
}

// fails runs the program and wants one line of error that holds all of words,
// and the exit status.
func fails(t *testing.T, dir string, status int, words []string, args ...string) {
	t.Helper()
	o := call(t, dir, "", args...)
	if o.status != status {
		t.Errorf("trtdet %s: exit status %d, want %d\n%s", strings.Join(args, " "), o.status, status, o.stderr)
	}
	if strings.Count(o.stderr, "\n") != 1 || !strings.HasPrefix(o.stderr, "trtdet: ") {
		t.Errorf("trtdet %s: want one line, got\n%s", strings.Join(args, " "), o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("trtdet %s: the error does not say %q: %s", strings.Join(args, " "), w, o.stderr)
		}
	}
	if strings.Contains(o.stderr, "goroutine ") {
		t.Errorf("trtdet %s: it panicked:\n%s", strings.Join(args, " "), o.stderr)
	}
}

// line is one line of --format jsonl.
type line struct {
	Source        string
	Error         string
	Width, Height int
	Detections    []detection
}

type detection struct {
	ClassID int `json:"class_id"`
	Class   string
	Score   float64
	Box     [4]float64
}

func lines(t *testing.T, stdout string) []line {
	t.Helper()
	var all []line
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	for d.More() {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatalf("standard output is not JSON lines: %v\n%s", err, stdout)
		}
		all = append(all, l)
	}
	return all
}

// names lists the files below a folder.
func names(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			all = append(all, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}
