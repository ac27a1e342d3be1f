package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/tests/oracle"
)

// The bounds within which trtdet and a reference agree.
const (
	boxBound   = 0.01 // pixels of the picture
	scoreBound = 1e-4
)

// job is one model that the reference takes pictures through, on its own: the
// unedited model in ONNX Runtime, the rest in Python.
type job struct {
	model    string
	head     decode.Head
	pre      decode.Preprocess
	flags    []string
	pictures []string
}

// reference runs tests/oracle/reference.py over the jobs.
func reference(t *testing.T, jobs []job) [][]line {
	t.Helper()
	dir := t.TempDir()
	type task struct {
		Out  string   `json:"out"`
		Args []string `json:"args"`
	}
	tasks := make([]task, len(jobs))
	for i, j := range jobs {
		head := filepath.Join(dir, fmt.Sprintf("%d.head.json", i))
		writeJSON(t, head, map[string]any{"head": j.head, "preprocess": j.pre})
		tasks[i] = task{
			Out:  filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)),
			Args: slices.Concat([]string{"--model", j.model, "--head", head}, j.flags, j.pictures),
		}
	}
	list := filepath.Join(dir, "jobs.json")
	writeJSON(t, list, tasks)
	if out, err := oracle.Command(t, oracle.Venv, "reference.py", "--jobs", list).CombinedOutput(); err != nil {
		t.Fatalf("reference.py: %v\n%s", err, out)
	}
	results := make([][]line, len(jobs))
	for i, k := range tasks {
		data, err := os.ReadFile(k.Out)
		if err != nil {
			t.Fatal(err)
		}
		results[i] = lines(t, string(data))
	}
	return results
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// compare wants the same detections in the same order, within the bounds.
func compare(t *testing.T, got, want []line) (detections int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d pictures, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if g.Width != w.Width || g.Height != w.Height {
			t.Errorf("%s: %dx%d, want %dx%d", g.Source, g.Width, g.Height, w.Width, w.Height)
		}
		if len(g.Detections) != len(w.Detections) {
			t.Errorf("%s: %d detections, want %d", g.Source, len(g.Detections), len(w.Detections))
			continue
		}
		detections += len(g.Detections)
		for j, d := range g.Detections {
			e := w.Detections[j]
			off := 0.0
			for k := range d.Box {
				off = max(off, math.Abs(d.Box[k]-e.Box[k]))
			}
			if d.ClassID != e.ClassID || math.Abs(d.Score-e.Score) > scoreBound || off > boxBound {
				t.Errorf("%s: detection %d is class %d, score %.5f, box %.3f; want class %d, score %.5f, box %.3f",
					g.Source, j, d.ClassID, d.Score, d.Box, e.ClassID, e.Score, e.Box)
				break
			}
		}
	}
	return detections
}

// rawHead is the head as the net's maker knows it, on the file's raw maps: no
// word of trtdet's is taken for it.
func (n *net) rawHead() decode.Head {
	head := n.Head
	if n.Layout == "columns" || n.Layout == "5d" {
		return head
	}
	head.Layout = decode.Fused
	if len(n.Raw[0]) == 3 || n.Layout == "split-cat" {
		head.Layout = decode.Split
	}
	head.Levels = slices.Clone(head.Levels)
	for i := range head.Levels {
		head.Levels[i].Outputs = n.Raw[i]
	}
	return head
}

// oddPictures are PNGs, so that no decoder comes between: square, long, a
// single pixel, grey, with alpha, photographs, words.
func oddPictures(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	c := oracle.Command(t, oracle.Venv, "odd_pictures.py", dir, filepath.Join(top, "models", "emoji", "images", "meadow.jpg"),
		filepath.Join(top, "build", "deps", "pictures", "person.jpg"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("odd_pictures.py: %v\n%s", err, out)
	}
	paths := matching(t, dir, "*.png")
	if len(paths) < 6 {
		t.Fatalf("%d odd pictures", len(paths))
	}
	return paths
}

// Every net gives the reference's boxes: one picture at a time, in batches,
// and at a size of its own where the net takes any.
func TestNetsAgreeWithReference(t *testing.T) {
	pictures := oddPictures(t)
	nets := loadNets(t)
	if len(nets) > 100 { // make test-full's: a few pictures each are an hour less
		pictures = pictures[:4]
	}
	jobs := make([]job, len(nets))
	size := make([][]string, len(nets))
	for i, n := range nets {
		if n.Dynamic.Size {
			size[i] = []string{"--imgsz", fmt.Sprintf("%d,%d", n.ImgSize[0]+64, n.ImgSize[1]+128)}
		}
		flags := slices.Concat([]string{"--conf", number(n.Thresholds.Conf), "--iou", number(n.Thresholds.IoU)}, size[i])
		jobs[i] = job{n.Path(), n.rawHead(), n.Preprocess, flags, pictures}
	}
	want := reference(t, jobs)
	for i, n := range nets {
		t.Run(n.File, func(t *testing.T) {
			t.Parallel()
			batch := []string{"1", "2", "4"}[i%3]
			got := must(t, "", slices.Concat([]string{"run", n.Path(), "--format", "jsonl", "--nosave", "--threads", "1", "--batch", batch},
				size[i], n.flags(t), pictures)...)
			if compare(t, lines(t, got.stdout), want[i]) == 0 {
				t.Error("nothing was found: the comparison says nothing")
			}
		})
	}
}

func number(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }

// carriedHead is that of carried, as its maker knows it.
func carriedHead() decode.Head {
	return decode.Head{Family: decode.YOLOv5, Kind: decode.DecoupledBase, Layout: decode.Fused, Classes: 12, Levels: []decode.Level{
		{Stride: 8, Anchors: [][2]float32{{16, 15}, {22, 23}, {31, 29}}, Outputs: []string{"output0"}},
		{Stride: 16, Anchors: [][2]float32{{40, 42}, {57, 52}, {70, 76}}, Outputs: []string{"output1"}},
		{Stride: 32, Anchors: [][2]float32{{96, 92}, {124, 130}, {172, 164}}, Outputs: []string{"output2"}},
	}}
}

// common_det.onnx and 320n.onnx are detectors that nobody here made: set-up
// fetches them for the tests, and nothing ships them.
func thirdParty(file string) string { return filepath.Join(top, "build", "deps", "models", file) }

// TestModelsAgreeWithReference takes trained detectors over photographs: ours,
// and two of others. Where the letterbox is YOLOv5's, the letterbox, the
// suppression and the way back are YOLOv5's own functions.
func TestModelsAgreeWithReference(t *testing.T) {
	pictures := oddPictures(t)
	rowsGrid := decode.Head{Family: decode.YOLOX, Kind: decode.KindYOLOX, Layout: decode.RowsGrid, Classes: 1, SigmoidApplied: true, Levels: []decode.Level{
		{Stride: 8, Outputs: []string{"output"}}, {Stride: 16, Outputs: []string{"output"}}, {Stride: 32, Outputs: []string{"output"}},
	}}
	columns := decode.Head{Family: decode.YOLOv8, Layout: decode.Columns, Classes: 18, SigmoidApplied: true, Levels: []decode.Level{{Outputs: []string{"output0"}}}}
	cases := []struct {
		name   string
		job    job
		flags  []string // trtdet's, beside the job's
		layout decode.Layout
	}{
		{"decoupled-base", job{carried(), carriedHead(), decode.YOLOv5.Preprocess(), []string{"--conf", "0.5", "--yolov5"}, pictures}, nil, decode.Fused},
		{"decoupled-base, many boxes", job{carried(), carriedHead(), decode.YOLOv5.Preprocess(), []string{"--conf", "0.01", "--iou", "0.6", "--yolov5", "--imgsz", "352,480"}, pictures},
			[]string{"--conf-thres", "0.01", "--iou-thres", "0.6", "--imgsz", "352,480"}, decode.Fused},
		{"decoupled-base, some classes", job{carried(), carriedHead(), decode.YOLOv5.Preprocess(), []string{"--conf", "0.05", "--yolov5", "--agnostic", "--classes", "0,6,7", "--max-det", "5"}, pictures},
			[]string{"--conf-thres", "0.05", "--agnostic-nms", "--classes", "0,6,7", "--max-det", "5"}, decode.Fused},
		{"YOLOX whose rows need grid and stride", job{thirdParty("common_det.onnx"), rowsGrid, decode.YOLOX.Preprocess(), []string{"--conf", "0.25"}, pictures}, nil, decode.Fused},
		{"YOLOv8's columns", job{thirdParty("320n.onnx"), columns, decode.YOLOv8.Preprocess(), []string{"--conf", "0.1", "--yolov5"}, pictures},
			[]string{"--conf-thres", "0.1"}, decode.Columns},
	}
	var jobs []job
	for _, c := range cases {
		jobs = append(jobs, c.job)
	}
	want := reference(t, jobs)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			got := must(t, dir, slices.Concat([]string{"run", c.job.model, "--format", "jsonl", "--nosave", "--batch", "2"}, c.flags, pictures)...)
			n := compare(t, lines(t, got.stdout), want[i])
			t.Logf("%d detections", n)
			if n < 5 {
				t.Errorf("only %d detections: the comparison says little", n)
			}
			must(t, dir, "build", c.job.model, "-o", "m.engine", "--quiet")
			if m := readManifest(t, filepath.Join(dir, "m.engine")); m.Head.Layout != c.layout || m.Head.Classes != c.job.head.Classes {
				t.Errorf("the engine's head is %+v, want layout %s", m.Head, c.layout)
			}
		})
	}
}
