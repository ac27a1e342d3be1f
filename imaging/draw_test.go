package imaging

import (
	"bytes"
	"errors"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/decode"
)

// changed is the rectangle of pixels that differ, with their number.
func changed(a, b *Picture) (x1, y1, x2, y2, n int) {
	x1, y1 = a.Width, a.Height
	for y := range a.Height {
		for x := range a.Width {
			i := 3 * (y*a.Width + x)
			if !bytes.Equal(a.Pix[i:i+3], b.Pix[i:i+3]) {
				x1, y1, x2, y2, n = min(x1, x), min(y1, y), max(x2, x), max(y2, y), n+1
			}
		}
	}
	return x1, y1, x2, y2, n
}

func clone(p *Picture) *Picture {
	return &Picture{Width: p.Width, Height: p.Height, Pix: bytes.Clone(p.Pix)}
}

func TestAnnotateFrame(t *testing.T) {
	plain := NewPicture(100, 80)
	p := clone(plain)
	box := decode.Box{X1: 20.9, Y1: 30.2, X2: 60.5, Y2: 70}
	Annotate(p, []Label{{Box: box, Class: 3, Text: "cat", Score: 0.5}}, Style{LineThickness: 2, HideLabels: true})
	x1, y1, x2, y2, n := changed(plain, p)
	if x1 != 19 || y1 != 29 || x2 != 60 || y2 != 70 {
		t.Errorf("the frame is drawn from %d,%d to %d,%d", x1, y1, x2, y2)
	}
	if want := 2*2*42 + 2*2*38; n != want {
		t.Errorf("%d pixels are drawn, want %d", n, want)
	}
	if got := p.At(30, 30); got != ClassColor(3) {
		t.Errorf("the frame's color is %v, the class's %v", got, ClassColor(3))
	}
	if p.At(40, 50) != (color.RGBA{A: 255}) {
		t.Error("the box is filled")
	}
}

func TestAnnotateLabel(t *testing.T) {
	draw := func(box decode.Box, s Style, text string) *Picture {
		p := NewPicture(300, 200)
		s.LineThickness = 2
		Annotate(p, []Label{{Box: box, Class: 0, Text: text, Score: 0.87}}, s)
		return p
	}
	framed := func(box decode.Box) *Picture { return draw(box, Style{HideLabels: true}, "") }
	middle := decode.Box{X1: 100, Y1: 100, X2: 200, Y2: 180}
	_, y1, wide, y2, n := changed(framed(middle), draw(middle, Style{}, "person"))
	if n == 0 || y2 >= 100 || y1 < 60 {
		t.Errorf("the label lies in rows %d to %d, want it above row 100", y1, y2)
	}
	_, _, narrow, _, n := changed(framed(middle), draw(middle, Style{HideConf: true}, "person"))
	if n == 0 || narrow >= wide {
		t.Errorf("without its score the label ends at %d, with it at %d", narrow, wide)
	}
	top := decode.Box{X1: 100, Y1: 2, X2: 200, Y2: 180}
	if _, y1, _, y2, n := changed(framed(top), draw(top, Style{}, "person")); n == 0 || y1 < 0 || y2 < 10 {
		t.Errorf("with no room above the label lies in rows %d to %d", y1, y2)
	}
	right := decode.Box{X1: 290, Y1: 100, X2: 299, Y2: 180}
	if x1, _, x2, _, n := changed(framed(right), draw(right, Style{}, "person")); n == 0 || x1 > 260 || x2 > 299 {
		t.Errorf("at the right edge the label lies in columns %d to %d", x1, x2)
	}
	// text is readable: ink and ground are far apart, and both are there
	p := draw(middle, Style{}, "person")
	ink := 0
	for y := 60; y < 99; y++ {
		for x := 100; x < 180; x++ {
			if c := p.At(x, y).(color.RGBA); c == (color.RGBA{255, 255, 255, 255}) {
				ink++
			}
		}
	}
	if ink < 30 {
		t.Errorf("%d pixels of the label are ink", ink)
	}
}

// TestAnnotateAnything: boxes and pictures of any size are drawn, or not, but
// never over the edge.
func TestAnnotateAnything(t *testing.T) {
	nan := float32(0)
	nan /= nan
	for _, size := range [][2]int{{1, 1}, {3, 500}, {640, 2}, {64, 64}} {
		p := NewPicture(size[0], size[1])
		var labels []Label
		for i, v := range []float32{-1e30, -5, 0, 3, 63, 700, 1e30, nan} {
			for _, w := range []float32{v, 10, -10, 1e30} {
				labels = append(labels, Label{Box: decode.Box{X1: v, Y1: w, X2: w, Y2: v}, Class: i - 3, Text: "péż 猫\n\x00\xff", Score: 0.5})
			}
		}
		Annotate(p, labels, Style{})
		Annotate(p, labels, Style{LineThickness: 500})
		Annotate(p, nil, Style{})
	}
}

func TestClassColors(t *testing.T) {
	seen := map[color.RGBA]int{}
	for class := range 60 {
		c := ClassColor(class)
		if other, ok := seen[c]; ok {
			t.Errorf("classes %d and %d share %v", other, class, c)
		}
		seen[c] = class
	}
	if ClassColor(60) != ClassColor(0) || ClassColor(-1) != ClassColor(59) {
		t.Error("colors do not repeat after 60 classes")
	}
}

// TestCrop: the numbers are what YOLOv5's save_one_box computes.
func TestCrop(t *testing.T) {
	p := noise(100, 80)
	cases := []struct {
		box        decode.Box
		gain       float64
		pad        int
		x, y, w, h int
	}{
		{decode.Box{X1: 20, Y1: 30, X2: 40, Y2: 50}, 1, 0, 20, 30, 20, 20},
		{decode.Box{X1: 20, Y1: 30, X2: 40, Y2: 50}, 1.02, 10, 14, 24, 31, 31},
		{decode.Box{X1: 0, Y1: 0, X2: 100, Y2: 80}, 1.02, 10, 0, 0, 100, 80},
		{decode.Box{X1: 95, Y1: 75, X2: 99, Y2: 79}, 1.02, 10, 89, 69, 11, 11},
		{decode.Box{X1: 200, Y1: 200, X2: 300, Y2: 300}, 1, 0, 0, 0, 0, 0},
		{decode.Box{X1: 10, Y1: 10, X2: 10, Y2: 10}, 1, 0, 0, 0, 0, 0},
	}
	for _, c := range cases {
		got := p.Crop(c.box, c.gain, c.pad)
		if got.Width != c.w || got.Height != c.h {
			t.Errorf("%+v: %dx%d, want %dx%d", c.box, got.Width, got.Height, c.w, c.h)
			continue
		}
		for y := range got.Height {
			for x := range got.Width {
				if got.At(x, y) != p.At(c.x+x, c.y+y) {
					t.Fatalf("%+v: pixel %d,%d is another", c.box, x, y)
				}
			}
		}
	}
}

func TestSave(t *testing.T) {
	folder := t.TempDir()
	p := small()
	for name, exact := range map[string]bool{"a.png": true, "b.jpg": false, "c.JPEG": false} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte("what was there before"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Save(path, p); err != nil {
			t.Fatal(err)
		}
		got, err := Open(path, Limits{})
		if err != nil || got.Width != 8 || got.Height != 6 || (exact && !bytes.Equal(got.Pix, p.Pix)) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	if err := Save(filepath.Join(folder, "a.gif"), p); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a GIF: %v", err)
	}
	if err := Save(filepath.Join(folder, "none", "a.png"), p); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := Save(filepath.Join(folder, "empty.png"), NewPicture(0, 0)); err == nil {
		t.Error("a picture without pixels was written")
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 3 {
		t.Errorf("the folder holds %v, want the three pictures: nothing half written", left)
	}
}

func TestLetterboxAllocatesNothing(t *testing.T) {
	p := noise(300, 200)
	fit := decode.NewFit(300, 200, 128, 128, decode.Center)
	dst := make([]float32, 3*128*128)
	if n := testing.AllocsPerRun(50, func() { Letterbox(dst, p, fit, decode.YOLOv5.Preprocess()) }); n > 0 {
		t.Errorf("%g allocations a picture", n)
	}
}

func TestLetterboxRefusesAnotherSize(t *testing.T) {
	fit := decode.NewFit(300, 200, 128, 128, decode.Center)
	for name, call := range map[string]func(){
		"short dst":       func() { Letterbox(make([]float32, 5), noise(300, 200), fit, decode.YOLOv5.Preprocess()) },
		"another picture": func() { Letterbox(make([]float32, 3*128*128), noise(301, 200), fit, decode.YOLOv5.Preprocess()) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

func BenchmarkLetterbox(b *testing.B) {
	for _, size := range [][2]int{{1920, 1080}, {1280, 720}, {810, 1080}, {4000, 3000}} {
		p := noise(size[0], size[1])
		fit := decode.NewFit(size[0], size[1], 640, 640, decode.Center)
		dst := make([]float32, 3*640*640)
		name := map[[2]int]string{{1920, 1080}: "1080p", {1280, 720}: "720p", {810, 1080}: "810x1080", {4000, 3000}: "12MP"}[size]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Letterbox(dst, p, fit, decode.YOLOv5.Preprocess())
			}
		})
	}
}

// What others have put in a picture's place is replaced.
func TestSaveWritesThroughNoLink(t *testing.T) {
	victim, folder := filepath.Join(t.TempDir(), "victim"), t.TempDir()
	if err := os.WriteFile(victim, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	p := &Picture{Width: 1, Height: 1, Pix: make([]byte, 3)}
	for name, save := range map[string]func(name string) error{
		"a.png": func(name string) error { return Save(filepath.Join(folder, name), p) },
		"b.jpg": func(name string) error { return SaveIn(root, name, p) },
	} {
		for _, plant := range []func(string, string) error{os.Symlink, os.Link} {
			path := filepath.Join(folder, name)
			if err := errors.Join(plant(victim, path), save(name)); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s is %v, %v", name, info, err)
			}
			if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
				t.Errorf("%s: the other file holds %d bytes, %v", name, len(b), err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}
