package imaging

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/tests/oracle"
)

// cv2Case is a file of tests/oracle/image_files.py.
type cv2Case struct {
	Name          string
	Width, Height int // 0 where cv2 refuses it
	Tolerance     int
	Refused       string // what trtdet calls a file that it does not read
	File, Pixels  oracle.Blob
}

// cv2Cases are the groups of files by name.
func cv2Cases(t *testing.T) (*oracle.Cases, map[string][]cv2Case) {
	var cases struct{ Groups map[string][]cv2Case }
	blobs := oracle.Load(t, oracle.Venv, "image_files.py", &cases)
	for name, least := range map[string]int{"tiffs": 1200, "by_libraries": 300, "moving": 30, "pnms": 50, "others": 5, "truncated": 40} {
		if n := len(cases.Groups[name]); n < least {
			t.Fatalf("the oracle wrote %d files of the group %s, want %d or more", n, name, least)
		}
	}
	return blobs, cases.Groups
}

// TestFilesAgainstCV2 holds every kind of TIFF, GIF, WebP and PNM that Pillow,
// cv2 and a script write to the pixels of cv2.imread. What cv2 refuses is
// refused here too.
func TestFilesAgainstCV2(t *testing.T) {
	blobs, groups := cv2Cases(t)
	for name, cases := range groups {
		switch name {
		case "truncated":
			continue
		case "tiffs", "by_libraries":
			t.Run(name+" without libjpeg-turbo", func(t *testing.T) {
				withoutTurbo(t)
				compareToCV2(t, blobs, cases, jpegTolerance)
			})
		}
		t.Run(name, func(t *testing.T) { compareToCV2(t, blobs, cases, func(string) int { return 0 }) })
	}
	t.Run("truncated", func(t *testing.T) { checkTruncated(t, blobs, groups["truncated"]) })
}

// jpegTolerance is by how many levels the JPEG data of a TIFF may differ with
// Go's decoder: as many as TestFilesAgainstTheirOwnLibraries allows it, and
// more of CIELab, whose dark colors lie apart.
func jpegTolerance(name string) int {
	if strings.Contains(strings.ToLower(name), "lab") {
		return 32
	}
	return 4
}

func compareToCV2(t *testing.T, blobs *oracle.Cases, cases []cv2Case, jpegTolerance func(name string) int) {
	for _, c := range cases {
		file := blobs.Bytes(c.File)
		p, err := Read(bytes.NewReader(file), Limits{})
		if c.Refused != "" || c.Width == 0 {
			if err == nil {
				t.Errorf("%s: read as %dx%d, want an error", c.Name, p.Width, p.Height)
			} else if !strings.Contains(err.Error(), c.Refused) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want one line that says %q", c.Name, err, c.Refused)
			}
			continue
		}
		tolerance := c.Tolerance
		if strings.Contains(c.Name, "compression 7") || strings.Contains(c.Name, "jpeg") || strings.Contains(c.Name, " 7 ") {
			tolerance = max(tolerance, jpegTolerance(c.Name))
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		compare(t, c.Name, p, c.Width, c.Height, blobs.Bytes(c.Pixels), tolerance)
	}
}

func compare(t *testing.T, name string, p *Picture, width, height int, want []byte, tolerance int) {
	t.Helper()
	if p.Width != width || p.Height != height {
		t.Errorf("%s: %dx%d pixels, want %dx%d", name, p.Width, p.Height, width, height)
		return
	}
	greatest, differ := 0, 0
	for i, v := range p.Pix {
		d := max(int(v)-int(want[i]), int(want[i])-int(v))
		greatest = max(greatest, d)
		if d > tolerance {
			differ++
		}
	}
	if differ > 0 {
		t.Errorf("%s: a value differs by %d, at most %d are allowed; %d of %d differ more", name, greatest, tolerance, differ, len(want))
	}
}

// checkTruncated: a JPEG that lacks its end marker only is read, one that lacks
// more where that is allowed.
func checkTruncated(t *testing.T, blobs *oracle.Cases, cases []cv2Case) {
	if _, err := TurboJPEG(); err != nil {
		t.Fatalf("%v; make setup-test installs it", err)
	}
	for _, c := range cases {
		file := blobs.Bytes(c.File)
		p, err := Read(bytes.NewReader(file), Limits{})
		if strings.HasSuffix(c.Name, " 1") || strings.HasSuffix(c.Name, " 2") {
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
			} else {
				compare(t, c.Name, p, c.Width, c.Height, blobs.Bytes(c.Pixels), 0)
			}
		} else if !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v, want %v", c.Name, err, ErrTruncated)
		}
		p, err = Read(bytes.NewReader(file), Limits{AllowTruncated: true})
		if c.Width == 0 {
			if err == nil {
				t.Errorf("%s: read as %dx%d, cv2 refuses it", c.Name, p.Width, p.Height)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, allowed: %v", c.Name, err)
			continue
		}
		compare(t, c.Name, p, c.Width, c.Height, blobs.Bytes(c.Pixels), c.Tolerance)
	}
}
