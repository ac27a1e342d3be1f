package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // saved pictures are read back
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of a megabyte, or skips the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small disk cannot be mounted here (root may): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// noPieces reports temporary files, and pictures that cannot be read back.
func noPieces(t *testing.T, dir string) {
	t.Helper()
	for _, name := range names(t, dir) {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(filepath.Base(name), ".") || strings.Contains(filepath.Base(name), "tmp") {
			t.Errorf("temporary file %s is left", name)
		}
		if filepath.Ext(name) == ".jpg" {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := image.Decode(f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			f.Close()
		}
	}
}

// A full disk: the place and the flag that names another, and nothing half.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	t.Run("build", func(t *testing.T) {
		fails(t, "", 1, []string{dir, "no space left", "-o names another place"}, "build", carried(), "-o", filepath.Join(dir, "m.engine"), "--quiet")
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
	})
	t.Run("temporary folder", func(t *testing.T) {
		t.Setenv("TMPDIR", dir)
		fails(t, filepath.Dir(trtdet), 1, []string{dir, "no space left", "TMPDIR"}, "build", carried(), "-o", "full.engine", "--quiet")
	})
	t.Run("run", func(t *testing.T) {
		for _, flags := range []string{"--save-txt --save-crop", "--nosave --save-crop"} {
			out := filepath.Join(dir, "out")
			var sources []string
			for range 3 {
				sources = append(sources, heldOut(t)...)
			}
			args := append(append([]string{"run", carried(), "--project", out, "--format", "csv"}, sources...), strings.Fields(flags)...)
			o := call(t, "", "", args...)
			errors := strings.Split(strings.TrimSpace(o.stderr), "\n")
			if o.status != 1 || len(errors) < 3 {
				t.Errorf("%s: exit status %d\n%s", flags, o.status, o.stderr)
			}
			for _, line := range errors[:len(errors)-2] {
				if !strings.Contains(line, "no space left on device; --project names another place") || !strings.Contains(line, out) {
					t.Errorf("%s: %s", flags, line)
				}
			}
			noPieces(t, out)
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("report", func(t *testing.T) {
		f, err := os.Create(filepath.Join(dir, "found.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(trtdet, "run", carried(), heldOut(t)[0], "--nosave", "--format", "jsonl")
		var stderr bytes.Buffer
		c.Stdout, c.Stderr = f, &stderr
		if err := c.Run(); c.ProcessState.ExitCode() != 1 || stderr.String() != "trtdet: writing to standard output: no space left on device\n" {
			t.Errorf("%v: %s", err, stderr.String())
		}
	})
}

// Places that nobody can write to, root neither.
func TestUnwritablePlaces(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"file", "/proc/self", "/dev/null"} {
		fails(t, dir, 1, []string{place, "-o names another place"}, "build", carried(), "--quiet", "-o", place+"/m.engine")
		fails(t, dir, 1, []string{place, "--project names another place"}, "run", carried(), heldOut(t)[0], "--format", "csv", "--project", place+"/out")
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("they left %q", left)
	}
}

// limited runs the program in a shell that sets limits first.
func limited(t *testing.T, dir, limits string, args ...string) outcome {
	t.Helper()
	c := exec.Command("sh", append([]string{"-c", limits + ` && exec "$0" "$@"`, trtdet}, args...)...)
	c.Dir = dir
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	timer := time.AfterFunc(limit, func() { c.Process.Kill() })
	defer timer.Stop()
	c.Run() //nolint:errcheck // the exit status is looked at
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// Too little memory and too few files end in one line, whatever the limit; what
// is not refused works.
func TestLimits(t *testing.T) {
	limits := []string{}
	for _, kib := range []int{200_000, 500_000, 700_000, 900_000, 1_200_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 4_100_000, 4 << 20, 6 << 20} {
		limits = append(limits, fmt.Sprint("ulimit -v ", kib))
	}
	for files := 4; files <= 36; files++ {
		limits = append(limits, fmt.Sprint("ulimit -n ", files))
	}
	limits = append(limits, "ulimit -S -n 5")
	for i, limit := range limits {
		if testing.Short() && i%3 > 0 {
			continue
		}
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, args := range [][]string{
				{"info"},
				{"info", carried()},
				{"build", carried(), "-o", "m.engine", "--quiet"},
				{"run", carried(), heldOut(t)[0], heldOut(t)[1], "--nosave", "--format", "jsonl"},
			} {
				o := limited(t, dir, limit, args...)
				refused := o.status == 1 && strings.Count(o.stderr, "\n") == 1 && strings.HasPrefix(o.stderr, "trtdet: ") && strings.Contains(o.stderr, "ulimit")
				if !refused && (o.status != 0 || o.stderr != "") {
					t.Errorf("trtdet %s: exit status %d\n%.500s", args[0], o.status, o.stderr)
				}
				if enough := strings.Contains(limit, fmt.Sprint(4<<20)) || strings.Contains(limit, "-S"); enough && refused {
					t.Errorf("trtdet %s is refused: %s", args[0], o.stderr)
				}
			}
			if left := names(t, dir); len(left) != 0 && len(left) != 2 {
				t.Errorf("it left %q", left)
			}
		})
	}
}

// A pipe that its reader closes ends the run with one line, and no picture is
// left half saved.
func TestClosedPipe(t *testing.T) {
	for _, format := range []string{"table", "jsonl", "csv", "coco"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			var sources []string
			for range 8 {
				sources = append(sources, heldOut(t)...)
			}
			c := exec.Command(trtdet, append([]string{"run", carried(), "--format", format}, sources...)...)
			c.Dir = dir
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			c.Stderr = &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReaderSize(out, 16).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			out.Close()
			err = c.Wait()
			if c.ProcessState.ExitCode() != 1 || stderr.String() != "trtdet: writing to standard output: its reader has closed it; what follows is lost\n" {
				t.Errorf("%v: %s", err, stderr.String())
			}
			noPieces(t, dir)
		})
	}
	t.Run("closed from the start", func(t *testing.T) {
		for _, args := range [][]string{{"info"}, {"info", carried()}, {"--help"}, {"--version"}, {"build", carried(), "-o", "m.engine"}} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			c := exec.Command(trtdet, args...)
			c.Dir, c.Stdout = t.TempDir(), w
			err = c.Run()
			w.Close()
			if c.ProcessState.ExitCode() != 1 {
				t.Errorf("trtdet %s: %v", args[0], err)
			}
			noPieces(t, c.Dir)
		}
	})
}

// A signal at any moment ends a run or a build with status 1 and one last line,
// and leaves whole files only. Before the program has started it is the signal
// itself that ends it.
func TestSignalsAtAnyMoment(t *testing.T) {
	rounds := uint64(150)
	if testing.Short() {
		rounds = 16
	}
	slow, cfg := slowModel(t), slowCfg(t)
	var pictures []string
	for range 20 {
		pictures = append(pictures, heldOut(t)...)
	}
	commands := [][]string{
		append([]string{"run", carried(), "--save-txt", "--save-crop"}, pictures...),
		append([]string{"run", carried(), "--format", "jsonl", "--nosave", "--batch", "4"}, pictures...),
		{"build", carried(), "-o", "m.engine", "--quiet"},
		{"build", slow, "-o", "m.engine", "--quiet", "--cfg", cfg},
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 2))
		args := commands[seed%4]
		signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[rng.IntN(2)]
		most := []time.Duration{40, 300, 2000}[rng.IntN(3)] * time.Millisecond
		after := time.Duration(rng.Int64N(int64(most)))
		t.Run(fmt.Sprintf("%d %s %s after %s", seed, args[0], signal, after), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			took, o := interrupt(t, dir, signal, after, args...)
			early := o.status == -1 && after < 100*time.Millisecond
			if o.status != 0 && !early && (o.status != 1 || o.stderr != "trtdet: interrupted\n") {
				t.Errorf("exit status %d: %s", o.status, o.stderr)
			}
			if took > 4*time.Second {
				t.Errorf("it took %s to stop", took)
			}
			if o.stdout != "" && !strings.HasSuffix(o.stdout, "\n") {
				t.Errorf("standard output ends within a line: %q", o.stdout[max(0, len(o.stdout)-80):])
			}
			noPieces(t, dir)
			if left := names(t, dir); args[0] == "build" && (len(left) != 0 && len(left) != 2 || o.status == 1 && len(left) > 0) {
				t.Errorf("exit status %d, and it left %q", o.status, left)
			}
		})
	}
}

// What cannot be interrupted does not keep the program: here a list on standard
// input and a picture whose pipe has a writer that never writes.
func TestSignalWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.jpg")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for _, source := range []string{"-", pipe} {
		c := exec.Command(trtdet, "run", carried(), source, "--nosave", "--format", "csv")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		c.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it runs
		said, _ := io.ReadAll(stderr)
		c.Wait() //nolint:errcheck // the exit status is looked at
		in.Close()
		if took := time.Since(start); c.ProcessState.ExitCode() != 1 || string(said) != "trtdet: interrupted\n" || took > 7*time.Second {
			t.Errorf("%s: exit status %d after %s: %s", source, c.ProcessState.ExitCode(), took, said)
		}
	}
}
