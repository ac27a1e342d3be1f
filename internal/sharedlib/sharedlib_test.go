package sharedlib

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func touch(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindGiven(t *testing.T) {
	dir := t.TempDir()
	plain := touch(t, filepath.Join(dir, "libfoo.so.1"))
	older := touch(t, filepath.Join(dir, "libfoo.so.1.9"))
	newer := touch(t, filepath.Join(dir, "libfoo.so.1.16"))
	inLib := touch(t, filepath.Join(dir, "lib", "libfoo.so.1"))
	other := touch(t, filepath.Join(dir, "other.so"))
	odd := touch(t, filepath.Join(dir, "[1]*", "libfoo.so.1"))
	if err := os.Symlink(plain, filepath.Join(dir, "libfoo.so")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "libfoo.so.1.pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	patterns := []string{"libfoo.so", "libfoo.so.1", "libfoo.so.1.*"}
	for _, c := range []struct {
		name, given string
		want        []string
	}{
		{"a folder, best pattern first, each file once", dir,
			[]string{filepath.Join(dir, "libfoo.so"), newer, older, inLib}},
		{"a file, whatever it is called", other, []string{other}},
		{"a file of the folder we are in, which the loader would look for elsewhere", "other.so", []string{other}},
		{"a folder with a name that is a pattern", filepath.Dir(odd), []string{odd}},
		{"nothing there", filepath.Join(dir, "nowhere"), nil},
	} {
		var got []string
		for p := range Find(Query{Given: c.given, Patterns: patterns}) {
			got = append(got, p.Path)
			if p.Source != "given" || p.Err != nil {
				t.Errorf("%s: source %s, %v", c.name, p.Source, p.Err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// A program has the libraries of the checkout that it was built in, while it
// lies there. No folder makes itself a checkout.
func TestDepsFolder(t *testing.T) {
	into, deps := builtInto, builtDeps
	t.Cleanup(func() { builtInto, builtDeps = into, deps })
	source := depsFolder("/anywhere")
	if _, err := os.Stat(filepath.Join(source, "go.mod")); err != nil {
		t.Errorf("a test's checkout is not found: %s, %v", source, err)
	}
	builtInto, builtDeps = "build/out/bin", "build/deps"
	for _, c := range []struct{ program, want string }{
		{"/home/me/trtdet/build/out/bin", "/home/me/trtdet/build/deps"},
		{"/usr/local/bin", source},
		{"/home/me/trtdet/build/out/bin/more", source},
		{"/home/me/trtdetbuild/out/bin", source},
	} {
		if got := depsFolder(c.program); got != c.want {
			t.Errorf("%s: %q, want %q", c.program, got, c.want)
		}
	}
	dir := t.TempDir() // a stranger's, with all that a checkout has
	touch(t, filepath.Join(dir, "build", "deps", "foo", "libtrtdet-test.so"))
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module github.com/trtdet/trtdet\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(dir, "a"))
	query := Query{Patterns: []string{"libtrtdet-test.so"}, Deps: []string{"foo"}}
	if got := slices.Collect(Find(query)); len(got) != 0 {
		t.Errorf("a stranger's folder was searched: %v", got)
	}
}

// Python's packages are looked at like any other place, and so is the python3
// that would be asked for them.
func TestPython(t *testing.T) {
	dir := t.TempDir()
	marker := filepath.Join(dir, "ran")
	venv := filepath.Join(dir, "venv[1]")
	older := touch(t, filepath.Join(venv, "lib", "python3.9", "site-packages", "foo", "libtrtdet-test.so"))
	newer := touch(t, filepath.Join(venv, "lib", "python3.13", "site-packages", "foo", "libtrtdet-test.so"))
	open := filepath.Join(dir, "open")
	script := touch(t, filepath.Join(open, "python3"))
	if err := os.WriteFile(script, []byte("#!/bin/sh\n: >'"+marker+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{open: 0o777, script: 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", open)
	t.Setenv("VIRTUAL_ENV", venv)
	query := Query{Patterns: []string{"libtrtdet-test.so"}, Python: []string{"foo"}}
	got := slices.Collect(Find(query))
	if len(got) != 3 || got[0] != (Place{newer, "python", nil}) || got[1] != (Place{older, "python", nil}) ||
		got[2].Path != script || got[2].Err == nil {
		t.Fatalf("got %v", got)
	}
	if want := "passed over: folder " + open + " is writable by others"; got[2].Err.Error() != want {
		t.Errorf("got %q, want %q", got[2].Err, want)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a python3 that anybody could have written ran")
	}
	if err := os.Chmod(venv, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Collect(Find(query))[:2] {
		if p.Err == nil || !strings.HasSuffix(p.Err.Error(), "folder "+venv+" is writable by others") {
			t.Errorf("%s: %v", p.Path, p.Err)
		}
	}
	// one that is believed, but may look for programs of its own
	safe := filepath.Join(dir, "safe")
	site := filepath.Dir(filepath.Dir(older))
	safePython := touch(t, filepath.Join(safe, "python3"))
	if err := os.WriteFile(safePython, []byte("#!/bin/sh\nhelper\necho '"+site+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(safePython, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, "helper"), []byte("#!/bin/sh\n: >'"+marker+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(venv, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VIRTUAL_ENV", "")
	t.Setenv("PATH", open+":relative:"+safe)
	got = slices.Collect(Find(query))
	if len(got) != 2 || got[0].Err == nil || got[1] != (Place{older, "python", nil}) {
		t.Errorf("got %v, want python3 in %s passed over, and %s", got, open, older)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("what python3 looks for was taken from a folder that anybody can write")
	}
}

// Another user's link to a library does not keep it from being found in its place.
func TestPassedOverHidesNothing(t *testing.T) {
	venv := t.TempDir()
	site := filepath.Join(venv, "lib", "python3.11", "site-packages")
	library := touch(t, filepath.Join(site, "own", "libtrtdet-test.so"))
	open := filepath.Join(site, "open")
	link := filepath.Join(open, "libtrtdet-test.so")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Symlink(library, link), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VIRTUAL_ENV", venv)
	t.Setenv("PATH", "")
	got := slices.Collect(Find(Query{Patterns: []string{"libtrtdet-test.so"}, Python: []string{"open", "own"}}))
	if len(got) != 2 || got[0].Path != link || got[0].Err == nil || got[1] != (Place{library, "python", nil}) {
		t.Errorf("got %v", got)
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"", "libfoo.so", "libfoo.so.1", "libfoo.so.1.2", "libfoo.so.10.9.0", "libfoo.so.10.16",
		"libfoo.so.10.16.1", "libfoo.so.010.17", "libgoo.so", "python3.9", "python3.13"}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := CompareVersions(a, b); got != want {
				t.Errorf("%q and %q: %d, want %d", a, b, got, want)
			}
		}
	}
}
