package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func hello(w io.Writer) error {
	_, err := io.WriteString(w, "hello")
	return err
}

// What is not a file is not replaced by one: as root, that would be /dev/null.
func TestWriteWholeKeepsWhatIsThere(t *testing.T) {
	folder := t.TempDir()
	pipe, link, file := filepath.Join(folder, "pipe"), filepath.Join(folder, "link"), filepath.Join(folder, "file")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o644), os.Symlink("file", link), os.WriteFile(file, []byte("old"), 0o644)); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() { b, err := os.ReadFile(pipe); read <- fmt.Sprint(string(b), err) }()
	for _, path := range []string{pipe, link} {
		before, _ := os.Lstat(path)
		if err := WriteWhole(path, hello); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Lstat(path); err != nil || after.Mode().Type() != before.Mode().Type() {
			t.Fatalf("%s is now %v, %v", path, after.Mode(), err)
		}
	}
	if text := <-read; text != "hello<nil>" {
		t.Errorf("the pipe had %s", text)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "hello" {
		t.Errorf("the link's file has %q, %v", b, err)
	}
}

func TestWriteWholeFails(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for _, c := range []struct {
		path  string
		write func(io.Writer) error
		want  string
	}{
		{folder, hello, folder + ": file exists"},
		{filepath.Join(folder, "absent/x"), hello, folder + "/absent/x: no such file or directory"},
		{filepath.Join(folder, "old"), func(io.Writer) error { return broken }, folder + "/old: broken"},
	} {
		if err := WriteWhole(c.path, c.write); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	entries, err := os.ReadDir(folder)
	if b, _ := os.ReadFile(filepath.Join(folder, "old")); err != nil || len(entries) != 1 || string(b) != "old" {
		t.Errorf("left are %v, %q, %v", entries, b, err)
	}
}

// CheckFile says beforehand what WriteWhole would, and writes nothing.
func TestCheckFile(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := errors.Join(os.WriteFile(in("file"), nil, 0o644), os.Symlink("new", in("link")), os.Symlink("absent/new", in("lost")), syscall.Mkfifo(in("pipe"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		in("new"): nil, in("file"): nil, in("link"): nil, in("lost"): nil, in("pipe"): nil, "/dev/null": nil,
		folder: syscall.EISDIR, in("absent/x"): syscall.ENOENT, in("file/x"): syscall.ENOTDIR,
	} {
		err := CheckFile(path)
		if !errors.Is(err, want) || (err != nil && !strings.HasPrefix(err.Error(), path+": ")) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 4 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestCheckFolder(t *testing.T) {
	project := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(project, "exp"), 0o777), os.WriteFile(filepath.Join(project, "file"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		project, name string
		existOK       bool
		want          error
	}{
		{project, "exp", false, nil}, {project, "exp", true, nil}, {project + "/a/b", "c", false, nil}, {project, "file", false, nil},
		{project, "file", true, syscall.ENOTDIR}, {project + "/file", "exp", false, syscall.ENOTDIR}, {project + "/file/a", "exp", true, syscall.ENOTDIR},
	} {
		if err := CheckFolder(c.project, c.name, c.existOK); !errors.Is(err, c.want) {
			t.Errorf("%s, %s, %v: got %v, want %v", c.project, c.name, c.existOK, err, c.want)
		}
		// and that is what NewFolder finds
		f, err := NewFolder(c.project, c.name, c.existOK, FolderOptions{})
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s, %s, %v: NewFolder's error is %v, want %v", c.project, c.name, c.existOK, err, c.want)
		}
		if err == nil {
			f.Close()
		}
	}
}
