package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func hello(w io.Writer) error {
	_, err := io.WriteString(w, "hello")
	return err
}

// Whatever somebody has put in a file's place, nothing but the name is theirs.
func TestWriteReplacesWhatIsPlanted(t *testing.T) {
	for name, plant := range map[string]func(target, path string) error{
		"nothing":       func(string, string) error { return nil },
		"a link":        os.Symlink,
		"a second name": os.Link,
		"a lost link":   func(target, path string) error { return os.Symlink(target+"-absent", path) },
		"a pipe":        func(_, path string) error { return syscall.Mkfifo(path, 0o666) },
		"an open file": func(_, path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o666), os.Chmod(path, 0o666))
		},
	} {
		for way, write := range map[string]func(folder string) error{
			"by path": func(folder string) error { return Write(filepath.Join(folder, "file"), hello) },
			"in a root": func(folder string) error {
				root, err := os.OpenRoot(folder)
				if err != nil {
					return err
				}
				return errors.Join(WriteIn(root, "file", hello), root.Close())
			},
		} {
			target, folder := filepath.Join(t.TempDir(), "target"), t.TempDir()
			path := filepath.Join(folder, "file")
			if err := errors.Join(os.WriteFile(target, []byte("mine"), 0o644), plant(target, path)); err != nil {
				t.Fatal(err)
			}
			if err := write(folder); err != nil {
				t.Errorf("%s, %s: %v", name, way, err)
			}
			if b, err := os.ReadFile(target); err != nil || string(b) != "mine" {
				t.Errorf("%s, %s: the target holds %q, %v", name, way, b, err)
			}
			if _, err := os.Lstat(target + "-absent"); err == nil {
				t.Errorf("%s, %s: what the link leads to was made", name, way)
			}
			info, err := os.Lstat(path)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
				t.Errorf("%s, %s: it is now %v, %v", name, way, info, err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "hello" {
				t.Errorf("%s, %s: it holds %q, %v", name, way, b, err)
			}
			if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
				t.Errorf("%s, %s: left are %v, %v", name, way, entries, err)
			}
		}
	}
}

func TestWriteKeepsAFilePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, hello); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it is %v, %v", info.Mode(), err)
	}
	if os.Getuid() != 0 {
		t.Skip("not root: a file of another user cannot be made")
	}
	// another user's file says nothing of ours
	if err := errors.Join(os.Chmod(path, 0), os.Chown(path, 65531, 65531), Write(path, hello)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o400 == 0 {
		t.Errorf("it is %v, %v", info.Mode(), err)
	}
}

func TestWriteFails(t *testing.T) {
	folder := t.TempDir()
	broken := errors.New("broken")
	if err := Write(filepath.Join(folder, "file"), func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := Write(filepath.Join(folder, "absent", "file"), hello); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(folder, "away")); err != nil {
		t.Fatal(err)
	}
	if err := WriteIn(root, "away/file", hello); err == nil {
		t.Error("a link leads out of the folder")
	}
	for _, place := range []string{folder, outside} {
		if entries, err := os.ReadDir(place); err != nil || len(entries) > 1 {
			t.Errorf("left are %v, %v", entries, err)
		}
	}
}
