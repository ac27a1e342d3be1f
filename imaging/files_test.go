package imaging

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/tests/oracle"
)

// fileCase is a file of tests/oracle/picture_files.py.
type fileCase struct {
	Name          string
	Width, Height int
	Tolerance     int
	File, Pixels  oracle.Blob
}

// withoutTurbo has Go's own decoder read JPEG files until the test ends.
func withoutTurbo(t testing.TB) {
	saved := turboJPEG
	turboJPEG = func() (*turbo, error) { return nil, errors.New("left out") }
	t.Cleanup(func() { turboJPEG = saved })
}

// TestFilesAgainstTheirOwnLibraries reads files of every kind and holds the
// pixels to what libjpeg, libwebp, libpng and libtiff read. With libjpeg-turbo
// a JPEG's are the same to the bit.
func TestFilesAgainstTheirOwnLibraries(t *testing.T) {
	var cases struct{ Files []fileCase }
	blobs := oracle.Load(t, oracle.YOLOv5, "picture_files.py", &cases)
	if len(cases.Files) < 80 {
		t.Fatalf("the oracle wrote %d files, want 80 or more", len(cases.Files))
	}
	t.Run("Go", func(t *testing.T) {
		withoutTurbo(t)
		checkFiles(t, blobs, cases.Files)
	})
	t.Run("libjpeg-turbo", func(t *testing.T) {
		if _, err := TurboJPEG(); err != nil {
			t.Fatalf("%v; make setup-test installs it", err)
		}
		var jpegs []fileCase
		for _, c := range cases.Files {
			if strings.HasPrefix(c.Name, "jpeg") {
				if c.Name != "jpeg cmyk" { // Go's decoder reads it
					c.Tolerance = 0
				}
				jpegs = append(jpegs, c)
			}
		}
		checkFiles(t, blobs, jpegs)
	})
}

func checkFiles(t *testing.T, blobs *oracle.Cases, cases []fileCase) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			p, err := Read(bytes.NewReader(blobs.Bytes(c.File)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Width != c.Width || p.Height != c.Height {
				t.Fatalf("%dx%d pixels, want %dx%d", p.Width, p.Height, c.Width, c.Height)
			}
			want := blobs.Bytes(c.Pixels)
			greatest, differ := 0, 0
			for i, v := range p.Pix {
				d := max(int(v)-int(want[i]), int(want[i])-int(v))
				greatest = max(greatest, d)
				if d > 0 {
					differ++
				}
			}
			if greatest > c.Tolerance {
				t.Errorf("a value differs by %d, at most %d are allowed; %d of %d differ", greatest, c.Tolerance, differ, len(want))
			}
			// every cut of a file is an error or, where only padding is lost, the picture
			file := blobs.Bytes(c.File)
			for _, n := range []int{0, 1, 3, 11, 20, len(file) / 4, len(file) / 2, len(file) * 3 / 4} {
				if p, err := Read(bytes.NewReader(file[:n]), Limits{}); err == nil {
					t.Errorf("cut to %d of %d bytes it still is a picture of %dx%d", n, len(file), p.Width, p.Height)
				}
			}
		})
	}
}
