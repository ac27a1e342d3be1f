package e2e

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// claimingPNG is a PNG whose header claims a size that its data does not have.
func claimingPNG(width, height uint32) []byte {
	header := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	header = append(binary.BigEndian.AppendUint32(header, height), 8, 2, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\r"), header...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(header))
}

// claimingJPEG is a JPEG with another size written into its frame header.
func claimingJPEG(t *testing.T, whole []byte, width, height uint16) []byte {
	t.Helper()
	b := bytes.Clone(whole)
	frame := bytes.Index(b, []byte("\xff\xc0"))
	if frame < 0 {
		frame = bytes.Index(b, []byte("\xff\xc2"))
	}
	if frame < 0 {
		t.Fatal("the JPEG has no frame header")
	}
	binary.BigEndian.PutUint16(b[frame+5:], height)
	binary.BigEndian.PutUint16(b[frame+7:], width)
	return b
}

// Pictures that are none, or not whole, or claim too much: each is named with
// the way out, the others of the run are done, and nothing half is saved.
func TestBadPictures(t *testing.T) {
	dir := t.TempDir()
	good := heldOut(t)[0]
	jpeg, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	u32 := func(v uint32) string { return string(binary.LittleEndian.AppendUint32(nil, v)) }
	cases := []struct {
		name    string
		content string
		words   []string
	}{
		{"claim.png", string(claimingPNG(60000, 60000)), []string{"over the limit", "60000x60000", "scale it down"}},
		{"claim.jpg", string(claimingJPEG(t, jpeg, 60000, 60000)), []string{"over the limit", "60000x60000", "scale it down"}},
		{"claim.bmp", "BM" + u32(54) + u32(0) + u32(54) + u32(40) + u32(60000) + u32(60000) + "\x01\x00\x18\x00" + strings.Repeat("\x00", 24),
			[]string{"over the limit", "60000x60000", "scale it down"}},
		{"claim.webp", "RIFF" + u32(18) + "WEBPVP8L" + u32(5) + "\x2f" + u32(16383|16383<<14) + "\x00", []string{"over the limit", "16384x16384"}},
		{"nodata.png", string(claimingPNG(14000, 14000)), []string{"cut short", "again"}},
		{"half.jpg", string(jpeg[:len(jpeg)/2]), []string{"cut short", "again"}},
		{"head.jpg", string(jpeg[:20]), []string{"cut short", "again"}},
		{"gif.png", "GIF89a" + strings.Repeat("\x00", 30), []string{"gif", "again"}},
		{"moving.webp", "RIFF" + u32(22) + "WEBPVP8X" + u32(10) + "\x02\x00\x00\x00\x09\x00\x00\x09\x00\x00", []string{"cut short", "again"}},
		{"avif.jpg", "\x00\x00\x00\x20ftypavif" + strings.Repeat("\x00", 30), []string{"AVIF", "magick in.avif out.png"}},
		{"empty.jpg", "", []string{"empty"}},
		{"zeros.jpg", strings.Repeat("\x00", 4096), []string{"zeros"}},
		{"text.jpg", "hello", []string{"convert it to"}},
		{"lfs.jpg", "version https://git-lfs.github.com/spec/v1\n", []string{"Git LFS pointer"}},
	}
	sources := []string{good}
	for _, c := range cases {
		if err := os.WriteFile(filepath.Join(dir, c.name), []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		sources = append(sources, c.name)
	}
	sources = append(sources, good)
	o := call(t, dir, "", append([]string{"run", carried(), "--format", "jsonl", "--batch", "4"}, sources...)...)
	got := lines(t, o.stdout)
	if o.status != 1 || len(got) != len(sources) {
		t.Fatalf("exit status %d, %d lines for %d sources\n%s", o.status, len(got), len(sources), o.stderr)
	}
	for i, c := range cases {
		for _, word := range append(c.words, c.name) {
			if !strings.Contains(got[i+1].Error, word) {
				t.Errorf("%s: the error does not say %q: %s", c.name, word, got[i+1].Error)
			}
		}
	}
	for _, i := range []int{0, len(got) - 1} {
		if got[i].Error != "" || len(got[i].Detections) == 0 {
			t.Errorf("a sound picture among them: %+v", got[i])
		}
	}
	if saved := names(t, filepath.Join(dir, "runs")); len(saved) != 2 {
		t.Errorf("saved %q, want the two sound pictures", saved)
	}
}

// A JPEG that lacks its end marker is read. One that lacks more is an error,
// unless --allow-truncated says otherwise, in each command that reads images.
func TestTruncatedJPEG(t *testing.T) {
	dir := t.TempDir()
	jpeg, err := os.ReadFile(heldOut(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"images/whole.jpg": jpeg, "images/endless.jpg": jpeg[:len(jpeg)-2], "images/half.jpg": jpeg[:len(jpeg)/2],
		"data.yaml": []byte("path: .\nval: images\nnames: [dog, cat, car, bicycle, airplane, sailboat, banana, apple, pizza, " +
			"soccer ball, umbrella, teddy bear]\n"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const allow = "--allow-truncated"
	refused := func(word string, args ...string) {
		t.Helper()
		o := call(t, dir, "", args...)
		if o.status != 1 || !strings.Contains(o.stderr, "half.jpg") || !strings.Contains(o.stderr, word) {
			t.Errorf("trtdet %s: exit status %d: %s", strings.Join(args, " "), o.status, o.stderr)
		}
	}
	for _, decoder := range []string{"", "none"} {
		if decoder != "" {
			t.Setenv("TRTDET_TURBOJPEG", decoder)
		}
		got := lines(t, must(t, dir, "run", carried(), "images/whole.jpg", "images/endless.jpg", "--nosave", "--format", "jsonl").stdout)
		if len(got[0].Detections) == 0 || !reflect.DeepEqual(got[0].Detections, got[1].Detections) {
			t.Errorf("without its end marker: %+v, want %+v", got[1].Detections, got[0].Detections)
		}
		refused("cut short", "run", carried(), "images/half.jpg", "--nosave")
	}
	refused("install libjpeg-turbo", "run", carried(), "images/half.jpg", "--nosave", allow)
	t.Setenv("TRTDET_TURBOJPEG", "")
	for _, args := range [][]string{
		{"run", carried(), "images/half.jpg", "--nosave"},
		{"eval", carried(), "--data", "data.yaml"},
		{"bench", carried(), "--pictures", "images", "--imgsz", "64", "--duration", "1ms", "--warmup", "0s"},
		{"bench", carried(), "--pictures", "images", "--imgsz", "64", "--duration", "1ms", "--warmup", "0s", "--encoded"},
	} {
		refused("cut short", args...)
		must(t, dir, append(args, allow)...)
	}
}

// Places that are no picture files.
func TestPicturesThatAreNoFiles(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "folder.jpg"), 0o755),
		os.Symlink("loop.jpg", filepath.Join(dir, "loop.jpg")),
		os.Symlink("nowhere", filepath.Join(dir, "gone.jpg")),
		syscall.Mkfifo(filepath.Join(dir, "pipe.jpg"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for source, words := range map[string][]string{
		"folder.jpg": {"no pictures", "known are"},
		"loop.jpg":   {"symbolic links"},
		"gone.jpg":   {"no such file"},
		"pipe.jpg":   {"empty"}, // nobody writes to it
		"/dev/null":  {"empty"},
		"no*.jpg":    {"no pictures", "pattern"},
		"[.jpg":      {"[.jpg"},
	} {
		o := call(t, dir, "", "run", carried(), source, "--nosave", "--format", "csv")
		first, rest, _ := strings.Cut(o.stderr, "\n")
		if o.status != 1 || rest != "trtdet: 1 source could not be read or saved\n" {
			t.Errorf("%s: exit status %d: %s", source, o.status, o.stderr)
		}
		for _, word := range append(words, source) {
			if !strings.Contains(first, word) {
				t.Errorf("%s: the error does not say %q: %s", source, word, first)
			}
		}
	}
}

// A file that vanishes, or changes, between being listed and being read is one
// error; the rest of the run goes on.
func TestPicturesThatVanish(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(heldOut(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	const many = 60
	var listed []string
	for i := range many {
		name := "p" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + ".jpg"
		listed = append(listed, filepath.Join("in", name))
	}
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range listed {
		if err := os.WriteFile(filepath.Join(dir, name), whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// it gets no further than its standard output takes
	reader, writer := narrow(t)
	p := newProcess(dir, exec.Command(trtdet, "run", carried(), "in", "--format", "jsonl", "--nosave", "--threads", "1",
		"--imgsz", "320"))
	p.Stdout = writer
	p.start(t)
	writer.Close()
	first := firstLine(t, reader)
	// the folder has been listed, and only a few pictures are read ahead
	for i, name := range slices.Backward(listed) {
		if path := filepath.Join(dir, name); i >= many/2 && i%2 == 0 {
			err = os.Remove(path)
		} else if i >= many/2 {
			err = os.Truncate(path, int64(len(whole)/3))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	o := p.end(t)
	got := lines(t, first+string(rest))
	if len(got) != many {
		t.Fatalf("%d lines for %d pictures", len(got), many)
	}
	failed := 0
	for i, l := range got {
		if l.Source != listed[i] {
			t.Errorf("line %d is of %s, want %s", i, l.Source, listed[i])
		}
		if l.Error != "" {
			failed++
			if !strings.Contains(l.Error, "no such file") && !strings.Contains(l.Error, "cut short") {
				t.Errorf("%s: %s", l.Source, l.Error)
			}
		}
	}
	if failed == 0 || o.status != 1 {
		t.Errorf("exit status %d with %d pictures lost", o.status, failed)
	}
}
