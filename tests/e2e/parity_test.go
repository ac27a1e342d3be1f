package e2e

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/tests/oracle"
)

// The bounds within which trtdet and a reference agree.
const (
	boxBound   = 0.01 // pixels of the picture
	scoreBound = 1e-4
)

// reference runs tests/oracle/reference.py, which takes the pictures through
// the unedited model on its own.
func reference(t *testing.T, model string, head decode.Head, pre decode.Preprocess, flags []string, pictures []string) []line {
	t.Helper()
	path := filepath.Join(t.TempDir(), "head.json")
	data, err := json.Marshal(map[string]any{"head": head, "preprocess": pre})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	c := oracle.Command(t, oracle.Venv, "reference.py", slices.Concat([]string{"--model", model, "--head", path}, flags, pictures)...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("reference.py: %v\n%s", err, stderr.String())
	}
	return lines(t, string(out))
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
// single pixel, grey, with alpha, a photograph.
func oddPictures(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	c := oracle.Command(t, oracle.Venv, "odd_pictures.py", dir, filepath.Join(top, "models", "emoji", "images", "meadow.jpg"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("odd_pictures.py: %v\n%s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d odd pictures, %v", len(paths), err)
	}
	return paths
}

// Every net gives the reference's boxes, batched or not.
func TestNetsAgreeWithReference(t *testing.T) {
	pictures := oddPictures(t)
	for i, n := range loadNets(t) {
		t.Run(n.File, func(t *testing.T) {
			t.Parallel()
			batch := []string{"1", "2", "4"}[i%3]
			args := slices.Concat([]string{"run", n.path(), "--format", "jsonl", "--nosave", "--threads", "1", "--batch", batch}, n.flags(t), pictures)
			got := lines(t, must(t, "", args...).stdout)
			flags := []string{"--conf", jsonNumber(n.Thresholds.Conf), "--iou", jsonNumber(n.Thresholds.IoU)}
			want := reference(t, n.path(), n.rawHead(), n.Preprocess, flags, pictures)
			if compare(t, got, want) == 0 {
				t.Error("nothing was found: the comparison says nothing")
			}
		})
	}
}

func jsonNumber(f float32) string {
	data, _ := json.Marshal(f)
	return string(data)
}
