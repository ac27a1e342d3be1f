// Command bench holds trtdet's speed and memory to others', side by side in
// one run: our turn, their turn, and so on, each ratio taken within one round.
// It prints tables in Markdown; docs/benchmarks.md says what stands in them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	only := flag.String("only", "", "comma-separated suites: "+strings.Join(names, ", "))
	rounds := flag.Int("rounds", 5, "how often each side has its turn")
	flag.Parse()
	wanted := names
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-only %s: there are %s", name, strings.Join(names, ", "))
		}
	}
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(slices.Clone(suites), func(s suite) bool { return !slices.Contains(wanted, s.name) })
	compared := tables{rounds: *rounds}
	for i, s := range chosen {
		if s.table != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s (%d of %d)\n", s.name, i+1, len(chosen))
		if err := s.run(b, &compared); err != nil {
			compared.print(os.Stdout) // what is finished is not lost
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	compared.print(os.Stdout)
	for i, s := range chosen {
		if s.table == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s (%d of %d)\n", s.name, i+1, len(chosen))
		if err := s.table(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// bench is what the suites share.
type bench struct {
	ctx    context.Context
	top    string // of the checkout
	folder string // of what is made for the bench
}

// pictureCount is how many pictures of 1920x1080 there are to run over.
const pictureCount = 200

func newBench(ctx context.Context) (*bench, error) {
	top, err := filepath.Abs(".")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, top: top, folder: filepath.Join(top, "build/out/bench")}
	if _, err := os.Stat(b.trtdet()); err != nil {
		return nil, fmt.Errorf("%w; run make bench in the checkout's top folder", err)
	}
	if err := b.quietly("go", "build", "-o", b.programs("")+"/", "./tests/bench/bare", "./tests/bench/plain", "./tests/bench/served", "./examples/server"); err != nil {
		return nil, err
	}
	return b, errors.Join(
		b.quietly("/usr/bin/python3", "tests/bench/make_inputs.py", b.folder, fmt.Sprint(pictureCount)),
		b.quietly("build/deps/venv/bin/python", "tests/bench/make_stub.py", b.small(), b.stub()))
}

func (b *bench) trtdet() string { return filepath.Join(b.top, "build/out/bin/trtdet") }

// programs are those that the bench builds.
func (b *bench) programs(name string) string { return filepath.Join(b.folder, "bin", name) }

func (b *bench) onnxruntime() string {
	return filepath.Join(b.top, "build/deps/onnxruntime/lib/libonnxruntime.so")
}

// yolov5s has the decoupled-base head and 11 million parameters, small is the
// net that the repository carries, stub takes next to no time.
func (b *bench) yolov5s() string { return filepath.Join(b.folder, "yolov5s.onnx") }
func (b *bench) small() string   { return filepath.Join(b.top, "models/emoji/decoupled-base.onnx") }

func (b *bench) stub() string { return filepath.Join(b.folder, "stub.onnx") }

// pictures returns the first n.
func (b *bench) pictures(n int) []string {
	files := make([]string, n)
	for i := range files {
		files[i] = filepath.Join(b.folder, fmt.Sprintf("%04d.jpg", i))
	}
	return files
}

// smallPicture has objects that the small net finds at 64x64.
func (b *bench) smallPicture() string { return filepath.Join(b.folder, "small.jpg") }

// command is a command that ends with the bench.
func (b *bench) command(name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(b.ctx, name, args...)
	c.Dir = b.top
	return c
}

// python runs tests/bench/peer.py with YOLOv5's own code on its path.
func (b *bench) python(args ...string) *exec.Cmd {
	return b.pythonScript("peer.py", args...)
}

// pythonScript runs a program of tests/bench.
func (b *bench) pythonScript(name string, args ...string) *exec.Cmd {
	c := b.command("/usr/bin/python3", append([]string{filepath.Join("tests/bench", name)}, args...)...)
	c.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(b.top, "build/deps/oracle"), "PYTHONDONTWRITEBYTECODE=1",
		"OMP_NUM_THREADS=2", "OMP_WAIT_POLICY=passive", "YOLOv5_VERBOSE=false", "MPLCONFIGDIR="+b.folder)
	return c
}

// quietly runs a command whose words count only when it fails.
func (b *bench) quietly(name string, args ...string) error {
	if out, err := b.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, args[0], err, out)
	}
	return nil
}
