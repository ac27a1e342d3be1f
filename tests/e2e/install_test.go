package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// server is a program of a module of its own: the README's example, about the
// model and the picture that it is given.
func server(t *testing.T) string {
	t.Helper()
	_, example, found := strings.Cut(read(t, filepath.Join(top, "README.md")), "```go\n")
	example, _, ended := strings.Cut(example, "```")
	if !found || !ended || strings.Count(example, "\n") != 10 {
		t.Fatalf("the README's example is not of ten lines:\n%s", example)
	}
	example = strings.NewReplacer(`"best.onnx"`, "os.Args[1]", `"street.jpg"`, "os.Args[2]").Replace(example)
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
	fmt.Println(len(result.Detections), detector.Device())
	return err
}
`
}

// A module of its own needs what make install puts down and trtdet env names,
// CUDA's headers, and nothing else: not the checkout that trtdet was built in,
// none of NVIDIA's libraries.
func TestInstalled(t *testing.T) {
	dir := t.TempDir()
	prefix := filepath.Join(dir, "a prefix")
	checkout := exec.Command("build/install.sh", prefix)
	checkout.Dir = top
	output(t, checkout)
	installed := filepath.Join(prefix, "bin", "trtdet")
	// trtdet's code as the module proxy has it: without what was built
	source := exec.Command("sh", "-c", `git ls-files -z --cached --others --exclude-standard '*.go' '*.h' go.mod go.sum | xargs -0 cp --parents -t "$1"`, "sh", t.TempDir())
	source.Dir = top
	output(t, source)
	code := source.Args[len(source.Args)-1]

	module := filepath.Join(dir, "server")
	if err := os.Mkdir(module, 0o755); err != nil {
		t.Fatal(err)
	}
	sums, requires := read(t, filepath.Join(top, "go.sum")), read(t, filepath.Join(top, "go.mod"))
	requires = strings.Replace(requires, "module github.com/trtdet/trtdet", "module server", 1)
	for name, content := range map[string]string{
		"main.go": server(t),
		// what go mod tidy would make of it, which asks the network
		"go.mod": requires + "\nrequire github.com/trtdet/trtdet v0.0.0\n\nreplace github.com/trtdet/trtdet => " + code + "\n",
		"go.sum": sums,
	} {
		if err := os.WriteFile(filepath.Join(module, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	headers := map[string]string{"CUDA 12": filepath.Join(top, "build/deps/cuda")}
	if !testing.Short() {
		headers["CUDA 13"] = filepath.Join(top, "build/deps/nvcc")
	}
	picture := filepath.Join(top, emoji, "images", "room.jpg")
	for name, cuda := range headers {
		t.Run(name, func(t *testing.T) {
			build := exec.Command("sh", "-c", `eval "$("$1" env --cuda "$2")" && exec go build -o "$3" .`, "sh", installed, cuda, filepath.Join(t.TempDir(), "server"))
			build.Dir = module
			for _, v := range os.Environ() {
				if !strings.HasPrefix(v, "CGO_") { // those of build/env.sh know the checkout
					build.Env = append(build.Env, v)
				}
			}
			build.Env = append(build.Env, "GOFLAGS=-mod=mod", "GOPROXY=off")
			output(t, build)
			program := build.Args[len(build.Args)-1]
			if got := output(t, exec.Command(program, carried(), picture)); !strings.HasSuffix(got, " cpu\n") || strings.HasPrefix(got, "0 ") {
				t.Errorf("the server says %q", got)
			}
			for _, library := range []string{"libcuda", "libnvinfer", "libnvidia", "libonnxruntime", "libstdc++"} {
				if linked := output(t, exec.Command("ldd", program)); strings.Contains(linked, library) {
					t.Errorf("the server is linked to %s:\n%s", library, linked)
				}
			}
		})
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
	var env map[string]string
	cuda := filepath.Join(top, "build/deps/cuda")
	if err := json.Unmarshal([]byte(must(t, "", "env", "--format", "json", "--cuda", cuda).stdout), &env); err != nil {
		t.Fatal(err)
	}
	if flags := env["CGO_CFLAGS"]; !strings.HasPrefix(flags, "-O3 ") || !strings.HasSuffix(flags, "-I"+cuda+"/include") {
		t.Errorf("CGO_CFLAGS is %q", flags)
	}
	if flags := env["CGO_LDFLAGS"]; !strings.HasPrefix(flags, "-L"+prefix+"/lib/trtdet") {
		t.Errorf("CGO_LDFLAGS is %q", flags)
	}
}
