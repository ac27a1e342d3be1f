package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The quantizer of docs/tensorrt.md runs as it stands there, trtdet measures and
// builds what it writes, and little is lost. Here it calibrates with the 8
// images that are measured: mAP50-95 is 0.551 instead of 0.564; with every
// operator quantized it is 0.521.
func TestQuantizerOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "docs", "tensorrt.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, script, begun := strings.Cut(string(page), "```python\n")
	script, _, ended := strings.Cut(script, "```\n")
	if !begun || !ended {
		t.Fatal("docs/tensorrt.md has no Python on it")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "quantize.py")
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(top, "build/deps/venv/bin/python"), path, carried(), "int8.onnx", filepath.Join(top, emoji, "images"), "320")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data := []string{"--data", filepath.Join(top, emoji, "data.yaml"), "--imgsz", "320"}
	want := measure(t, dir, append([]string{carried()}, data...)...).Overall.MAP5095
	if got := measure(t, dir, append([]string{"int8.onnx"}, data...)...).Overall.MAP5095; !(got > want-0.025) {
		t.Errorf("mAP50-95 is %.3f, %.3f before", got, want)
	}
	must(t, dir, "build", "int8.onnx", "--imgsz", "320", "--quiet")
	if info := must(t, dir, "info", "int8.engine").stdout; !strings.Contains(info, "int8") {
		t.Errorf("info of the engine:\n%s", info)
	}
}
