package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/decode"
)

// One detector in every odd form of ONNX that ONNX Runtime takes: trtdet gives
// ONNX Runtime's boxes on the file as it is, and TensorRT builds an engine of
// it that takes more images than the file, or an oblong size.
func TestOddForms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd")
	out, err := exec.Command(filepath.Join(top, "build/deps/venv/bin/python"), filepath.Join(top, "tests/e2e/odd.py"), carried(), dir).CombinedOutput()
	if err != nil {
		t.Fatalf("odd.py: %v\n%s", err, out)
	}
	pictures := oddPictures(t)
	fused := carriedHead()
	// the view of each anchor that the article's head takes of its concatenation
	fiveD := fused
	fiveD.Layout, fiveD.Levels = decode.FiveD, slices.Clone(fused.Levels)
	for i := range fiveD.Levels {
		fiveD.Levels[i].Outputs = []string{[]string{"last0", "last1", "last2"}[i]}
	}
	free := []string{"--imgsz", "352,480"}
	cases := []struct {
		file string
		head decode.Head
		size []string
	}{{"half", fused, free}, {"functions", fused, free}, {"branch", fused, free}, {"negative", fused, free}, {"shared", fused, free}, {"allowzero", fiveD, nil}}
	jobs := make([]job, len(cases))
	for i, c := range cases {
		flags := slices.Concat([]string{"--conf", "0.05", "--iou", "0.45"}, c.size)
		jobs[i] = job{filepath.Join(dir, c.file+".onnx"), c.head, decode.YOLOv5.Preprocess(), flags, pictures}
	}
	want := reference(t, jobs)
	for i, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			got := must(t, "", slices.Concat([]string{"run", jobs[i].model, "--format", "jsonl", "--nosave", "--conf-thres", "0.05", "--iou-thres", "0.45"}, c.size, pictures)...)
			if compare(t, lines(t, got.stdout), want[i]) == 0 {
				t.Error("nothing was found: the comparison says nothing")
			}
			must(t, dir, slices.Concat([]string{"build", jobs[i].model, "-o", c.file + ".engine", "--batch", "1:4:8", "--quiet"}, c.size)...)
			m := readManifest(t, filepath.Join(dir, c.file+".engine"))
			if p := m.Profiles[0]["images"]; p.Max[0] != 8 {
				t.Errorf("the engine's profile is %+v", p)
			}
		})
	}
}
