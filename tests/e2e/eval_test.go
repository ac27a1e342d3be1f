package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/trtdet/trtdet/eval"
	"github.com/trtdet/trtdet/tests/oracle"
)

const emoji = "models/emoji"

// measurement is what the tests look at of `eval --format json`.
type measurement struct {
	Device  string
	Overall eval.Scores
	Classes []eval.ClassScores
	Sweep   []eval.AtConf      `json:"conf_sweep"`
	Best    eval.BestF1        `json:"best_f1"`
	MS      map[string]float64 `json:"milliseconds"`

	Settings struct {
		Batch, Slots, Threads int
		Preprocess            eval.Preprocess
		Reason                string `json:"preprocess_reason"`
	}

	Problems []eval.ProblemCount
}

func measure(t *testing.T, dir string, args ...string) measurement {
	t.Helper()
	o := must(t, dir, append([]string{"eval", "--format", "json"}, args...)...)
	var m measurement
	if err := json.Unmarshal([]byte(o.stdout), &m); err != nil {
		t.Fatalf("%v\n%s", err, o.stdout)
	}
	return m
}

// asCOCO writes the carried pictures' labels as COCO's instances.json.
func asCOCO(t *testing.T, path string) {
	t.Helper()
	data, err := eval.LoadYOLO(filepath.Join(top, emoji, "data.yaml"), "val", 12)
	if err != nil {
		t.Fatal(err)
	}
	var images, annotations, categories []map[string]any
	for i := range data.Pictures {
		p := &data.Pictures[i]
		shown := lines(t, must(t, "", "run", filepath.Join(top, emoji, "decoupled-base.onnx"), p.Path, "--nosave", "--format", "jsonl").stdout)[0]
		p.SetSize(shown.Width, shown.Height)
		images = append(images, map[string]any{"id": 100 - i, "file_name": filepath.Base(p.Path), "width": p.Width, "height": p.Height})
		for _, o := range p.Objects {
			annotations = append(annotations, map[string]any{
				"id": len(annotations) + 1, "image_id": 100 - i, "category_id": 2*o.Class + 5, "bbox": o.Box, "area": o.Area, "iscrowd": 0,
			})
		}
	}
	for c, name := range data.Names {
		categories = append(categories, map[string]any{"id": 2*c + 5, "name": name})
	}
	b, err := json.Marshal(map[string]any{"images": images, "annotations": annotations, "categories": categories})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The same dataset in both formats gives the same figures, and they are
// pycocotools' of the detections that were saved.
func TestEval(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(top, emoji, "decoupled-base.onnx")
	instances, found := filepath.Join(dir, "instances.json"), filepath.Join(dir, "found.json")
	asCOCO(t, instances)
	yolo := measure(t, dir, model, "--data", filepath.Join(top, emoji, "data.yaml"), "--conf-sweep", "0.25,0.4,0.5", "--batch", "3")
	coco := measure(t, dir, model, "--images", filepath.Join(top, emoji, "images"), "--annotations", instances, "--save-json", found)

	if yolo.Overall.Pictures != 8 || yolo.Overall.Objects != 53 || len(yolo.Classes) != 12 || len(yolo.Problems) != 0 {
		t.Errorf("%+v", yolo.Overall)
	}
	if !(yolo.Overall.MAP50 > 0.95) || !(yolo.Overall.MAP5095 > 0.5) || !(yolo.Overall.YOLOv5.MAP50 > 0.95) {
		t.Errorf("the carried model should do better: %+v", yolo.Overall)
	}
	if len(yolo.Sweep) != 3 || yolo.Sweep[0].Recall < yolo.Sweep[2].Recall || yolo.Sweep[0].Precision > yolo.Sweep[2].Precision {
		t.Errorf("conf sweep %+v", yolo.Sweep)
	}
	if yolo.Device != "cpu" || !(yolo.MS["network"] > 0) || !(yolo.MS["read"] > 0) || !(yolo.MS["nms"] > 0) {
		t.Errorf("device %q, times %v", yolo.Device, yolo.MS)
	}
	if yolo.Settings.Batch != 3 || yolo.Settings.Slots < 1 || yolo.Settings.Threads < 1 {
		t.Errorf("settings %+v", yolo.Settings)
	}
	for i, c := range coco.Classes {
		same(t, c.Class, c.Scores, yolo.Classes[i].Scores)
	}
	same(t, "all", coco.Overall, yolo.Overall)

	var want struct {
		Overall []eval.Figure
		Classes map[int][]eval.Figure
	}
	if err := json.Unmarshal(oracle.Run(t, oracle.Venv, "coco_eval.py", instances, found), &want); err != nil {
		t.Fatal(err)
	}
	check := func(what string, c eval.COCO, want []eval.Figure) {
		for i, f := range []eval.Figure{c.MAP5095, c.MAP50, c.MAP75, c.Small, c.Medium, c.Large, c.AR1, c.AR10, c.AR100, c.ARSmall, c.ARMedium, c.ARLarge} {
			if !sameFigure(f, want[i], 1e-6) {
				t.Errorf("%s: figure %d is %v, pycocotools' %v", what, i, f, want[i])
			}
		}
	}
	check("all", coco.Overall.COCO, want.Overall)
	for _, c := range coco.Classes {
		check(c.Class, c.COCO, want.Classes[2*c.ClassID+5])
	}
}

func same(t *testing.T, what string, a, b eval.Scores) {
	t.Helper()
	if a.Pictures != b.Pictures || a.Objects != b.Objects {
		t.Errorf("%s: COCO's format has %d pictures and %d objects, YOLOv5's %d and %d", what, a.Pictures, a.Objects, b.Pictures, b.Objects)
	}
	for i, pairs := 0, [][2]any{{a.COCO, b.COCO}, {a.YOLOv5, b.YOLOv5}}; i < len(pairs); i++ {
		one, other := reflect.ValueOf(pairs[i][0]), reflect.ValueOf(pairs[i][1])
		for k := range one.NumField() {
			x, y := one.Field(k).Interface().(eval.Figure), other.Field(k).Interface().(eval.Figure)
			if !sameFigure(x, y, 1e-9) {
				t.Errorf("%s: %s is %v by COCO's format, %v by YOLOv5's", what, one.Type().Field(k).Name, x, y)
			}
		}
	}
}

func sameFigure(a, b eval.Figure, tolerance float64) bool {
	return math.IsNaN(float64(a)) && math.IsNaN(float64(b)) || math.Abs(float64(a-b)) <= tolerance
}

func TestEvalFormatsAndPlots(t *testing.T) {
	dir := t.TempDir()
	args := []string{"eval", filepath.Join(top, emoji, "decoupled-base.onnx"), "--data", filepath.Join(top, emoji, "data.yaml"), "--imgsz", "320"}
	o := must(t, dir, append(args, "--plots", "--conf-sweep", "0.5")...)
	for _, word := range []string{"mAP50-95", "teddy bear", "best F1", "ms to read", "pycocotools"} {
		if !strings.Contains(o.stdout, word) {
			t.Errorf("the table does not say %q:\n%s", word, o.stdout)
		}
	}
	if !strings.Contains(o.stderr, "plots saved to runs/val/exp") {
		t.Errorf("standard error: %s", o.stderr)
	}
	for _, name := range []string{"PR_curve.png", "P_curve.png", "R_curve.png", "F1_curve.png", "confusion_matrix.png"} {
		f, err := os.Open(filepath.Join(dir, "runs/val/exp", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if picture, err := png.Decode(f); err != nil || picture.Bounds().Dx() < 600 {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
	csv := strings.Split(strings.TrimSpace(must(t, dir, append(args, "--format", "csv")...).stdout), "\n")
	if len(csv) != 14 || !strings.HasPrefix(csv[0], "class_id,class,pictures,objects,map50,") || !strings.HasPrefix(csv[1], ",all,8,53,") {
		t.Errorf("csv:\n%s", strings.Join(csv, "\n"))
	}
	if md := must(t, dir, append(args, "--format", "md")...).stdout; !strings.HasPrefix(md, "| class | pictures |") || !strings.Contains(md, "| dog | 3 | 3 |") {
		t.Errorf("markdown:\n%s", md)
	}
	if left := names(t, dir); len(left) != 5 {
		t.Errorf("files left: %v", left)
	}
}

// single-label is what run detects: one class a box.
func TestEvalSingleLabel(t *testing.T) {
	dir := t.TempDir()
	args := []string{filepath.Join(top, emoji, "decoupled-base.onnx"), "--data", filepath.Join(top, emoji, "data.yaml"), "--imgsz", "320", "--save-json"}
	count := func(path string) int {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "image_id")
	}
	measure(t, dir, append(args, filepath.Join(dir, "multi.json"))...)
	measure(t, dir, append(args, filepath.Join(dir, "single.json"), "--single-label")...)
	multi, single := count(filepath.Join(dir, "multi.json")), count(filepath.Join(dir, "single.json"))
	if multi <= single || single < 53 {
		t.Errorf("%d detections with every label, %d with the best", multi, single)
	}
}

// A dataset with everything wrong: named and counted, measured without what is
// wrong, refused with --strict.
func TestEvalProblems(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(top, emoji, "decoupled-base.onnx")
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"room.jpg", "stream.jpg"} {
		b, err := os.ReadFile(filepath.Join(top, emoji, "images", name))
		if err != nil {
			t.Fatal(err)
		}
		write("images/"+strconv.Itoa(i)+".jpg", string(b))
	}
	write("data.yaml", "val: images\nnames: [a, b, c, d, e, f, g, h, i, j, k, l]\n")
	write("labels/0.txt", "0 0.5 0.5 0.2 0.2\n12 0.5 0.5 0.1 0.1\n0 0.5 nan 0.1 0.1\n")
	write("labels/stray.txt", "")
	write("images/broken.jpg", "not a picture")
	write("labels/broken.txt", "0 0.5 0.5 0.2 0.2\n")

	o := call(t, dir, "", "eval", model, "--data", "data.yaml", "--imgsz", "320", "--format", "json")
	if o.status != 1 {
		t.Errorf("exit status %d, want 1: a picture could not be read\n%s", o.status, o.stderr)
	}
	var m measurement
	if err := json.Unmarshal([]byte(o.stdout), &m); err != nil {
		t.Fatal(err)
	}
	if m.Overall.Pictures != 2 || m.Overall.Objects != 1 {
		t.Errorf("%d pictures, %d objects", m.Overall.Pictures, m.Overall.Objects)
	}
	var kinds []string
	for _, p := range m.Problems {
		kinds = append(kinds, fmt.Sprintf("%d %s", p.Count, p.Kind))
	}
	want := "1 class out of range, 1 label without picture, 1 not a finite number, 1 picture without label, 1 unreadable picture"
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("problems: %s\nwant %s", got, want)
	}
	for _, word := range []string{"labels/0.txt, line 2: class out of range: class 12, there are 0 to 11", "broken.jpg"} {
		if !strings.Contains(o.stderr, word) {
			t.Errorf("standard error does not say %q:\n%s", word, o.stderr)
		}
	}
	if o := call(t, dir, "", "eval", model, "--data", "data.yaml", "--imgsz", "320", "--strict"); o.status != 1 || o.stdout != "" ||
		!strings.Contains(o.stderr, "--strict: the dataset has 4 problems") {
		t.Errorf("--strict: exit status %d\n%s\n%s", o.status, o.stdout, o.stderr)
	}
}

// A file that cannot be saved does not cost the figures, nor the other files.
func TestEvalSavesWhatItCan(t *testing.T) {
	dir := t.TempDir()
	args := []string{"eval", filepath.Join(top, emoji, "decoupled-base.onnx"), "--data", filepath.Join(top, emoji, "data.yaml"), "--imgsz", "64",
		"--threads", "1", "--slots", "1"}
	o := call(t, dir, "", append(args, "--save-json", "/dev/full", "--plots", "--project", "new/plots")...)
	if o.status != 1 || !strings.Contains(o.stdout, "best F1") || !strings.Contains(o.stdout, "batch 1, slots 1, threads 1") ||
		!strings.Contains(o.stderr, "--save-json: /dev/full: no space left") || !strings.Contains(o.stderr, "plots saved to new/plots/exp") {
		t.Errorf("exit status %d\n%s\n%s", o.status, o.stdout, o.stderr)
	}
	if left := names(t, dir); len(left) != 5 {
		t.Errorf("files left: %v", left)
	}
}

// A pipe that nobody reads holds the end up no longer than Ctrl+C: one that
// nobody has opened, and one whose reader does not read.
func TestEvalIntoAPipe(t *testing.T) {
	for _, opened := range []bool{false, true} {
		t.Run(fmt.Sprint("opened ", opened), func(t *testing.T) {
			dir := t.TempDir()
			pipe := filepath.Join(dir, "pipe")
			if err := syscall.Mkfifo(pipe, 0o644); err != nil {
				t.Fatal(err)
			}
			unread := func() int { return 0 }
			if opened {
				reader, err := unix.Open(pipe, unix.O_RDONLY|unix.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(reader)
				if _, err := unix.FcntlInt(uintptr(reader), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
					t.Fatal(err)
				}
				unread = func() int {
					n, err := unix.IoctlGetInt(reader, unix.TIOCINQ)
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
			p := begin(t, dir, "eval", carried(), "--data", filepath.Join(top, emoji, "data.yaml"), "--imgsz", "64",
				"--save-json", "pipe")
			p.until(t, "the figures are out", func() bool { return strings.Contains(p.stdout.String(), "A picture took") })
			if opened {
				p.until(t, "the pipe is full", func() bool { return unread() == os.Getpagesize() })
			}
			p.signal(t, syscall.SIGINT)
			if o := p.end(t); o.status != 130 || !strings.HasPrefix(o.stderr, "trtdet: interrupted") {
				t.Errorf("exit status %d: %s", o.status, o.stderr)
			}
		})
	}
}

// Pictures that COCO results cannot tell apart are said before the figures of
// the file surprise.
func TestEvalSharedIDs(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(top, emoji, "images", "room.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"images/a/1.jpg", "images/b/1.jpg"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o777), os.WriteFile(filepath.Join(dir, name), b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "data.yaml"), []byte("val: images\nnames: [a, b, c, d, e, f, g, h, i, j, k, l]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"eval", filepath.Join(top, emoji, "decoupled-base.onnx"), "--data", "data.yaml", "--imgsz", "64"}
	if o := must(t, dir, append(args, "--save-json", "x.json")...); !strings.Contains(o.stderr, "1 picture") ||
		!strings.Contains(o.stderr, "images/a/1.jpg and images/b/1.jpg") {
		t.Errorf("standard error: %s", o.stderr)
	}
	if o := must(t, dir, args...); strings.Contains(o.stderr, "image_id") {
		t.Errorf("standard error without --save-json: %s", o.stderr)
	}
}

// The figures are those that YOLOv5's own val.py gives the same network on the
// same images. Where it takes boxes back by the height's gain alone, a box at the
// right edge can be on the other side of an IoU; with each axis's own gain the
// figures are equal.
func TestEvalAsValPy(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "emoji"), os.DirFS(filepath.Join(top, emoji))); err != nil { // val.py writes a cache beside the labels
		t.Fatal(err)
	}
	var info struct{ Head json.RawMessage }
	if err := json.Unmarshal([]byte(must(t, "", "info", carried(), "--format", "json").stdout), &info); err != nil {
		t.Fatal(err)
	}
	head := filepath.Join(dir, "head.json")
	if err := os.WriteFile(head, info.Head, 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "emoji", "data.yaml")
	sizes := []string{"320", "416"}
	var want map[string]struct{ Own, Axes []eval.Figure }
	out := oracle.Run(t, oracle.YOLOv5, "val_run.py", carried(), data, head, strings.Join(sizes, ","))
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, size := range sizes {
		m := measure(t, "", carried(), "--data", data, "--imgsz", size, "--preprocess", "val")
		s := m.Overall.YOLOv5
		for i, got := range []eval.Figure{s.Precision, s.Recall, s.MAP50, s.MAP5095} {
			if own, axes := want[size].Own[i], want[size].Axes[i]; !sameFigure(got, axes, 1e-6) || !sameFigure(got, own, 0.002) {
				t.Errorf("%s: figure %d is %v, val.py's %v, by each axis's gain %v", size, i, got, own, axes)
			}
		}
		if m.Settings.Preprocess != eval.PreprocessVal || m.Settings.Reason != "--preprocess" {
			t.Errorf("settings %+v", m.Settings)
		}
		if other := measure(t, "", carried(), "--data", data, "--imgsz", size, "--preprocess", "detect").Overall.YOLOv5; !(s.MAP5095 > other.MAP5095+0.01) {
			t.Errorf("%s: mAP50-95 is %v by val, %v by detect: the carried net has shown a point between them", size, s.MAP5095, other.MAP5095)
		}
	}
}

// The output says how images were resized and who said so; what val.py has no
// resize for is measured as it is run.
func TestEvalSaysHowImagesWereResized(t *testing.T) {
	data := []string{"--data", filepath.Join(top, emoji, "data.yaml"), "--imgsz", "64"}
	heads := filepath.Join(top, "models", "heads")
	yolox := []string{filepath.Join(heads, "yolox.onnx"), "--data", filepath.Join(heads, "data.yaml"), "--split", "test", "--imgsz", "64"}
	for _, c := range []struct {
		args []string
		p    eval.Preprocess
		why  string
	}{
		{append([]string{carried()}, data...), eval.PreprocessVal, "the default for the yolov5 family"},
		{append([]string{carried(), "--preprocess", "detect"}, data...), eval.PreprocessDetect, "--preprocess"},
		{yolox, eval.PreprocessDetect, "the default for the yolox family"},
		{append([]string{"--preprocess", "detect"}, yolox...), eval.PreprocessDetect, "--preprocess"},
	} {
		if s := measure(t, "", c.args...).Settings; s.Preprocess != c.p || s.Reason != c.why {
			t.Errorf("%v: %+v", c.args, s)
		}
	}
	line := "Images were resized as YOLOv5's val.py resizes, which is not how trtdet run does (preprocess val: the default for the yolov5 family)."
	for _, format := range []string{"table", "md"} {
		if o := must(t, "", append([]string{"eval", carried(), "--format", format}, data...)...); !strings.Contains(o.stdout, line) {
			t.Errorf("%s:\n%s", format, o.stdout)
		}
	}
	line = "Images were resized as trtdet run resizes (preprocess detect: --preprocess)."
	if o := must(t, "", append([]string{"eval", carried(), "--preprocess", "detect"}, data...)...); !strings.Contains(o.stdout, line) {
		t.Errorf("%s", o.stdout)
	}
	fails(t, "", 2, []string{"--preprocess val", "yolox.onnx is of the yolox family", "--preprocess detect"}, append([]string{"eval", "--preprocess", "val"}, yolox...)...)
	fails(t, "", 2, []string{"--preprocess train", "want val or detect"}, append([]string{"eval", carried(), "--preprocess", "train"}, data...)...)
}

func TestEvalFails(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(top, emoji, "decoupled-base.onnx")
	data := filepath.Join(top, emoji, "data.yaml")
	if err := os.WriteFile(filepath.Join(dir, "empty.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "two.yaml"), []byte("val: .\nnames: [a, b]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "none.yaml"), []byte("val: .\nnc: 12\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		words  []string
		args   []string
	}{
		{2, []string{"one MODEL"}, nil},
		{2, []string{"--data", "--images", "--annotations"}, []string{model}},
		{2, []string{"--images and --annotations belong together"}, []string{model, "--images", dir}},
		{2, []string{"--data FILE.yaml, or"}, []string{model, "--data", data, "--annotations", "x.json"}},
		{2, []string{"--split nowhere"}, []string{model, "--data", data, "--split", "nowhere"}},
		{2, []string{"--conf-sweep 0.2,x", `"x" is no number`}, []string{model, "--data", data, "--conf-sweep", "0.2,x"}},
		{2, []string{"--conf-sweep", "0 to 1"}, []string{model, "--data", data, "--conf-sweep", "1.5"}},
		{2, []string{"--format yaml"}, []string{model, "--data", data, "--format", "yaml"}},
		{2, []string{"--name", "--project"}, []string{model, "--data", data, "--name", "../x"}},
		{1, []string{"data.yaml", `no pictures for the split "test"`, "it has train, val"}, []string{model, "--data", data, "--split", "test"}},
		{1, []string{"two.yaml", "2", "12"}, []string{model, "--data", "two.yaml"}},
		{1, []string{"absent.yaml", "no such file"}, []string{model, "--data", "absent.yaml"}},
		{1, []string{"absent.onnx", "no such file"}, []string{"absent.onnx", "--data", data}},
		{1, []string{"empty.json", "it is empty"}, []string{model, "--images", dir, "--annotations", "empty.json"}},
		{2, []string{"--project", "--plots"}, []string{model, "--data", data, "--project", "x"}},
		{2, []string{"--name", "--plots"}, []string{model, "--data", data, "--name", "x"}},
		{2, []string{"--exist-ok", "--plots"}, []string{model, "--data", data, "--exist-ok"}},
		// before any picture is looked at, and before the model is
		{1, []string{"--save-json", "absent/x.json: no such file", "another place"}, []string{"absent.onnx", "--data", data, "--save-json", "absent/x.json"}},
		{1, []string{"--save-json", "a directory"}, []string{"absent.onnx", "--data", data, "--save-json", "."}},
		{1, []string{"empty.json: not a directory", "--project"}, []string{"absent.onnx", "--data", data, "--plots", "--project", "empty.json"}},
		{1, []string{"none.yaml has no names", "names: [cat, dog]"}, []string{model, "--data", "none.yaml"}},
	} {
		fails(t, dir, c.status, c.words, append([]string{"eval"}, c.args...)...)
	}
	if left := names(t, dir); len(left) != 3 {
		t.Errorf("files left: %v", left)
	}
}

// The six heads of models/heads still score what they did when they were
// compared, on the pictures beside them. In other layouts:
// training/tests/test_committed.py.
func TestHeadsScoreWhatTheyDid(t *testing.T) {
	folder := filepath.Join(top, "models", "heads")
	b, err := os.ReadFile(filepath.Join(folder, "slice.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]eval.Scores
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != 6 {
		t.Fatalf("slice.json has %d heads", len(want))
	}
	for name, scores := range want {
		t.Run(name, func(t *testing.T) {
			got := measure(t, "", filepath.Join(folder, name+".onnx"), "--data", filepath.Join(folder, "data.yaml"), "--split", "test", "--imgsz", "192").Overall
			if got.Pictures != scores.Pictures || got.Objects != scores.Objects ||
				!sameFigure(got.MAP50, scores.MAP50, 0.002) || !sameFigure(got.MAP75, scores.MAP75, 0.002) || !sameFigure(got.MAP5095, scores.MAP5095, 0.002) {
				t.Errorf("%+v, want %+v", got, scores)
			}
		})
	}
}
