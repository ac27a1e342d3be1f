package sharedlib

import (
	"os"
	"path/filepath"
	"slices"
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
	newer := touch(t, filepath.Join(dir, "libfoo.so.1.2"))
	inLib := touch(t, filepath.Join(dir, "lib", "libfoo.so.1"))
	other := touch(t, filepath.Join(dir, "other.so"))
	if err := os.Symlink(plain, filepath.Join(dir, "libfoo.so")); err != nil {
		t.Fatal(err)
	}
	patterns := []string{"libfoo.so", "libfoo.so.1", "libfoo.so.1.*"}
	for _, c := range []struct {
		name, given string
		want        []string
	}{
		{"a folder, best pattern first, each file once", dir, []string{filepath.Join(dir, "libfoo.so"), newer, inLib}},
		{"a file, whatever it is called", other, []string{other}},
		{"nothing there", filepath.Join(dir, "nowhere"), nil},
	} {
		var got []string
		for p := range Find(Query{Given: c.given, Patterns: patterns}) {
			got = append(got, p.Path)
			if p.Source != "given" {
				t.Errorf("%s: source %s", c.name, p.Source)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFindInCheckout(t *testing.T) {
	dir := t.TempDir()
	touch(t, filepath.Join(dir, "build", "deps", "foo", "libtrtdet-test.so"))
	work := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(work)
	query := Query{Patterns: []string{"libtrtdet-test.so"}, Deps: []string{"foo"}}
	if got := slices.Collect(Find(query)); len(got) != 0 {
		t.Errorf("a stranger's folder was searched: %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module github.com/trtdet/trtdet\n\ngo 1.26\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(Find(query))
	if len(got) != 1 || got[0].Source != "deps" {
		t.Errorf("got %v, want the library in build/deps", got)
	}
}
