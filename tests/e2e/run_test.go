package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trtdet/trtdet/tests/await"
)

// heldOut are the pictures that the repository carries for its detector.
func heldOut(t *testing.T) []string {
	t.Helper()
	paths := matching(t, filepath.Join(top, "models", "emoji", "images"), "*.jpg")
	if len(paths) < 4 {
		t.Fatalf("held-out pictures: %d", len(paths))
	}
	return paths
}

// matching are the files of a folder, whatever it is called, whose names match.
func matching(t *testing.T, folder, pattern string) []string {
	t.Helper()
	paths, err := fs.Glob(os.DirFS(folder), pattern)
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		paths[i] = filepath.Join(folder, paths[i])
	}
	return paths
}

// writePNG writes a picture of random-looking colors.
func writePNG(t *testing.T, path string, width, height int) {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 7), uint8(y * 5), uint8(x ^ y), 255})
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
}

func TestRunJSONLines(t *testing.T) {
	pictures := heldOut(t)
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.jpg")
	if err := os.WriteFile(broken, []byte("\xff\xd8\xff\xe0 and nothing more"), 0o644); err != nil {
		t.Fatal(err)
	}
	sources := slices.Concat(pictures[:2], []string{broken, filepath.Join(dir, "missing.png")}, pictures[2:])
	for _, batch := range []string{"1", "3", "64"} {
		o := call(t, dir, "", append([]string{"run", carried(), "--format", "jsonl", "--nosave", "--batch", batch}, sources...)...)
		if o.status != 1 {
			t.Errorf("exit status %d, want 1: two pictures cannot be read", o.status)
		}
		got := lines(t, o.stdout)
		if len(got) != len(sources) {
			t.Fatalf("%d lines for %d pictures", len(got), len(sources))
		}
		found := 0
		for i, l := range got {
			if l.Source != sources[i] {
				t.Errorf("line %d is of %s, want %s", i, l.Source, sources[i])
			}
			if bad := i == 2 || i == 3; bad != (l.Error != "") {
				t.Errorf("%s: error %q", l.Source, l.Error)
			}
			found += len(l.Detections)
			for j, d := range l.Detections {
				b := d.Box
				if b[0] < 0 || b[1] < 0 || b[2] > float64(l.Width) || b[3] > float64(l.Height) || b[0] >= b[2] || b[1] >= b[3] {
					t.Errorf("%s: box %v in a picture of %dx%d", l.Source, b, l.Width, l.Height)
				}
				if d.Score <= 0.5 || d.Score > 1 || (j > 0 && d.Score > l.Detections[j-1].Score) {
					t.Errorf("%s: score %v of detection %d", l.Source, d.Score, j)
				}
			}
		}
		if found < len(pictures) {
			t.Errorf("%d objects in %d pictures", found, len(pictures))
		}
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("--nosave left %q", left)
	}
}

// The detector that the repository carries finds at least 80 % of the objects
// in its held-out pictures.
func TestRunFindsHeldOutObjects(t *testing.T) {
	pictures := heldOut(t)
	o := must(t, "", append([]string{"run", carried(), "--format", "jsonl", "--nosave"}, pictures...)...)
	objects, found := 0, 0
	for _, l := range lines(t, o.stdout) {
		stem := strings.TrimSuffix(filepath.Base(l.Source), ".jpg")
		data, err := os.ReadFile(filepath.Join(top, "models", "emoji", "labels", stem+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.Lines(string(data)) {
			var class int
			var x, y, w, h float64
			if _, err := fmt.Sscan(text, &class, &x, &y, &w, &h); err != nil {
				t.Fatalf("%s: label %q: %v", l.Source, text, err)
			}
			objects++
			width, height := float64(l.Width), float64(l.Height)
			truth := [4]float64{(x - w/2) * width, (y - h/2) * height, (x + w/2) * width, (y + h/2) * height}
			for _, d := range l.Detections {
				if d.ClassID == class && iou(d.Box, truth) >= 0.5 {
					found++
					break
				}
			}
		}
	}
	t.Logf("found %d of %d objects in %d pictures", found, objects, len(pictures))
	if objects < 20 || float64(found) < 0.8*float64(objects) {
		t.Errorf("found %d of %d objects, want at least 80 %% of 20 or more", found, objects)
	}
}

func iou(a, b [4]float64) float64 {
	w := min(a[2], b[2]) - max(a[0], b[0])
	h := min(a[3], b[3]) - max(a[1], b[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	area := func(b [4]float64) float64 { return (b[2] - b[0]) * (b[3] - b[1]) }
	return w * h / (area(a) + area(b) - w*h)
}

func TestRunSaves(t *testing.T) {
	pictures := heldOut(t)[:2]
	stem := func(i int) string { return strings.TrimSuffix(filepath.Base(pictures[i]), ".jpg") }
	for _, c := range []struct {
		flags string
		want  []string // of the files left, those that must be among them
		none  string   // no file may have this in its name
	}{
		{"", []string{"runs/detect/exp/" + stem(0) + ".jpg", "runs/detect/exp/" + stem(1) + ".jpg"}, ".txt"},
		{"--save-txt --nosave", []string{"runs/detect/exp/labels/" + stem(0) + ".txt"}, ".jpg"},
		{"--save-crop --nosave --project out --name it", []string{"out/it/crops/"}, ".txt"},
	} {
		t.Run(c.flags, func(t *testing.T) {
			dir := t.TempDir()
			o := must(t, dir, append(append([]string{"run", carried()}, pictures...), strings.Fields(c.flags)...)...)
			left := names(t, dir)
			for _, want := range c.want {
				if !slices.ContainsFunc(left, func(n string) bool { return strings.HasPrefix(n, want) }) {
					t.Errorf("no %s among %q", want, left)
				}
			}
			for _, name := range left {
				if strings.Contains(name, c.none) {
					t.Errorf("%s should not be there", name)
				}
			}
			if !strings.Contains(o.stdout, "saved to "+filepath.Dir(left[0])) && !strings.Contains(o.stdout, "saved to ") {
				t.Errorf("run does not say where it saved: %s", o.stdout)
			}
		})
	}
}

func TestRunFolderNames(t *testing.T) {
	dir := t.TempDir()
	picture := heldOut(t)[0]
	for _, c := range [][2]string{{"", "exp"}, {"", "exp2"}, {"--exist-ok", "exp"}, {"", "exp3"}} {
		o := must(t, dir, append([]string{"run", carried(), picture}, strings.Fields(c[0])...)...)
		if want := "saved to runs/detect/" + c[1] + "\n"; !strings.Contains(o.stdout, want) {
			t.Errorf("want %q in %s", want, o.stdout)
		}
	}
}

// Pictures of one name in two folders keep their own results.
func TestRunKeepsNamesakesApart(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, f), 0o755); err != nil {
			t.Fatal(err)
		}
		writePNG(t, filepath.Join(dir, f, "same.png"), 40, 30)
	}
	must(t, dir, "run", carried(), "a", "b", "--name", "x")
	if got := names(t, filepath.Join(dir, "runs")); strings.Join(got, " ") != "detect/x/same-2.png detect/x/same.png" {
		t.Errorf("got %q", got)
	}
}

func TestRunFormats(t *testing.T) {
	pictures := heldOut(t)
	args := append([]string{"run", carried(), "--nosave"}, pictures...)
	want := lines(t, must(t, "", append(args, "--format", "jsonl")...).stdout)
	objects := 0
	for _, l := range want {
		objects += len(l.Detections)
	}
	t.Run("coco", func(t *testing.T) {
		var got []struct {
			ImageID    any `json:"image_id"`
			CategoryID int `json:"category_id"`
			BBox       [4]float64
			Score      float64
		}
		if err := json.Unmarshal([]byte(must(t, "", append(args, "--format", "coco")...).stdout), &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != objects {
			t.Errorf("%d detections, want %d", len(got), objects)
		}
		if b := want[0].Detections[0].Box; got[0].BBox[0] != b[0] || got[0].BBox[2]-(b[2]-b[0]) > 1e-3 {
			t.Errorf("box %v, want %v", got[0].BBox, b)
		}
	})
	t.Run("csv", func(t *testing.T) {
		rows, err := csv.NewReader(strings.NewReader(must(t, "", append(args, "--format", "csv")...).stdout)).ReadAll()
		if err != nil || len(rows) != objects+1 || rows[1][2] != want[0].Detections[0].Class {
			t.Errorf("%d rows, want %d, %v", len(rows), objects+1, err)
		}
	})
	t.Run("table", func(t *testing.T) {
		out := must(t, "", args...).stdout
		if got := strings.Count(out, "\n"); got < objects || !strings.Contains(out, want[0].Detections[0].Class) ||
			!strings.Contains(out, fmt.Sprintf("%d objects in %d pictures", objects, len(pictures))) {
			t.Errorf("table:\n%s", out)
		}
	})
}

func TestRunSelects(t *testing.T) {
	picture := heldOut(t)
	run := func(flags ...string) []line {
		return lines(t, must(t, "", slices.Concat([]string{"run", carried(), "--format", "jsonl", "--nosave"}, flags, picture)...).stdout)
	}
	count := func(ls []line) (n int) {
		for _, l := range ls {
			n += len(l.Detections)
		}
		return n
	}
	all := run()
	class := all[0].Detections[0].ClassID
	for _, l := range run("--classes", fmt.Sprintf("%d,7", class)) {
		for _, d := range l.Detections {
			if d.ClassID != class && d.ClassID != 7 {
				t.Errorf("class %d in spite of --classes", d.ClassID)
			}
		}
	}
	name := all[0].Detections[0].Class
	kept := 0
	for _, l := range run("--classes", strings.ToUpper(name)+",7") {
		for _, d := range l.Detections {
			kept++
			if d.Class != name && d.ClassID != 7 {
				t.Errorf("class %s in spite of --classes %s,7", d.Class, name)
			}
		}
	}
	if kept == 0 || kept == count(all) {
		t.Errorf("%d objects of %d with --classes %s,7", kept, count(all), name)
	}
	for _, l := range run("--max-det", "1") {
		if len(l.Detections) > 1 {
			t.Errorf("%d detections in spite of --max-det 1", len(l.Detections))
		}
	}
	if few, many := count(run("--conf-thres", "0.9")), count(run("--conf-thres", "0.05")); few >= count(all) || many <= count(all) {
		t.Errorf("%d objects above 0.9, %d above 0.5, %d above 0.05", few, count(all), many)
	}
	if loose, strict := count(run("--conf-thres", "0.05", "--iou-thres", "0.9")), count(run("--conf-thres", "0.05", "--iou-thres", "0.1")); loose <= strict {
		t.Errorf("%d objects with IoU 0.9, %d with 0.1", loose, strict)
	}
	fails(t, "", 1, []string{"--classes: class 99", "0 to 11: dog, cat, car, "}, "run", carried(), picture[0], "--classes", "99")
	fails(t, "", 1, []string{"class umbrela does", "teddy bear; did you mean umbrella?"}, "run", carried(), picture[0], "--classes", "umbrela,0")
}

// The table is for people: bounded where they read it, with whole paths off the
// terminal. A file has all of it. The last line has the threshold that applied.
func TestRunTable(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, strings.Repeat("a-long-name", 4))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(folder, "noise.png")
	writePNG(t, source, 640, 480)
	args := []string{"run", carried(), source, "--nosave", "--conf-thres", "0.00001", "--iou-thres", "1", "--max-det", "200"}
	o := must(t, dir, args...)
	if lines := strings.Count(o.stdout, "\n"); lines > 40 || !strings.Contains(o.stdout, "\n"+source+"  ") ||
		!strings.Contains(o.stdout, "and 175 more\n") || !strings.Contains(o.stdout, "175 more objects left out of this table: --all-rows shows all\n") {
		t.Errorf("%d lines:\n%s", lines, o.stdout)
	}
	if strings.Contains(o.stdout, "conf ") {
		t.Errorf("the user's own threshold is explained:\n%s", o.stdout)
	}
	if o := must(t, dir, append(args, "--all-rows")...); strings.Count(o.stdout, "\n") < 200 || strings.Contains(o.stdout, "more") {
		t.Errorf("--all-rows:\n%s", o.stdout)
	}
	file, err := os.Create(filepath.Join(dir, "table.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := exec.Command(trtdet, args...)
	c.Stdout = file
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil || strings.Count(string(text), "\n") < 200 || !strings.Contains(string(text), source) || strings.Contains(string(text), "more") {
		t.Errorf("a file has %d lines, %v", strings.Count(string(text), "\n"), err)
	}
	if o := must(t, "", "run", carried(), heldOut(t)[0], "--nosave"); !strings.HasSuffix(o.stdout,
		"in 1 picture\nconf 0.5, the article's default for decoupled-base heads; --conf-thres changes it\n") {
		t.Errorf("no threshold on the last line:\n%s", o.stdout)
	}
}

// A list on standard input, as find writes it, is answered as it comes in.
func TestRunReadsAList(t *testing.T) {
	pictures := heldOut(t)[:2]
	c := exec.Command(trtdet, "run", carried(), "-", "--format", "jsonl", "--nosave", "--batch", "8")
	c.Dir = t.TempDir()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(await.Limit, func() { c.Process.Kill() })
	defer timer.Stop()
	d := json.NewDecoder(out)
	for _, p := range pictures {
		fmt.Fprintln(in, p)
		var l line
		if err := d.Decode(&l); err != nil || l.Source != p {
			t.Fatalf("got %q, %v, want %q", l.Source, err, p)
		}
	}
	in.Close()
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than was asked for: %v", err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// A run that would never end by itself, for its list goes on, ends at Ctrl+C.
func TestRunIsInterrupted(t *testing.T) {
	for _, flags := range []string{"--format jsonl", "--format csv --save-txt --save-crop", "--format table --nosave"} {
		t.Run(flags, func(t *testing.T) {
			dir := t.TempDir()
			writePNG(t, filepath.Join(dir, "a.png"), 400, 300)
			args := append([]string{"run", carried(), "-", "--imgsz", "64"}, strings.Fields(flags)...)
			p := newProcess(dir, exec.Command(trtdet, args...))
			p.Stdin = endless("a.png\n")
			p.start(t)
			p.until(t, "results come", func() bool { return strings.Count(p.stdout.String(), "\n") > 2 })
			p.signal(t, syscall.SIGINT)
			o := p.end(t)
			if o.status != 130 || o.stderr != "trtdet: interrupted\n" {
				t.Errorf("exit status %d: %s", o.status, o.stderr)
			}
			if !strings.HasSuffix(o.stdout, "\n") {
				t.Errorf("standard output ends within a line, after %d bytes", len(o.stdout))
			}
			noPieces(t, dir)
		})
	}
}

// endless is a text over and over.
type endless string

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// Ten times the pictures take no more memory.
func TestRunMemoryDoesNotGrow(t *testing.T) {
	dir := t.TempDir()
	writePNG(t, filepath.Join(dir, "a.png"), 800, 600)
	peak := func(pictures int) int64 {
		c := exec.Command(trtdet, "run", carried(), "-", "--format", "jsonl", "--nosave", "--imgsz", "160", "--batch", "4")
		c.Dir = dir
		c.Stdin = strings.NewReader(strings.Repeat("a.png\n", pictures))
		out, err := c.Output()
		if err != nil || strings.Count(string(out), "\n") != pictures {
			t.Fatalf("%d lines for %d pictures, %v", strings.Count(string(out), "\n"), pictures, err)
		}
		return c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss / 1024
	}
	few, many := peak(40), peak(400)
	t.Logf("%d MiB for 40 pictures, %d MiB for 400", few, many)
	if many > few+few/4+16 {
		t.Errorf("%d MiB for 400 pictures, %d MiB for 40", many, few)
	}
}

// The words of a terminal: a bar that goes away, and results that stay whole.
func TestRunOnATerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Fatalf("script (Debian's bsdutils) gives the test a terminal: %v", err)
	}
	dir := t.TempDir()
	command := strings.Join(append([]string{trtdet, "run", carried(), "--nosave"}, heldOut(t)...), " ")
	c := exec.Command("script", "-qec", command, "/dev/null")
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := string(out); !strings.Contains(text, "pictures") || !strings.Contains(text, "/8") || !strings.Contains(text, "objects in 8 pictures") {
		t.Errorf("no bar on a terminal: %q", text)
	}
}

// Nothing is left in a user's home, and so nothing is sent from there: ONNX
// Runtime's telemetry is off.
func TestRunKeepsToItself(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", "")
	must(t, "", "run", carried(), heldOut(t)[0], "--nosave")
	must(t, "", "info")
	if left := names(t, home); len(left) > 0 {
		t.Errorf("files in the home folder: %q", left)
	}
}
