package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readmeServer is a program about the README's example.
func readmeServer(t *testing.T) string {
	t.Helper()
	examples := blocks(t, read(t, filepath.Join(top, "README.md")), "go")
	if len(examples) != 1 || strings.Count(examples[0], "\n") != 10 {
		t.Fatalf("the README's example is not of ten lines:\n%s", examples)
	}
	example := strings.NewReplacer(`"best.onnx"`, "os.Args[1]", `"street.jpg"`, "os.Args[2]").Replace(examples[0])
	return `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
` + example + `
	fmt.Println(len(result.Detections), "objects on", detector.Device())
	return err
}
`
}

// blocks returns the blocks of a language in a page, in order.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	var all []string
	for _, after := range strings.Split(page, "```"+language+"\n")[1:] {
		block, _, ended := strings.Cut(after, "```")
		if !ended {
			t.Fatalf("a block has no end:\n%s", after)
		}
		all = append(all, block)
	}
	return all
}

// stranger is the environment of somebody who knows nothing of the checkout. What
// go asks the network for is in the module cache since the set-up.
func stranger() []string {
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "CGO_") || strings.HasPrefix(v, "CUDA_") || strings.HasPrefix(v, "TRTDET_")
	})
	return append(environment, "GOSUMDB=off")
}

// docs/library.md is followed to the letter by a stranger: in an empty folder,
// what the page says builds a program that detects, of PREFIX and nothing else.
func TestInstalled(t *testing.T) {
	section := read(t, filepath.Join(top, "docs", "library.md"))
	_, section, found := strings.Cut(section, "## Building on it\n")
	section, _, ended := strings.Cut(section, "\n## ")
	shell, program := blocks(t, section, "sh"), blocks(t, section, "go")
	if !found || !ended || len(shell) != 2 || len(program) != 1 {
		t.Fatalf("docs/library.md has %d blocks for the shell and %d programs, want 2 and 1", len(shell), len(program))
	}
	dir := t.TempDir()
	prefix := filepath.Join(dir, "a prefix")
	module := filepath.Join(dir, "my-server")
	quoted := "'" + prefix + "'"
	room := filepath.Join(top, emoji, "images", "room.jpg")
	follow := func(lines string) string {
		t.Helper()
		lines = strings.NewReplacer("PREFIX=/opt/trtdet", "PREFIX="+quoted, "=/opt/trtdet/share", "="+quoted+"/share", "$(/opt/trtdet/", "$("+quoted+"/",
			"../my-server", module, "best.onnx street.jpg", `"$1" "$2"`).Replace(lines)
		if strings.Contains(lines, "/opt/trtdet") {
			t.Fatalf("a line would touch /opt/trtdet:\n%s", lines)
		}
		// this test is of what make build has made: no other build beside the tests that run
		lines = "set -e\nmake() { command make --silent --old-file=build \"$@\"; }\n" + lines
		c := exec.Command("bash", "-c", lines, "bash", carried(), room)
		c.Dir, c.Env = top, stranger()
		if _, err := os.Stat(module); err == nil {
			c.Dir = module
		}
		return output(t, c)
	}
	follow(shell[0])
	if err := errors.Join(os.WriteFile(filepath.Join(module, "main.go"), []byte(program[0]), 0o644),
		os.Mkdir(filepath.Join(module, "readme"), 0o755),
		os.WriteFile(filepath.Join(module, "readme", "main.go"), []byte(readmeServer(t)), 0o644)); err != nil {
		t.Fatal(err)
	}

	follow("go mod tidy")
	t.Run("without flags", func(t *testing.T) {
		build := exec.Command("go", "build", "gorgonia.org/cu", "github.com/trtdet/trtdet/trt")
		build.Dir, build.Env = module, stranger()
		out, err := build.CombinedOutput()
		if want := `no flags for trtdet: run  flags=$(PREFIX/bin/trtdet env) && eval`; err == nil || !strings.Contains(string(out), want) {
			t.Errorf("go build says\n%s\n%v, want %q", out, err, want)
		}
	})

	detects := func(t *testing.T, what, out string) {
		t.Helper()
		if !strings.HasSuffix(out, " objects on cpu\n") || strings.HasPrefix(out, "0 ") {
			t.Errorf("%s says %q", what, out)
		}
	}
	detects(t, "my-server", follow(shell[1]))
	server := filepath.Join(module, "my-server")
	for _, library := range []string{"libcuda", "libnvinfer", "libnvidia", "libonnxruntime", "libstdc++"} {
		if linked := output(t, exec.Command("ldd", server)); strings.Contains(linked, library) {
			t.Errorf("the server is linked to %s:\n%s", library, linked)
		}
	}
	installed := filepath.Join(prefix, "bin", "trtdet")
	ofStranger := func(args ...string) *exec.Cmd {
		c := exec.Command(args[0], args[1:]...)
		c.Dir, c.Env = module, stranger()
		return c
	}
	if flags := output(t, ofStranger(installed, "env")); strings.Contains(flags, top) {
		t.Errorf("what it is built with lies in the checkout:\n%s", flags)
	}
	for _, program := range [][]string{{server}, {installed, "run", "--nosave"}} {
		run := ofStranger(append(program, carried(), room)...)
		run.Env = append(run.Env, "LD_DEBUG=files")
		if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), "file="+prefix+"/lib/trtdet/libonnxruntime.so") {
			t.Errorf("%q does not load the ONNX Runtime that was installed: %v", program, err)
		}
	}
	run := ofStranger(server, carried(), room)
	run.Env = append(run.Env, "TRTDET_ONNXRUNTIME="+t.TempDir())
	if out, err := run.CombinedOutput(); err == nil || !strings.Contains(string(out), "the flags of trtdet env") {
		t.Errorf("without ONNX Runtime the server says %s, %v", out, err)
	}
	if out := output(t, ofStranger(installed, "info", "--format", "json")); !strings.Contains(out, prefix+"/lib/trtdet/libtensorrt_rtx.so.1") {
		t.Errorf("trtdet info does not find the TensorRT-RTX that was installed:\n%s", out)
	}

	t.Run("README", func(t *testing.T) {
		follow("flags=$(/opt/trtdet/bin/trtdet env) && eval \"$flags\" && go build -o readme/server ./readme")
		detects(t, "the README's example", follow(`./readme/server best.onnx street.jpg`))
	})
	if !testing.Short() {
		t.Run("CUDA 13", func(t *testing.T) {
			follow(`flags=$(/opt/trtdet/bin/trtdet env --cuda '` + filepath.Join(top, "build/deps/nvcc") + `') && eval "$flags" && go build -o cuda13`)
			detects(t, "with CUDA 13", follow("./cuda13 best.onnx street.jpg"))
		})
	}
}

// A package may hold nothing of NVIDIA's.
func TestPackaged(t *testing.T) {
	dir := t.TempDir()
	install := exec.Command("build/install.sh", "/usr")
	install.Dir, install.Env = top, append(os.Environ(), "DESTDIR="+dir)
	if out := output(t, install); !strings.Contains(out, "left out of "+dir) {
		t.Errorf("install.sh says %q", out)
	}
	var names []string
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/usr/bin/trtdet", "/usr/lib/trtdet/libonnxruntime.so", "/usr/share/doc/trtdet/LICENSE",
		"/usr/share/doc/trtdet/LICENSE.onnxruntime", "/usr/share/trtdet/engine/doc.go"} {
		if !slices.Contains(names, name) {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range names {
		if base := filepath.Base(name); strings.Contains(base, "tensorrt") && strings.Contains(base, ".so") || strings.Contains(name, "include/trtdet/nvidia") {
			t.Errorf("%s is NVIDIA's", name)
		}
		if strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s is a test", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func output(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(c.Args, " "), err, out, stderr.String())
	}
	return string(out)
}

// trtdet env says what is missing, and how it is to be had.
func TestEnv(t *testing.T) {
	fails(t, "", 1, []string{"was not installed", "make install PREFIX="}, "env")
	for _, args := range [][]string{{"env"}, {"env", "--no-such-flag"}, {"--verbose", "env", "--format", "yaml"}, {"env", "argument"}, {"env", "--cuda", "json"}} {
		if out := call(t, "", "", args...).stdout; out != "false\n" {
			t.Errorf("%q prints %q", args, out)
		}
	}
	for _, args := range [][]string{{"env", "--format", "json"}, {"env", "-format=json", "--foo"}} {
		if out := call(t, "", "", args...).stdout; out != "" {
			t.Errorf("%q prints %q, and JSON is read", args, out)
		}
	}
	// as the shell has it
	for _, form := range []string{`eval "$("$1" env)" && echo went on`, `set -e; eval "$("$1" env)"; echo went on`,
		`flags=$("$1" env) && eval "$flags" && echo went on`} {
		if out, err := exec.Command("sh", "-c", form, "sh", trtdet).Output(); err == nil || len(out) > 0 {
			t.Errorf("%s hides that it failed: %q, %v", form, out, err)
		}
	}
	prefix := t.TempDir()
	install := exec.Command("build/install.sh", prefix)
	install.Dir = top
	output(t, install)
	program := trtdet
	defer func() { trtdet = program }()
	trtdet = filepath.Join(prefix, "bin", "trtdet")

	old := filepath.Join(prefix, "cuda-11.8")
	if err := os.MkdirAll(filepath.Join(old, "include"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "include", "cuda.h"), []byte("#define CUDA_VERSION 11080\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, "", 1, []string{"CUDA 11.8", "12 or newer", "--cuda"}, "env", "--cuda", old)
	fails(t, "", 1, []string{"no cuda.h in " + prefix, "pip install"}, "env", "--cuda", prefix)
	fails(t, "", 2, []string{"want no arguments"}, "env", "12")
	fails(t, "", 2, []string{"want shell or json"}, "env", "--format", "xml")
	t.Setenv("CGO_CFLAGS", "-O3")
	flags := func(args ...string) (cflags, ldflags string) {
		t.Helper()
		var env map[string]string
		if err := json.Unmarshal([]byte(must(t, "", append([]string{"env", "--format", "json"}, args...)...).stdout), &env); err != nil {
			t.Fatal(err)
		}
		return env["CGO_CFLAGS"], env["CGO_LDFLAGS"]
	}
	cuda := filepath.Join(top, "build/deps/cuda")
	cflags, ldflags := flags("--cuda", cuda)
	if !strings.HasPrefix(cflags, "-O3 ") || !strings.HasSuffix(cflags, "-I"+cuda+"/include") {
		t.Errorf("CGO_CFLAGS is %q", cflags)
	}
	if !strings.HasPrefix(ldflags, "-L"+prefix+"/lib/trtdet -Wl,-rpath,"+prefix+"/lib/trtdet ") {
		t.Errorf("CGO_LDFLAGS is %q", ldflags)
	}
	t.Setenv("CUDA_HOME", old) // for another program
	if cflags, _ := flags(); !strings.HasSuffix(cflags, "-I"+prefix+"/include/trtdet/nvidia") {
		t.Errorf("CGO_CFLAGS is %q: not the cuda.h that was installed", cflags)
	}
	// a package has none: another CUDA will do, and one that is too old hides no newer one
	if err := os.RemoveAll(filepath.Join(prefix, "include/trtdet/nvidia")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CUDA_PATH", cuda)
	if cflags, _ := flags(); !strings.HasSuffix(cflags, "-I"+cuda+"/include") {
		t.Errorf("CGO_CFLAGS is %q: not the newer of two CUDAs", cflags)
	}
}
