package e2e

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The program names nothing of NVIDIA's: it starts on any machine, also where
// the loader must find every symbol at once.
func TestLinksNothingOfNVIDIA(t *testing.T) {
	file, err := elf.Open(trtdet)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range libraries {
		name, _, _ := strings.Cut(library, ".")
		if !slices.Contains([]string{"libc", "libm", "libdl", "libpthread", "libresolv", "librt", "ld-linux-x86-64"}, name) {
			t.Errorf("it needs %s", library)
		}
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	// gorgonia.org/cu's own functions in C, which no driver has
	own := []string{"cuLaunchAndSync", "cuAllocAndCopy", "cuDeviceGetAttributes"}
	for _, s := range symbols {
		if slices.Contains(own, s.Name) {
			continue
		}
		if strings.HasPrefix(s.Name, "cu") && len(s.Name) > 2 && s.Name[2] >= 'A' && s.Name[2] <= 'Z' || strings.HasPrefix(s.Name, "nvml") {
			t.Errorf("it has the symbol %s for other libraries to find, or wants it from them", s.Name)
		}
	}
	// Numbers of facets that every libstdc++ of a process would share: the second one to give its own finds some given,
	// and ends in another facet's code.
	for _, s := range symbols {
		if strings.Contains(s.Name, "St") && (strings.HasSuffix(s.Name, "2idE") || strings.HasPrefix(s.Name, "_ZGV")) {
			t.Errorf("it has %s, which belongs to C++'s locale", s.Name)
		}
	}
	command := exec.Command(trtdet, "--version")
	command.Env = append(os.Environ(), "LD_BIND_NOW=1")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("with LD_BIND_NOW: %v\n%s", err, out)
	}
}

// gorgonia.org/cu and go-nvml compile against the headers of CUDA 12 and 13,
// and find all that they call in libcuda.a.
func TestDriverWithEveryCUDA(t *testing.T) {
	deps := filepath.Join(top, "build", "deps")
	folder := t.TempDir()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, text := range map[string]string{
		// with this module's own versions
		"go.mod": read("go.mod"),
		"go.sum": read("go.sum"),
		"main.go": `package main

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"gorgonia.org/cu"
)

func main() {
	n, err := cu.NumDevices()
	fmt.Println(n, err, nvml.New().Init())
}
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, headers := range []string{filepath.Join(deps, "cuda", "include"), filepath.Join(deps, "nvcc", "include")} {
		environment := append(os.Environ(),
			"CGO_CFLAGS=-O1 -w -I"+filepath.Join(top, "csrc", "driver", "include")+" -I"+headers,
			"CGO_LDFLAGS=-L"+filepath.Join(top, "build", "out", "lib"), "LD_BIND_NOW=1", "TRTDET_LIBCUDA=/nonexistent")
		run := func(args ...string) string {
			command := exec.Command(args[0], args[1:]...)
			command.Dir, command.Env = folder, environment
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %v\n%s", headers, args, err, out)
			}
			return string(out)
		}
		run("go", "build", "-o", "scratch", ".")
		if out := run(filepath.Join(folder, "scratch")); !strings.HasPrefix(out, "0 ") {
			t.Errorf("%s: without a driver it says %q", headers, out)
		}
	}
}
