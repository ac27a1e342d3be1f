package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commands is a folder for the PATH with programs of these names, each a shell
// script.
func commands(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// While Go compiles somebody is told how far it is, and what go says otherwise
// comes through as it is, its status too.
func TestProgressOfGo(t *testing.T) {
	path := commands(t, map[string]string{"go": `
		[ "$1" = list ] && { printf 'a\nb\nc\n'; exit; }
		printf 'runtime/cgo\ngithub.com/NVIDIA/go-nvml/pkg/nvml\n' >&2
		printf '# github.com/a/b\nx.go:3:4: wrong\n\nok  \tgithub.com/a\t0.1s\nno line feed'
		exit 3`})
	run := func(quiet string, args ...string) string {
		t.Helper()
		c := exec.Command(filepath.Join(top, "build/progress.sh"), append([]string{"trtdet", "go"}, args...)...)
		c.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "TRTDET_PROGRESS="+quiet)
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 3 {
			t.Errorf("go's status is 3, the wrapper says %v\n%s", err, out)
		}
		return regexp.MustCompile(`\(\d+ s\)`).ReplaceAllString(string(out), "(s)")
	}
	const said = "# github.com/a/b\nx.go:3:4: wrong\n\nok  \tgithub.com/a\t0.1s\nno line feed"
	if out := run("3600", "build", "-v", "./..."); out != said {
		t.Errorf("what go says comes out as\n%s", out)
	}
	if out, want := run("3600", "test", "./..."), "runtime/cgo\ngithub.com/NVIDIA/go-nvml/pkg/nvml\n"+said; out != want {
		t.Errorf("without -v no line is a package's, and what go says comes out as\n%s", out)
	}
	const one, two = "trtdet: 1 packages compiled, at most 3 to compile (s)\n", "trtdet: 2 packages compiled, at most 3 to compile (s)\n"
	if out := run("0", "build", "-v", "./..."); !strings.HasPrefix(out, one+two+"# github.com/a/b\n"+two) {
		t.Errorf("every line is reported as\n%s", out)
	}
	if out := run("0", "vet", "./..."); !strings.HasPrefix(out, "runtime/cgo\ntrtdet: at work (s)\n") {
		t.Errorf("without -v every line is reported as\n%s", out)
	}
}

// Set-up says what apt-get and pip fetch, how much that is, and how far they are.
func TestProgressOfPackages(t *testing.T) {
	var apt strings.Builder
	apt.WriteString("Reading package lists...\n0 upgraded, 41 newly installed, 0 to remove and 9 not upgraded.\n" +
		"Need to get 152 MB of archives.\nAfter this operation, 700 MB of additional disk space will be used.\n")
	for i := range 41 {
		fmt.Fprintf(&apt, "Get:%d http://deb.debian.org/debian bookworm/main amd64 a%[1]d amd64 1.0 [10 kB]\n", i+1)
	}
	for i := range 41 {
		fmt.Fprintf(&apt, "Unpacking a%d (1.0) ...\nSetting up a%[1]d (1.0) ...\n", i+1)
	}
	for _, c := range []struct{ of, printed, want string }{
		{"apt", apt.String(), "  41 packages: Need to get 152 MB of archives\n  20 of 41 packages fetched\n  40 of 41 packages fetched\n" +
			"  20 of 41 packages set up\n  40 of 41 packages set up\n"},
		{"pip", "Collecting onnxruntime==1.32.0\n  Downloading onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_x86_64.whl (18.4 MB)\n" +
			"Collecting packaging==26.3\n  Downloading packaging-26.3-py3-none-any.whl (78 kB)\nCollecting numpy==2.2.6\n" +
			"  Using cached numpy-2.2.6-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (16.8 MB)\n" +
			"Installing collected packages: packaging, numpy, onnxruntime\nSuccessfully installed numpy-2.2.6\n",
			"  onnxruntime, 18.4 MB\n  numpy, 16.8 MB\n  unpacking\n"},
	} {
		command := exec.Command(filepath.Join(top, "build/progress.sh"), c.of)
		command.Stdin = strings.NewReader(c.printed)
		if got := output(t, command); got != c.want {
			t.Errorf("of %s is told\n%swant\n%s", c.of, got, c.want)
		}
	}
}

// Before the first part of the tests all are named, and each before it begins.
func TestPartsOfTheTests(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "build/out"), 0o755), os.MkdirAll(filepath.Join(dir, "build/deps/venv/bin"), 0o755),
		os.MkdirAll(filepath.Join(dir, "tests/nets"), 0o755), os.MkdirAll(filepath.Join(dir, "training/tests"), 0o755),
		os.WriteFile(filepath.Join(dir, "tests/nets/make.py"), nil, 0o644), os.WriteFile(filepath.Join(dir, "build/pins"), nil, 0o644),
		os.WriteFile(filepath.Join(dir, "training/tests/__init__.py"), nil, 0o644),
		os.WriteFile(filepath.Join(dir, "training/__init__.py"), nil, 0o644),
		os.WriteFile(filepath.Join(dir, "training/tests/test_one.py"),
			[]byte("import unittest\n\n\nclass One(unittest.TestCase):\n    def test(self):\n        pass\n"), 0o644),
		// makes the folder that --out names
		os.WriteFile(filepath.Join(dir, "build/deps/venv/bin/python"), []byte("#!/bin/sh\nmkdir -p \"$3\"\n"), 0o755),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test.sh", "progress.sh"} {
		if err := os.WriteFile(filepath.Join(dir, "build", name), []byte(read(t, filepath.Join(top, "build", name))), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := commands(t, map[string]string{"cmake": "", "ctest": "", "gcc": "echo lib.so", "go": `[ "$1" = list ] && echo a/b; echo "ran go $1"`})
	header, part := regexp.MustCompile(`(?m)^== the tests have (\d+) parts:\n((?: {5}.*\n)+)`), regexp.MustCompile(`(?m)^== part (\d+) of (\d+): (.*) \(\d+ s\)$`)
	for args, want := range map[string]int{"": 6, "--full": 9} {
		c := exec.Command("build/test.sh", strings.Fields(args)...)
		c.Dir = dir
		c.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "CGO_LDFLAGS=")
		printed, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		out := string(printed)
		all := header.FindStringSubmatch(out)
		if all == nil || all[1] != fmt.Sprint(want) || strings.Index(out, all[0]) != 0 {
			t.Fatalf("%s: the parts are not named first:\n%s", args, out)
		}
		var begun strings.Builder
		for i, p := range part.FindAllStringSubmatch(out, -1) {
			if p[1] != fmt.Sprint(i+1) || p[2] != fmt.Sprint(want) {
				t.Errorf("%s: part %d is called %s of %s", args, i+1, p[1], p[2])
			}
			begun.WriteString("     " + p[3] + "\n")
		}
		if begun.String() != all[2] {
			t.Errorf("%s: begun are\n%sannounced\n%s", args, begun.String(), all[2])
		}
	}
}

// A container is set up from a few files, before the rest is copied: all that
// set-up runs has to be among them.
func TestContainerSetUp(t *testing.T) {
	dockerfile, _, _ := strings.Cut(read(t, filepath.Join(top, "build/docker/Dockerfile")), "RUN build/setup.sh")
	scripts := regexp.MustCompile(`build/\w+\.sh`).FindAllString(read(t, filepath.Join(top, "build/setup.sh")), -1)
	if len(scripts) < 4 {
		t.Fatalf("build/setup.sh runs %q", scripts)
	}
	for _, script := range scripts {
		if !strings.Contains(dockerfile, " "+script+" ") {
			t.Errorf("build/docker/Dockerfile does not copy %s before it runs build/setup.sh", script)
		}
	}
}

// make help names every target.
func TestHelpOfMake(t *testing.T) {
	_, phony, _ := strings.Cut(read(t, filepath.Join(top, "Makefile")), "\n.PHONY: ")
	phony, _, _ = strings.Cut(phony, "\n")
	list := exec.Command("make", "--no-print-directory", "help")
	list.Dir = top
	var told []string
	for line := range strings.Lines(output(t, list)) {
		if words := strings.Fields(line); len(words) < 3 {
			t.Errorf("of a target nothing is said: %q", line)
		} else {
			told = append(told, words[0])
		}
	}
	targets := strings.Fields(phony)
	slices.Sort(told)
	slices.Sort(targets)
	if !slices.Equal(told, targets) {
		t.Errorf("make help has\n%q, the Makefile\n%q", told, targets)
	}
}
