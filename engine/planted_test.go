package engine

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stranger is nobody's user: where the test is root, files are given to it.
const stranger = 65531

// What lies under the part's name, which anybody knows, is cleared away and not
// written to.
func TestPartFileIsNotPlanted(t *testing.T) {
	type row struct {
		name  string
		plant func(victim, part string) error
	}
	rows := []row{
		{"a link", os.Symlink},
		{"a lost link", func(victim, part string) error { return os.Symlink(victim+"-absent", part) }},
		{"a second name", os.Link},
		{"a pipe", func(_, part string) error { return syscall.Mkfifo(part, 0o666) }},
		{"an empty folder", func(_, part string) error { return os.Mkdir(part, 0o755) }},
	}
	if os.Getuid() == 0 {
		rows = append(rows, row{"another user's file", func(_, part string) error {
			return errors.Join(os.WriteFile(part, nil, 0o666), os.Chown(part, stranger, stranger))
		}})
	}
	for _, c := range rows {
		victim, target := filepath.Join(t.TempDir(), "victim"), filepath.Join(t.TempDir(), "model.engine")
		part := filepath.Join(filepath.Dir(target), ".model.engine.part")
		if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o644), c.plant(victim, part)); err != nil {
			t.Fatal(err)
		}
		p, err := openPart(target)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		info, err := os.Lstat(part)
		if err != nil || !hasOneName(info) || owner(info) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s: the part is %v, %v", c.name, info, err)
		}
		if err := errors.Join(overwrite(p.path(), []byte("plan")), p.commit()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		p.close()
		if b, err := os.ReadFile(target); err != nil || string(b) != "plan" {
			t.Errorf("%s: the output is %q, %v", c.name, b, err)
		}
		if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
			t.Errorf("%s: the victim holds %q, %v", c.name, b, err)
		}
		if _, err := os.Lstat(victim + "-absent"); err == nil {
			t.Errorf("%s: what it leads to was made", c.name)
		}
	}
	// what cannot be cleared away is said
	target := filepath.Join(t.TempDir(), "model.engine")
	part := filepath.Join(filepath.Dir(target), ".model.engine.part")
	if err := os.MkdirAll(filepath.Join(part, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := part + " is in the way: directory not empty"
	if _, err := openPart(target); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a full folder: %v", err)
	}
}

// Once the part is open, what is put in its place is neither written to nor made
// the output.
func TestPartFileIsNotReplaced(t *testing.T) {
	for name, plant := range map[string]func(victim, part string) error{"a link": os.Symlink, "a second name": os.Link} {
		victim, target := filepath.Join(t.TempDir(), "victim"), filepath.Join(t.TempDir(), "model.engine")
		p, err := openPart(target)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(os.WriteFile(victim, []byte("mine"), 0o644), os.Remove(p.path()), plant(victim, p.path()))
		if err != nil {
			t.Fatal(err)
		}
		if overwrite(p.path(), []byte("plan")) == nil || p.commit() == nil {
			t.Errorf("%s: it is taken for the part", name)
		}
		p.close()
		if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
			t.Errorf("%s: the victim holds %q, %v", name, b, err)
		}
		if _, err := os.Lstat(p.path()); err != nil {
			t.Errorf("%s: it was taken away: %v", name, err)
		}
	}
}

// Another user's build of the same output is busy, not in the way.
func TestPartFileOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: a file of another user cannot be made")
	}
	target := filepath.Join(t.TempDir(), "model.engine")
	first, err := openPart(target)
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if err := os.Chown(first.path(), stranger, stranger); err != nil {
		t.Fatal(err)
	}
	if _, err := openPart(target); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

// A runtime cache is code that nobody named: it is taken where nobody else can
// have written it, and one is written whatever lies there.
func TestRuntimeCacheIsNotPlanted(t *testing.T) {
	const kernels = "a stranger's kernels"
	type row struct {
		name  string
		plant func(folder, cache, victim string) error
		taken bool
	}
	write := func(cache string, mode fs.FileMode) error {
		return errors.Join(os.WriteFile(cache, []byte(kernels), mode), os.Chmod(cache, mode))
	}
	give := func(path string) error { return os.Chown(path, stranger, stranger) }
	rows := []row{
		{"a file of ours", func(_, cache, _ string) error { return write(cache, 0o644) }, true},
		{"a file that others can write", func(_, cache, _ string) error { return write(cache, 0o666) }, false},
		{"a folder that others can write", func(folder, cache, _ string) error {
			return errors.Join(write(cache, 0o644), os.Chmod(folder, 0o777))
		}, false},
		{"a pipe", func(_, cache, _ string) error { return syscall.Mkfifo(cache, 0o644) }, false},
		{"a link to a folder that others can write", func(_, cache, victim string) error {
			return errors.Join(os.Chmod(filepath.Dir(victim), 0o777), os.Symlink(victim, cache))
		}, false},
	}
	if os.Getuid() == 0 {
		rows = append(rows,
			row{"another user's file", func(_, cache, _ string) error {
				return errors.Join(write(cache, 0o644), give(cache))
			}, false},
			row{"a file of the plan's owner", func(folder, cache, _ string) error {
				return errors.Join(write(cache, 0o644), give(cache), give(filepath.Join(folder, "model.engine")))
			}, true})
	}
	for _, c := range rows {
		folder, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
		plan := filepath.Join(folder, "model.engine")
		cache := plan + ".cache"
		err := errors.Join(os.WriteFile(plan, nil, 0o644), os.WriteFile(victim, []byte(kernels), 0o644),
			c.plant(folder, cache, victim))
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		r := &runtimeCache{path: cache, plan: plan, log: slog.New(slog.NewTextHandler(&log, nil))}
		if had := r.read(); (string(had) == kernels) != c.taken || (log.Len() == 0) != c.taken {
			t.Errorf("%s: read %q, log %q", c.name, had, log.String())
		}
		log.Reset()
		r.keep([]byte("ours"), nil)
		if b, err := os.ReadFile(cache); err != nil || string(b) != "ours" || log.Len() > 0 {
			t.Errorf("%s: it now holds %q, %v, log %q", c.name, b, err, log.String())
		}
		if info, err := os.Lstat(cache); err != nil || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s: it is now %v, %v", c.name, info, err)
		}
		if b, err := os.ReadFile(victim); err != nil || string(b) != kernels {
			t.Errorf("%s: the victim holds %q, %v", c.name, b, err)
		}
	}
	r := &runtimeCache{path: filepath.Join(t.TempDir(), "none"), plan: t.TempDir(), log: discard}
	if had := r.read(); had != nil {
		t.Errorf("where there is none it read %q", had)
	}
}

// A timing cache is a file that the user named; one that is a pipe is not waited for.
func TestTimingCacheIsNoPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "timing.cache")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readRegular(pipe); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v", err)
	}
}
