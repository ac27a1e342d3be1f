package e2e

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // saved pictures are read back
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trtdet/trtdet/tests/await"
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
	p := newProcess(dir, exec.Command("sh", append([]string{"-c", limits + ` && exec "$0" "$@"`, trtdet}, args...)...))
	p.start(t)
	return p.end(t)
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

// readerGone is the exit status of a command whose standard output nobody reads
// any more, as a shell counts SIGPIPE.
const readerGone = 128 + int(syscall.SIGPIPE)

// A pipe that its reader closes, as head does, ends the run without a word, and
// no picture is left half saved.
func TestClosedPipe(t *testing.T) {
	for _, format := range []string{"table", "jsonl", "csv", "coco"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			reader, writer := narrow(t)
			// the list goes on until the pipe is closed
			p := newProcess(dir, exec.Command(trtdet, "run", carried(), "-", "--format", format, "--imgsz", "320"))
			p.Stdout, p.Stdin = writer, endless(heldOut(t)[0]+"\n")
			p.start(t)
			writer.Close()
			firstLine(t, reader)
			reader.Close()
			o := p.end(t)
			if o.status != readerGone || o.stderr != "" {
				t.Errorf("exit status %d: %s", o.status, o.stderr)
			}
			noPieces(t, dir)
		})
	}
	t.Run("closed from the start", func(t *testing.T) {
		data := filepath.Join(top, emoji, "data.yaml")
		for _, args := range [][]string{
			{"info"},
			{"info", carried()},
			{"--help"},
			{"--version"},
			{"build", carried(), "-o", "m.engine"},
			{"eval", carried(), "--data", data, "--imgsz", "64", "--save-json", "x.json", "--plots"},
			{"bench", carried(), "--imgsz", "64", "--duration", "1ms", "--warmup", "0s"},
		} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			c := exec.Command(trtdet, args...)
			var stderr bytes.Buffer
			c.Dir, c.Stdout, c.Stderr = t.TempDir(), w, &stderr
			err = c.Run()
			w.Close()
			if c.ProcessState.ExitCode() != readerGone || strings.Contains(stderr.String(), "standard output") {
				t.Errorf("trtdet %s: %v\n%s", args[0], err, stderr.String())
			}
			noPieces(t, c.Dir)
			noProcess(t, c.Dir)
		}
	})
}

// moment is one at which a signal comes.
type moment struct {
	name string
	come func(p *process) bool
}

// A signal at any moment ends what takes long with 128 and its number and one last
// line, and leaves whole files only, and no process. Before the program has started it
// is the signal itself that ends it.
func TestSignalsAtAnyMoment(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 1
	}
	slow, cfg, data := slowModel(t), slowCfg(t), filepath.Join(top, emoji, "data.yaml")
	var pictures []string
	for range 20 {
		pictures = append(pictures, heldOut(t)...)
	}
	start := moment{"start", func(*process) bool { return true }}
	opening := moment{"the model is opened", func(p *process) bool { return p.loads("libonnxruntime.so") }}
	locked := moment{"lock", func(p *process) bool { return locks(p.Dir) }}
	saved := moment{"the first is saved", func(p *process) bool {
		labels, err := filepath.Glob(filepath.Join(p.Dir, "runs/detect/exp/labels/*"))
		return err == nil && len(labels) > 0
	}}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		args    []string
		moments []moment
	}{
		{append([]string{"run", carried(), "--save-txt", "--save-crop"}, pictures...), []moment{start, opening, saved}},
		{append([]string{"run", carried(), "--format", "jsonl", "--nosave", "--batch", "4"}, pictures...),
			[]moment{start, opening, {"the first line", func(p *process) bool { return p.stdout.String() != "" }}}},
		{[]string{"build", carried(), "-o", "m.engine", "--quiet"},
			[]moment{start, locked, {"child", func(p *process) bool { return len(p.children(t)) > 0 }}}},
		{[]string{"build", slow, "-o", "m.engine", "--cfg", cfg}, []moment{locked}},
		{[]string{"eval", carried(), "--data", data, "--save-json", "x.json", "--plots"}, []moment{start, opening}},
		{[]string{"bench", carried(), "--duration", "1h", "--warmup", "0s"}, []moment{start, opening}},
	} {
		for _, m := range c.moments {
			for round := range rounds {
				signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[rng.IntN(2)]
				after := time.Duration(rng.IntN([]int{1, 40, 300, 2000}[rng.IntN(4)])) * time.Millisecond
				t.Run(fmt.Sprintf("%d %s %s %s after %s", round, c.args[0], signal, after, m.name), func(t *testing.T) {
					t.Parallel()
					interruptAt(t, m, after, signal, c.args...)
				})
			}
		}
	}
}

func interruptAt(t *testing.T, m moment, after time.Duration, signal syscall.Signal, args ...string) {
	t.Helper()
	dir := t.TempDir()
	p := begin(t, dir, args...)
	// a build may be done before its lock is seen
	await.Until(t, m.name, func() bool { return p.hasEnded() || m.come(p) })
	time.Sleep(after)        // clock: any moment will do
	p.Process.Signal(signal) //nolint:errcheck // it may be done
	o := p.end(t)
	last := o.stderr[strings.LastIndex(strings.TrimSuffix(o.stderr, "\n"), "\n")+1:]
	early := m.name == "start" && p.killedBy(signal) && o.stdout == "" && o.stderr == ""
	if o.status != 0 && !early && (o.status != 128+int(signal) || !strings.HasPrefix(last, "trtdet: interrupted")) {
		t.Errorf("exit status %d: %s", o.status, o.stderr)
	}
	if o.stdout != "" && !strings.HasSuffix(o.stdout, "\n") {
		t.Errorf("standard output ends within a line: %q", o.stdout[max(0, len(o.stdout)-80):])
	}
	noProcess(t, dir)
	noPieces(t, dir)
	if left := names(t, dir); args[0] == "build" && (len(left) != 0 && len(left) != 2 || o.status != 0 && len(left) > 0) {
		t.Errorf("exit status %d, and it left %q", o.status, left)
	}
}

// What waits ends: a run whose list does not go on by itself, one that reads a
// picture from a pipe whose writer never writes, which cannot be stopped, in a
// moment. A second Ctrl+C does not wait for that moment.
func TestSignalWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.jpg")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	keeper, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	args := []string{"run", carried(), "--imgsz", "64", "--nosave", "--format", "csv"}
	t.Run("for its list", func(t *testing.T) {
		p := newProcess("", exec.Command(trtdet, append(args, "-")...))
		list, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		p.Stdin = list
		p.start(t)
		list.Close()
		fmt.Fprintln(writer, heldOut(t)[0])
		p.until(t, "the first picture is done", func() bool { return strings.Count(p.stdout.String(), "\n") > 1 })
		p.signal(t, syscall.SIGTERM)
		if o := p.end(t); o.status != 143 || o.stderr != "trtdet: interrupted\n" {
			t.Errorf("exit status %d: %s", o.status, o.stderr)
		}
	})
	t.Run("for a picture", func(t *testing.T) {
		p := begin(t, "", append(args, pipe)...)
		p.until(t, "the pipe is read", func() bool { return p.has(pipe) })
		p.signal(t, syscall.SIGTERM)
		o := p.end(t)
		if o.status != 143 || !strings.HasPrefix(o.stderr, "trtdet: interrupted: ") || strings.Count(o.stderr, "\n") != 1 {
			t.Errorf("exit status %d: %s", o.status, o.stderr)
		}
	})
	t.Run("a second time", func(t *testing.T) {
		p := begin(t, "", append(args, pipe)...)
		p.until(t, "the pipe is read", func() bool { return p.has(pipe) })
		p.until(t, "a second Ctrl+C ends it", func() bool {
			p.Process.Signal(syscall.SIGINT) //nolint:errcheck // it may have ended
			return p.hasEnded()
		})
		if o := p.end(t); !p.killedBy(syscall.SIGINT) || o.stderr != "" {
			t.Errorf("%s: %s", p.ProcessState, o.stderr)
		}
	})
}
