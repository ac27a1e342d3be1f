package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{
		"b.jpg", "a.PNG", "notes.txt", "deep/er/c.webp", "deep/d.tiff", "odd[1].jpg", "empty/readme.md",
		"old[1]*/e.jpg", "old[1]*/sub/f.jpg", "old1/g.jpg", "outer/inner/h.jpg", "films/it's.MP4", "7",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		want  []string
		err   error
	}{
		{"a file is itself, whatever its name", []string{"notes.txt"}, "", []string{"notes.txt"}, nil},
		{"a folder is its pictures, sorted", []string{"."}, "", []string{"a.PNG", "b.jpg", "odd[1].jpg"}, nil},
		{"a missing file is passed on", []string{"nothing.jpg"}, "", []string{"nothing.jpg"}, nil},
		{"a pattern", []string{"*.jpg"}, "", []string{"b.jpg", "odd[1].jpg"}, nil},
		{"a pattern over folders", []string{"deep/**/*.*"}, "", []string{"deep/d.tiff", "deep/er/c.webp"}, nil},
		{"a pattern in a folder that looks like one", []string{"old[1]*/*.jpg"}, "", []string{"old[1]*/e.jpg"}, nil},
		{"a pattern over folders in it", []string{"./old[1]*/**/*.jpg"}, "",
			[]string{"old[1]*/e.jpg", "old[1]*/sub/f.jpg"}, nil},
		{"a pattern of folders", []string{"old[1-9]/*.jpg"}, "", []string{"old1/g.jpg"}, nil},
		{"a pattern from the root", []string{dir + "/old[1]*/e.*"}, "", []string{dir + "/old[1]*/e.jpg"}, nil},
		{"a pattern that goes up", []string{"deep/../old[1]*/e.*"}, "", []string{"old[1]*/e.jpg"}, nil},
		{"a file whose name looks like a pattern", []string{"odd[1].jpg"}, "", []string{"odd[1].jpg"}, nil},
		{"a list, with Windows line ends and blank lines", []string{"-"}, "x.jpg\r\n\ny z.jpg", []string{"x.jpg", "y z.jpg"}, nil},
		{"several, in order", []string{"b.jpg", "-", "a.PNG"}, "x.jpg\n", []string{"b.jpg", "x.jpg", "a.PNG"}, nil},
		{"an empty folder, then a file", []string{"empty", "b.jpg"}, "", []string{"empty", "b.jpg"}, ErrNoPictures},
		{"a folder of folders", []string{"outer"}, "", []string{"outer"}, errors.New("; 'outer/**/*' takes those of the folders in it")},
		{"a pattern without matches", []string{"*.bmp"}, "", []string{"*.bmp"}, ErrNoPictures},
		{"a video", []string{"films/it's.MP4", "b.jpg"}, "", []string{"films/it's.MP4", "b.jpg"}, ErrNotImages},
		{"a list with a video", []string{"-"}, "b.jpg\nfilms/it's.MP4\n", []string{"b.jpg", "films/it's.MP4"}, ErrNotImages},
		{"a file that is called like a camera", []string{"7"}, "", []string{"7"}, nil},
		{"a video that is not there is passed on", []string{"x.mp4"}, "", []string{"x.mp4"}, nil},
		{"a broken pattern", []string{"[a"}, "", []string{"[a"}, errors.New("syntax error in pattern")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			var first error
			for path, err := range Sources(c.args, strings.NewReader(c.stdin)) {
				got = append(got, path)
				if err != nil && first == nil {
					first = err
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			switch {
			case (first == nil) != (c.err == nil):
				t.Errorf("error %v, want %v", first, c.err)
			case first != nil && !errors.Is(first, c.err) && !strings.Contains(first.Error(), c.err.Error()):
				t.Errorf("error %v, want %v", first, c.err)
			}
		})
	}
}

// What is no image is answered with the command that makes images of it.
func TestForeignSources(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"in.mp4", "my film.avi"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const makes = " frames/%06d.jpg makes images of it"
	for source, want := range map[string]string{
		"in.mp4":                    "a video is not read here yet: mkdir -p frames && ffmpeg -i in.mp4" + makes,
		"my film.avi":               "ffmpeg -i 'my film.avi'" + makes,
		"0":                         "a camera is not read here yet: mkdir -p frames && ffmpeg -f v4l2 -i /dev/video0" + makes,
		"rtsp://u:p@10.0.0.1/live":  "a stream is not read here yet: mkdir -p frames && ffmpeg -i rtsp://u:p@10.0.0.1/live" + makes,
		"RTMP://host/live":          "a stream is not read here yet",
		"https://host/a/in.mp4?x=1": "a stream is not read here yet: mkdir -p frames && ffmpeg -i 'https://host/a/in.mp4?x=1'" + makes,
		"http://host/dog.jpg":       "curl -fO http://host/dog.jpg fetches an image",
	} {
		err := CheckSources([]string{"-", "b.jpg", source})
		if !errors.Is(err, ErrNotImages) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
	if err := CheckSources([]string{"-", "", "b.jpg", ".", "*.jpg", "**://x", "missing.mp4", "file:///x.jpg", "c://x"}); err != nil {
		t.Error(err)
	}
}

func TestStemsAreUnique(t *testing.T) {
	names := stems{}
	for _, c := range [][2]string{
		{"a.jpg", "a.jpg"}, {"a.jpg", "a-2.jpg"}, {"a.png", "a-3.png"}, {"b.jpg", "b.jpg"},
		{"c-2.jpg", "c-2.jpg"}, {"c.jpg", "c.jpg"}, {"c.jpg", "c-3.jpg"}, {"a-2.jpg", "a-2-2.jpg"},
	} {
		if got := names.unique(c[0]); got != c[1] {
			t.Errorf("unique(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}
