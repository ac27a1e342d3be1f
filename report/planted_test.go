package report

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
)

// stranger is nobody's user: where the test is root, files are given to it.
const stranger = 65531

// A folder that is used again may hold links to files and folders elsewhere,
// under every name that a run writes to or takes away.
func TestSaveWritesThroughNoLink(t *testing.T) {
	found := []engine.Detection{{Box: decode.Box{X1: 1, Y1: 1, X2: 9, Y2: 9}, Class: "cat", Score: 0.5}}
	for _, c := range []struct {
		name, link string // link is what is planted, a folder where it ends in a slash
		nothing    bool   // nothing is found
		want       string // of the error, "" for none
	}{
		{"a picture", "a.jpg", false, ""},
		{"labels", "labels/a.txt", false, ""},
		{"labels that are taken away", "labels/a.txt", true, ""},
		{"a crop", "crops/cat/a.jpg", false, ""},
		{"the labels' folder", "labels/", false, "labels: it is no folder: remove it"},
		{"the labels' folder, with nothing to write", "labels/", true, "path escapes from parent"},
		{"the crops' folder", "crops/", false, "crops: it is no folder: remove it"},
		{"a class' folder", "crops/cat/", false, "crops/cat: it is no folder: remove it"},
	} {
		elsewhere, project := t.TempDir(), t.TempDir()
		place := filepath.Join(project, "exp", c.link)
		target := elsewhere
		var victims []string
		for _, name := range []string{"a.jpg", "a.txt", "victim", filepath.Join("cat", "a.jpg")} {
			victims = append(victims, filepath.Join(elsewhere, name))
		}
		if !strings.HasSuffix(c.link, "/") {
			target = filepath.Join(elsewhere, "victim")
		}
		err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.Mkdir(filepath.Join(elsewhere, "cat"), 0o755))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range victims {
			if err := os.WriteFile(v, []byte("mine"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(target, place); err != nil {
			t.Fatal(err)
		}
		f, err := NewFolder(project, "exp", true, FolderOptions{Pictures: true, Labels: true, Crops: true})
		if err != nil {
			t.Fatal(err)
		}
		detections := found
		if c.nothing {
			detections = nil
		}
		err = f.Save("elsewhere/a.jpg", "a.jpg", grey(20, 10), detections)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		f.Close()
		for _, v := range victims {
			if b, err := os.ReadFile(v); err != nil || string(b) != "mine" {
				t.Errorf("%s: %s holds %d bytes, %v", c.name, v, len(b), err)
			}
		}
		if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) != 4 {
			t.Errorf("%s: there is now %v, %v", c.name, entries, err)
		}
	}
}

func TestSavePlotsWritesThroughNoLink(t *testing.T) {
	victim, project := filepath.Join(t.TempDir(), "victim"), t.TempDir()
	exp := filepath.Join(project, "exp")
	if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o644), os.Mkdir(exp, 0o755)); err != nil {
		t.Fatal(err)
	}
	names := []string{"PR_curve.png", "F1_curve.png", "P_curve.png", "R_curve.png", "confusion_matrix.png"}
	for _, name := range names {
		if err := os.Symlink(victim, filepath.Join(exp, name)); err != nil {
			t.Fatal(err)
		}
	}
	e := evaluation()
	if _, err := e.SavePlots(project, "exp", true); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Lstat(filepath.Join(exp, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is %v, %v", name, info, err)
		}
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
		t.Errorf("the links' target holds %d bytes, %v", len(b), err)
	}
}

// Of links and pipes that the user named, those of another user are not meant.
func TestWriteWholeRefusesAStrangers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: a link of another user cannot be made")
	}
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	err := errors.Join(os.WriteFile(in("victim"), []byte("mine"), 0o644), os.Mkdir(in("exp"), 0o755),
		os.Symlink("victim", in("link")), os.Symlink("link", in("own")), os.Symlink(in("new"), in("lost")),
		os.Symlink("exp", in("folder")), syscall.Mkfifo(in("pipe"), 0o666))
	for _, name := range []string{"link", "lost", "pipe", "folder"} {
		err = errors.Join(err, os.Lchown(in(name), stranger, stranger))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "own", "lost", "pipe"} {
		for what, err := range map[string]error{
			"WriteWhole": WriteWhole(in(name), hello), "CheckFile": CheckFile(in(name)),
		} {
			if err == nil || err.Error() != in(name)+": it is another user's: remove it" {
				t.Errorf("%s: %s says %v", name, what, err)
			}
		}
	}
	if b, err := os.ReadFile(in("victim")); err != nil || string(b) != "mine" {
		t.Errorf("the link's target holds %q, %v", b, err)
	}
	if _, err := os.Lstat(in("new")); err == nil {
		t.Error("what a link leads to was made")
	}
	if _, err := NewFolder(folder, "folder", true, FolderOptions{}); !errors.Is(err, errPlanted) {
		t.Errorf("a folder that is a link: %v", err)
	}
	if err := CheckFolder(folder, "folder", true); !errors.Is(err, errPlanted) {
		t.Errorf("CheckFolder says %v", err)
	}
}

// A link may lead by other links, from their own folders.
func TestWriteWholeFollowsLinks(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := errors.Join(os.MkdirAll(in("a/b"), 0o755), os.WriteFile(in("a/file"), nil, 0o644),
		os.Symlink("a/b", in("short")), os.Symlink("../file", in("a/b/up")), os.Symlink("short/up", in("start")),
		os.Symlink("round", in("round"))); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhole(in("start"), hello); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(in("a/file")); err != nil || string(b) != "hello" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if err := WriteWhole(in("round"), hello); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link to itself: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// as /dev/stdout is, or what a shell gives for >(command)
	written := make(chan error, 1)
	go func() { written <- errors.Join(WriteWhole("/dev/fd/"+strconv.Itoa(int(w.Fd())), hello), w.Close()) }()
	if b, err := io.ReadAll(r); err != nil || string(b) != "hello" {
		t.Errorf("the pipe had %q, %v", b, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
