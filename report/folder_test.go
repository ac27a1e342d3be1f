package report

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

func grey(width, height int) *imaging.Picture {
	p := &imaging.Picture{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
	for i := range p.Pix {
		p.Pix[i] = 128
	}
	return p
}

func files(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestNewFolderCounts(t *testing.T) {
	project := filepath.Join(t.TempDir(), "runs", "detect")
	for _, c := range []struct {
		existOK bool
		want    string
	}{{false, "exp"}, {false, "exp2"}, {false, "exp3"}, {true, "exp"}} {
		f, err := NewFolder(project, "exp", c.existOK, FolderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(project, c.want); f.Path() != want {
			t.Errorf("got %s, want %s", f.Path(), want)
		}
	}
	file := filepath.Join(project, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFolder(project, "file", true, FolderOptions{}); err == nil {
		t.Error("a file was taken for a folder")
	}
	if _, err := NewFolder(file, "exp", false, FolderOptions{}); err == nil {
		t.Error("a folder was made inside a file")
	}
}

func TestSave(t *testing.T) {
	detections := []engine.Detection{
		{ClassID: 3, Class: "dog", Score: 0.75, Box: decode.Box{X1: 10, Y1: 20, X2: 30, Y2: 60}},
		{ClassID: 3, Class: "dog", Score: 0.5, Box: decode.Box{X1: 0, Y1: 0, X2: 100, Y2: 80}},
		{ClassID: 0, Class: "../up", Score: 0.25, Box: decode.Box{X1: 50, Y1: 40, X2: 60, Y2: 50}},
	}
	for _, c := range []struct {
		options FolderOptions
		want    []string
	}{
		{FolderOptions{Pictures: true}, []string{"a.jpg", "b.png", "c.jpg"}},
		{FolderOptions{Labels: true}, []string{"labels/a.txt", "labels/b.txt"}},
		{FolderOptions{Crops: true}, []string{
			"crops/.._up/a.jpg", "crops/.._up/b.jpg", "crops/dog/a.jpg", "crops/dog/a2.jpg", "crops/dog/b.jpg", "crops/dog/b2.jpg",
		}},
	} {
		t.Run(fmt.Sprint(c.want), func(t *testing.T) {
			f, err := NewFolder(t.TempDir(), "exp", false, c.options)
			if err != nil {
				t.Fatal(err)
			}
			for name, found := range map[string][]engine.Detection{"a.webp": detections, "b.PNG": detections, "c.jpeg": nil} {
				if err := f.Save("", name, grey(100, 80), found); err != nil {
					t.Fatal(err)
				}
			}
			if got := files(t, f.Path()); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The second crop of img1 and the first of img12 want the same name.
func TestCropsDoNotOverwriteEachOther(t *testing.T) {
	f, err := NewFolder(t.TempDir(), "exp", false, FolderOptions{Crops: true})
	if err != nil {
		t.Fatal(err)
	}
	dog := engine.Detection{Class: "dog", Box: decode.Box{X1: 10, Y1: 20, X2: 30, Y2: 60}}
	for name, n := range map[string]int{"img1.jpg": 3, "img12.jpg": 2} {
		if err := f.Save("", name, grey(100, 80), slices.Repeat([]engine.Detection{dog}, n)); err != nil {
			t.Fatal(err)
		}
	}
	if got := files(t, f.Path()); len(got) != 5 {
		t.Errorf("5 objects gave %q", got)
	}
}

func TestSavedLabels(t *testing.T) {
	found := []engine.Detection{{ClassID: 3, Class: "dog", Score: 0.75, Box: decode.Box{X1: 10, Y1: 20, X2: 30, Y2: 60}}}
	for conf, want := range map[bool]string{false: "3 0.2 0.5 0.2 0.5\n", true: "3 0.2 0.5 0.2 0.5 0.75\n"} {
		f, err := NewFolder(t.TempDir(), "exp", false, FolderOptions{Labels: true, Conf: conf})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Save("", "a.jpg", grey(100, 80), found); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(f.Path(), "labels", "a.txt"))
		if err != nil || string(got) != want {
			t.Errorf("got %q, error %v, want %q", got, err, want)
		}
	}
}

func TestSaveSparesTheSource(t *testing.T) {
	project := t.TempDir()
	source := filepath.Join(project, "a.jpg")
	if err := imaging.Save(source, grey(20, 10)); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(source)
	f, err := NewFolder(filepath.Dir(project), filepath.Base(project), true, FolderOptions{Pictures: true})
	if err != nil {
		t.Fatal(err)
	}
	found := []engine.Detection{{Class: "dog", Box: decode.Box{X1: 1, Y1: 2, X2: 8, Y2: 9}}}
	if err := f.Save(source, "a.jpg", grey(20, 10), found); err == nil {
		t.Error("no error")
	}
	if after, _ := os.ReadFile(source); !slices.Equal(before, after) {
		t.Error("the source was overwritten")
	}
}
