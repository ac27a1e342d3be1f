package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A wrong command line is one line that says what is wrong, and status 2.
func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"--foo", []string{"no flag --foo", "trtdet --help"}},
		{"frobnicate", []string{`no command "frobnicate"`, "trtdet --help"}},
		{"bulid m.onnx", []string{"build"}},
		{"h bulid", []string{`no command "bulid"`}},
		{"help bulid", []string{`no command "bulid"`, "build"}},
		{"version", []string{"trtdet --version"}},
		{"--weights m.onnx --source a.jpg", []string{"trtdet run MODEL SOURCE"}},
		{"run m.onnx a.jpg --half", []string{"trtdet build --half"}},
		{"run model=m.onnx source=a.jpg", []string{"model=m.onnx", "first argument"}},
		{"build", []string{"MODEL.onnx"}},
		{"build a.onnx b.onnx", []string{"MODEL.onnx", "2 arguments"}},
		{"build m.onnx --hlaf", []string{"--hlaf", "--half"}},
		{"build m.onnx --batch", []string{"--batch", "needs a value"}},
		{"build m.onnx --batch 4:2:1", []string{"--batch 4:2:1", "MIN:OPT:MAX"}},
		{"build m.onnx --imgsz 0", []string{"--imgsz 0"}},
		{"build m.onnx --imgsz 640x480", []string{"--imgsz 640x480", "HEIGHT,WIDTH"}},
		{"build m.onnx --tensorrt 9", []string{"--tensorrt", "9"}},
		{"build m.onnx --target sm_1x", []string{"--target", "sm_1x"}},
		{"run m.onnx x.jpg --host-memory lots", []string{"--host-memory lots", "512MiB"}},
		{"bench m.onnx --device-memory 0", []string{"--device-memory 0", "4GiB"}},
		{"build m.onnx --workspace 4", []string{"--workspace 4", "4GiB"}},
		{"run m.onnx a.jpg --imgsz 640 480", []string{"--imgsz 640,480"}},
		{"build m.onnx --workspace lots", []string{"--workspace lots", "512MiB"}},
		{"build m.onnx --opt-level 9", []string{"--opt-level 9", "0 to 5"}},
		{"build m.onnx --timeout soon", []string{"--timeout soon", "90s"}},
		{"build m.onnx --anchors 1,2,3", []string{"--anchors", "W,H"}},
		{"build m.onnx --conf-thres 2", []string{"--conf-thres 2", "0 to 1"}},
		{"build m.onnx --letterbox middle", []string{"--letterbox middle", "center"}},
		{"run m.onnx a.jpg --channel-order xyz", []string{"--channel-order xyz", "bgr"}},
		{"run m.onnx a.jpg --pixel-range 7", []string{"--pixel-range 7", "255"}},
		{"run", []string{"MODEL", "SOURCE"}},
		{"run m.onnx", []string{"SOURCE"}},
		{"run m.onnx a.jpg --device gpu", []string{"--device", "gpu", "cuda:0"}},
		{"run m.onnx a.jpg --conf 0.5", []string{"--conf", "--conf-thres"}},
		{"run m.onnx a.jpg --iou-thres nan", []string{"--iou-thres", "0 to 1"}},
		{"run m.onnx a.jpg --classes=", []string{"--classes", "car,dog,5"}},
		{"run m.onnx a.jpg --classes 0 2", []string{"--classes 0,2"}},
		{"run m.onnx a.jpg --conf-thres high", []string{"--conf-thres high", "a number"}},
		{"run m.onnx a.jpg --nosave=maybe", []string{"--nosave maybe", "true or false"}},
		{"run m.onnx a.jpg --name ../x", []string{"--name ../x", "--project"}},
		{"run m.onnx a.jpg --max-det 0", []string{"--max-det 0"}},
		{"run m.onnx a.jpg --batch -1", []string{"--batch -1"}},
		{"run m.onnx a.jpg --batch 1000000", []string{"--batch 1000000", "1024"}},
		{"run m.onnx a.jpg --slots 0", []string{"--slots 0"}},
		{"run m.onnx a.jpg --threads 0", []string{"--threads 0"}},
		{"run m.onnx a.jpg --threads 100000", []string{"--threads 100000", "want 1 to"}},
		{"run m.onnx a.jpg --format xml", []string{"--format xml", "jsonl"}},
		{"run m.onnx a.jpg --save-conf", []string{"--save-conf", "--save-txt"}},
		{"bench", []string{"one MODEL"}},
		{"bench m.onnx --batch 0", []string{"--batch 0", "1 to 1024"}},
		{"bench m.onnx --batch 1;2", []string{"--batch 1;2", "such as 1,8"}},
		{"bench m.onnx --slots many", []string{"--slots many"}},
		{"bench m.onnx --graphs maybe", []string{"--graphs maybe", "on,off"}},
		{"bench m.onnx --rate 0", []string{"--rate 0", "100,200"}},
		{"bench m.onnx --rate 5 --concurrency 2", []string{"--concurrency", "--rate", "one of them"}},
		{"bench m.onnx --concurrency 0", []string{"--concurrency 0"}},
		{"bench m.onnx --duration 0s", []string{"--duration 0s", "5s"}},
		{"bench m.onnx --format csv", []string{"--format csv", "json"}},
		{"build m.onnx --verify=", []string{"--verify"}},
		{"info a b", []string{"one model"}},
		{"info --format csv", []string{"--format csv", "json"}},
		{"completion tcsh", []string{"bash", "zsh", "fish"}},
	} {
		t.Run(c.args, func(t *testing.T) { fails(t, "", 2, c.words, strings.Fields(c.args)...) })
	}
}

// What is asked for is right but cannot be had: one line, status 1.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("empty.onnx", "")
	write("text.onnx", "this is no model, it is a text that someone gave the wrong name")
	write("lonely.engine", "no manifest beside it")
	write("weights.onnx", "PK\x03\x04archive/data.pkl")
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"build missing.onnx", []string{"missing.onnx", "no such file"}},
		{"build empty.onnx", []string{"empty.onnx"}},
		{"build text.onnx", []string{"text.onnx"}},
		{"build weights.onnx", []string{"weights.onnx", "PyTorch", "export"}},
		{"build . -o out.engine", []string{"."}},
		{"build text.onnx -o nowhere/out.engine", []string{"nowhere", "there is no such folder"}},
		{"info missing.onnx", []string{"trtdet: missing.onnx: no such file"}},
		{"info text.onnx", []string{"text.onnx"}},
		{"info missing.engine", []string{"missing.engine", "no such file"}},
		{"info lonely.engine", []string{"lonely.engine", "manifest", "trtdet build"}},
		{"run missing.onnx 0", []string{"0: a camera is not read here yet", "/dev/video0"}},
		{"run missing.onnx rtsp://host/live", []string{"a stream is not read", "ffmpeg -i rtsp://host/live frames/%06d.jpg"}},
		{"bench text.onnx --pictures http://host/a.jpg", []string{"--pictures", "curl -fO http://host/a.jpg"}},
		{"run missing.onnx a.jpg", []string{"missing.onnx", "no such file"}},
		{"run lonely.engine a.jpg", []string{"lonely.engine", "GPU", "--device cpu"}},
		{"run text.onnx a.jpg --device 0", []string{"--device cuda:0", "--device cpu"}},
		{"run text.onnx a.jpg --device cuda:0,1", []string{"--device cuda:0,1", "--device cpu"}},
	} {
		t.Run(c.args, func(t *testing.T) { fails(t, dir, 1, c.words, strings.Fields(c.args)...) })
	}
	if left := names(t, dir); len(left) != 4 {
		t.Errorf("failed commands left files: %q", left)
	}
}

func TestHelp(t *testing.T) {
	for command, words := range map[string][]string{
		"--help":       {"build", "run", "info", "completion", "--version", "Examples"},
		"build --help": {"Examples", "--half", "--batch", "default: \"auto\"", "1h0m0s", "--target", "--timing-cache", "--anchors"},
		"run --help":   {"Examples", "--conf-thres", "0.45", "1000", "runs/detect", "default: \"exp\"", "--agnostic-nms", "jsonl"},
		"info --help":  {"Examples", "--format", "damaged"},
	} {
		o := must(t, "", strings.Fields(command)...)
		for _, w := range words {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("trtdet %s does not mention %q:\n%s", command, w, o.stdout)
			}
		}
		if strings.Contains(o.stdout, "build-child") {
			t.Errorf("trtdet %s shows the hidden command", command)
		}
	}
}

// What cannot be written was not done.
func TestFullStandardOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"--version"}, {"--help"}, {"info"}, {"completion", "bash"}, {"run", carried(), heldOut(t)[0], "--nosave"}} {
		c := exec.Command(trtdet, args...)
		c.Stdout = full
		if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != 1 {
			t.Errorf("trtdet %q on a full disk: %v, want exit status 1", args, err)
		}
	}
}

func TestVersion(t *testing.T) {
	o := must(t, "", "--version")
	for _, w := range []string{"trtdet ", "commit", "go1.", "rtx", "TensorRT headers"} {
		if !strings.Contains(o.stdout, w) {
			t.Errorf("--version does not say %q: %s", w, o.stdout)
		}
	}
}
