// Package examples has programs that use the library, one for each thing that
// servers do with it; here they are built and run, on the CPU and on simulated
// GPUs.
package examples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

const (
	carried = "../models/emoji/decoupled-base.onnx"
	images  = "../models/emoji/images"
)

var built string // folder

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if built, err = os.MkdirTemp("", "trtdet-examples-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(built)
		if out, err := exec.Command("go", "build", "-o", built+"/", "./server", "./folder", "./video", "./gpus").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		// the programs are not in the checkout: tell them where ONNX Runtime is
		library, err := filepath.Abs("../build/deps/onnxruntime/lib/libonnxruntime.so")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Setenv("TRTDET_ONNXRUNTIME", library)
		return m.Run()
	}())
}

// example runs one, and returns what it prints.
func example(t *testing.T, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(built, name), args...)
	var stderr bytes.Buffer
	c.Stdin, c.Stderr = stdin, &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return string(out)
}

func TestFolder(t *testing.T) {
	out := example(t, nil, "folder", carried, images)
	for _, words := range []string{images + "/room.jpg\t", images + "/meadow.jpg\tcar\t"} {
		if !strings.Contains(out, words) {
			t.Errorf("it does not say %q:\n%s", words, out)
		}
	}
}

func TestVideo(t *testing.T) {
	p, err := imaging.Open(filepath.Join(images, "meadow.jpg"), imaging.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	bgr := bytes.Clone(p.Pix)
	for i := 0; i < len(bgr); i += 3 {
		bgr[i], bgr[i+2] = bgr[i+2], bgr[i]
	}
	black := make([]byte, len(bgr))
	size := fmt.Sprintf("%dx%d", p.Width, p.Height)
	out := strings.Split(example(t, bytes.NewReader(bytes.Join([][]byte{bgr, black, bgr, bgr}, nil)), "video", carried, size), "\n")
	for i, words := range []string{" car ", "", " car ", " car "} {
		if !strings.HasPrefix(out[i], fmt.Sprintf("frame %d:", i)) || !strings.Contains(out[i], words) || (words == "") != strings.HasSuffix(out[i], ":") {
			t.Errorf("line %d is %q", i, out[i])
		}
	}
	c := exec.Command(filepath.Join(built, "video"), carried, size)
	c.Stdin = bytes.NewReader(bgr[:1000])
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "is "+size+" its size?") {
		t.Errorf("half a frame: %v, %s", err, out)
	}
}

// serving starts the server, and returns its address.
func serving(t *testing.T, flags ...string) (c *exec.Cmd, url string) {
	t.Helper()
	c = exec.CommandContext(t.Context(), filepath.Join(built, "server"), slices.Concat([]string{"-listen", "localhost:0"}, flags, []string{carried})...)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	lines.Scan()
	_, url, found := strings.Cut(lines.Text(), "listening on ")
	if !found {
		t.Fatalf("it says %q", lines.Text())
	}
	go io.Copy(io.Discard, stderr) //nolint:errcheck // it must not wait for its reader
	return c, url
}

// post has a server detect at a URL.
func post(t *testing.T, url string, body []byte) (int, string) {
	t.Helper()
	r, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// Nobody waits longer than the deadline, which is the user's.
func TestServerDeadline(t *testing.T) {
	help, err := exec.Command(filepath.Join(built, "server"), "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(help), "-deadline") || !strings.Contains(string(help), "(default 2s)") {
		t.Errorf("%v\n%s", err, help)
	}
	picture, err := os.ReadFile(filepath.Join(images, "meadow.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for deadline, want := range map[string]int{"1ns": http.StatusServiceUnavailable, "0": http.StatusOK} {
		c, url := serving(t, "-deadline", deadline)
		if status, text := post(t, url+"/detect", picture); status != want {
			t.Errorf("-deadline %s: status %d, %s", deadline, status, text)
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.Wait() //nolint:errcheck // it was killed
	}
}

func TestServer(t *testing.T) {
	c, url := serving(t)
	defer c.Wait() //nolint:errcheck // see below
	picture, err := os.ReadFile(filepath.Join(images, "meadow.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		status, text := post(t, url+"/detect", picture)
		var objects []struct{ Class string }
		if err := json.Unmarshal([]byte(text), &objects); err != nil || status != http.StatusOK || objects[0].Class != "car" {
			t.Fatalf("status %d, %s", status, text)
		}
		if err := c.Process.Signal(syscall.SIGHUP); err != nil { // the next is another model's
			t.Fatal(err)
		}
	}
	for conf, want := range map[string]int{"1": http.StatusOK, "1.5": http.StatusBadRequest, "half": http.StatusBadRequest} {
		status, text := post(t, url+"/detect?conf="+conf, picture)
		if status != want || (want == http.StatusOK && text != "[]\n") || (want != http.StatusOK && !strings.HasPrefix(text, "conf: ")) {
			t.Errorf("conf %s: status %d, %s", conf, status, text)
		}
	}
	if status, text := post(t, url+"/detect", []byte("%PDF-1.7")); status != http.StatusBadRequest || !strings.Contains(text, "it is a PDF") {
		t.Errorf("status %d, %s", status, text)
	}
	var nothing bytes.Buffer
	if err := png.Encode(&nothing, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, url+"/detect", nothing.Bytes()); status != http.StatusOK || text != "[]\n" {
		t.Errorf("an empty picture: status %d, %s", status, text)
	}
	r, err := http.Get(url + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var stats engine.Stats
	if err := json.NewDecoder(r.Body).Decode(&stats); err != nil || len(stats.Devices) != 1 || stats.Devices[0].Device != "cpu" {
		t.Errorf("%+v, %v", stats, err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

func TestGPUs(t *testing.T) {
	folder, err := filepath.Abs("../build/out/simgpu")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIMGPU_DEVICES", "2")
	t.Setenv("TRTDET_LIBCUDA", filepath.Join(folder, "libcuda.so.1"))
	t.Setenv("TRTDET_TENSORRT", filepath.Join(folder, "10"))
	plan := filepath.Join(t.TempDir(), "model.engine")
	build := exec.Command("go", "run", "../cmd/trtdet", "build", carried, "-o", plan, "--imgsz", "128", "--batch", "1:4:4", "--quiet")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := example(t, nil, "gpus", plan, "cuda:0,1", filepath.Join(images, "room.jpg"))
	var one, two int
	if _, err := fmt.Sscanf(out[strings.Index(out, "cuda:0: "):], "cuda:0: %d pictures\ncuda:1: %d pictures", &one, &two); err != nil || one == 0 || two == 0 || one+two < 190 {
		t.Errorf("it says %s, %v", out, err)
	}
}
