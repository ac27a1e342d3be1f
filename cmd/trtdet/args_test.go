package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestReorder(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"--version", "--version"},
		{"run", "run --"},
		{"run m.onnx a.jpg --nosave", "run --nosave -- m.onnx a.jpg"},
		{"run --nosave m.onnx --batch 4 a.jpg b.jpg", "run --nosave --batch 4 -- m.onnx a.jpg b.jpg"},
		{"run m.onnx - --batch=4", "run --batch=4 -- m.onnx -"},
		{"run m.onnx -- --odd-name.jpg", "run -- m.onnx --odd-name.jpg"},
		{"build m.onnx -o -weird", "build -o -weird -- m.onnx"},
		{"build m.onnx --verbose", "--verbose build -- m.onnx"},
		{"--verbose build m.onnx", "--verbose build -- m.onnx"},
		{"run --help", "run --help"},
		{"run m.onnx --nosave -h", "run --help"},
		{"unknown --flag", "unknown --flag"},
		{"run m.onnx --batch 4 5", "run --batch 4 -- m.onnx 5"}, // a camera, whatever is said of that
		{"run m.onnx --nosave 1", "run --nosave -- m.onnx 1"},
	} {
		app := newApp(nil, io.Discard, newConsole(io.Discard))
		got, err := reorder(app, append([]string{"trtdet"}, strings.Fields(c.in)...))
		if want := append([]string{"trtdet"}, strings.Fields(c.want)...); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", c.in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"run m.onnx a.jpg --no-save":       "--nosave",
		"run m.onnx a.jpg --conf 0.3":      "--conf-thres",
		"run m.onnx a.jpg --batch":         "needs a value",
		"run m.onnx a.jpg --imgsz 640 480": "apart by commas here: --imgsz 640,480",
		"run m.onnx a.jpg --img=640 480":   "apart by commas here: --imgsz 640,480",
		"run m.onnx --classes 0 2 5 a.jpg": "apart by commas here: --classes 0,2",
		"bench m.onnx --batch 1 8":         "apart by commas here: --batch 1,8",
		"run m.onnx a.jpg --nosave True":   "--nosave takes no value: leave True out, or say --nosave=true",
		"run --nosave false m.onnx a.jpg":  "or say --nosave=false",
	} {
		_, err := reorder(newApp(nil, io.Discard, newConsole(io.Discard)), append([]string{"trtdet"}, strings.Fields(in)...))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: error %v, want one with %q", in, err, want)
		}
	}
}
