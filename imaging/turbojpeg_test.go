package imaging

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestTurboJPEGPlaces has a libjpeg-turbo that lies beside the program come
// first, where a link to the program stands elsewhere too, and nothing else that
// has its name.
func TestTurboJPEGPlaces(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	program, link := filepath.Join(folder, "trtdet"), filepath.Join(elsewhere, "trtdet")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{program, link, filepath.Join(folder, "missing")} {
		if got := turboJPEGPlaces(p); !slices.Equal(got, turboJPEGNames) {
			t.Errorf("%s, without a library beside it: %q", p, got)
		}
	}
	beside := filepath.Join(folder, turboJPEGNames[0])
	if err := os.Mkdir(beside, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := turboJPEGPlaces(program); !slices.Equal(got, turboJPEGNames) {
		t.Errorf("a folder of its name: %q", got)
	}
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beside, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{program, link} {
		if got := turboJPEGPlaces(p); len(got) != len(turboJPEGNames)+1 || got[0] != beside {
			t.Errorf("%s: %q, want %s first", p, got, beside)
		}
	}
	if err := os.Chmod(beside, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := turboJPEGPlaces(program); !slices.Equal(got, turboJPEGNames) {
		t.Errorf("one that anybody can write: %q", got)
	}
}
