package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A checkout that was moved builds again: what CMake and pip wrote of the folder
// that it was in is mended by the set-up, which each of make's targets begins with.
func TestMovedCheckout(t *testing.T) {
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "old"), filepath.Join(dir, "moved")
	copied := exec.Command("sh", "-c", `mkdir -p "$1" && git ls-files -z --cached --others --exclude-standard go.mod go.sum 'build/*' | xargs -0 cp --parents -t "$1"`, "sh", old)
	copied.Dir = top
	output(t, copied)
	deps := filepath.Join(top, "build/deps")
	program := "build/out/cmake/program"
	if err := errors.Join(
		os.MkdirAll(filepath.Join(old, "build/out"), 0o755),
		os.Symlink(deps, filepath.Join(old, "build/deps")),
		os.WriteFile(filepath.Join(old, "CMakeLists.txt"), []byte("cmake_minimum_required(VERSION 3.25)\nproject(trtdet NONE)\n"+
			"file(WRITE \"${CMAKE_CURRENT_BINARY_DIR}/program\" \"${PROJECT_SOURCE_DIR}\")\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	configure := func(folder string) error {
		c := exec.Command("cmake", "-S", folder, "-B", filepath.Join(folder, "build/out/cmake"))
		return c.Run()
	}
	setUp := func(folder string) string {
		t.Helper()
		out, err := exec.Command(filepath.Join(folder, "build/setup.sh"), "build").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if err := configure(old); err != nil {
		t.Fatal(err)
	}
	if out := setUp(old); out != "" {
		t.Errorf("nothing has moved, and set-up says %s", out)
	}
	if _, err := os.Stat(filepath.Join(old, program)); err != nil {
		t.Errorf("nothing has moved: %v", err)
	}
	if err := os.Rename(old, moved); err != nil {
		t.Fatal(err)
	}
	if configure(moved) == nil {
		t.Fatal("CMake takes another folder's cache: there is nothing to mend")
	}
	if out := setUp(moved); !strings.Contains(out, "is of "+old+": it is made again") {
		t.Errorf("set-up says %q", out)
	}
	if err := configure(moved); err != nil {
		t.Errorf("a moved checkout: %v", err)
	}
	if source := read(t, filepath.Join(moved, program)); source != moved {
		t.Errorf("it is built from %s", source)
	}
}

// A program of a virtual environment runs that environment's Python, and not
// what lies in the folder that the checkout was in.
func TestMovedPrograms(t *testing.T) {
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "old"), filepath.Join(dir, "moved&copied")
	bin := filepath.Join(old, "build/deps/.venvs/lint-1/bin")
	text := "#!" + bin + "/python3.11\nprint('as it was')\n"
	if err := errors.Join(
		os.MkdirAll(bin, 0o755),
		os.WriteFile(filepath.Join(bin, "tool"), []byte(text), 0o755),
		os.WriteFile(filepath.Join(bin, "script"), []byte("#!/bin/sh\n"), 0o755),
		os.Symlink("/usr/bin/python3", filepath.Join(bin, "python3.11")),
		os.WriteFile(filepath.Join(old, "build/moved.sh"), []byte(read(t, filepath.Join(top, "build/moved.sh"))), 0o755),
	); err != nil {
		t.Fatal(err)
	}
	output(t, exec.Command(filepath.Join(old, "build/moved.sh")))
	if got := read(t, filepath.Join(bin, "tool")); got != text {
		t.Errorf("nothing has moved, and the tool is now\n%s", got)
	}
	output(t, exec.Command("cp", "-a", old, moved))
	output(t, exec.Command(filepath.Join(moved, "build/moved.sh")))
	bin = filepath.Join(moved, "build/deps/.venvs/lint-1/bin")
	if got, want := read(t, filepath.Join(bin, "tool")), "#!"+bin+"/python3.11\nprint('as it was')\n"; got != want {
		t.Errorf("the tool is\n%swant\n%s", got, want)
	}
	if got := read(t, filepath.Join(bin, "script")); got != "#!/bin/sh\n" {
		t.Errorf("another program is now\n%s", got)
	}
}
