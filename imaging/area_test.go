package imaging

import (
	"slices"
	"testing"

	"github.com/trtdet/trtdet/tests/oracle"
)

// TestResizeAgainstCV2 holds ShrinkArea to cv2.resize with INTER_AREA, to the
// bit, and ResizeLinear to INTER_LINEAR as the letterbox is held: 98 % of the
// pixels equal, the rest one level off.
func TestResizeAgainstCV2(t *testing.T) {
	var cases struct {
		CV2    string
		Resize []struct {
			Name    string
			Size    [2]int
			Resized [2]int
			How     string
			Pixels  oracle.Blob
			Want    oracle.Blob
		}
	}
	blobs := oracle.Load(t, oracle.Venv, "area_cases.py", &cases)
	area, worst := 0, 0.0
	for _, c := range cases.Resize {
		p := &Picture{Width: c.Size[0], Height: c.Size[1], Pix: blobs.Bytes(c.Pixels)}
		before := slices.Clone(p.Pix)
		resize, bound := ShrinkArea, 0.0
		if c.How == "linear" {
			resize, bound = ResizeLinear, 0.02
		} else {
			area++
		}
		got := resize(p, c.Resized[0], c.Resized[1])
		if got.Width != c.Resized[0] || got.Height != c.Resized[1] {
			t.Errorf("%s: got %dx%d", c.Name, got.Width, got.Height)
			continue
		}
		share, greatest := differing(got.Pix, blobs.Bytes(c.Want))
		if share > bound || greatest > 1 {
			t.Errorf("%s: %.3f %% of the pixels differ, by %d at most", c.Name, 100*share, greatest)
		}
		if worst = max(worst, share); !slices.Equal(p.Pix, before) {
			t.Errorf("%s: the image itself was changed", c.Name)
		}
	}
	if area < 90 {
		t.Errorf("%d cases of INTER_AREA", area)
	}
	t.Logf("cv2 %s: %d images shrunk to the bit; INTER_LINEAR differs in at most %.3f %% of the pixels", cases.CV2, area, 100*worst)
}

// differing returns the share of pixels of two images that differ, and the
// greatest difference of a channel.
func differing(got, want []byte) (share float64, greatest int) {
	if len(got) != len(want) {
		return 1, 256
	}
	n := 0
	for i := 0; i < len(got); i += 3 {
		d := 0
		for k := range 3 {
			d = max(d, int(got[i+k])-int(want[i+k]), int(want[i+k])-int(got[i+k]))
		}
		if d > 0 {
			n++
		}
		greatest = max(greatest, d)
	}
	return float64(n) / float64(len(got)/3), greatest
}

// What is no shrinking panics in the caller, not far from there.
func TestResizePanics(t *testing.T) {
	p := &Picture{Width: 4, Height: 3, Pix: make([]byte, 36)}
	for name, call := range map[string]func(){
		"wider":        func() { ShrinkArea(p, 5, 3) },
		"taller":       func() { ShrinkArea(p, 4, 4) },
		"no width":     func() { ShrinkArea(p, 0, 3) },
		"no height":    func() { ResizeLinear(p, 4, 0) },
		"broken":       func() { ShrinkArea(&Picture{Width: 4, Height: 3}, 2, 2) },
		"broken, too":  func() { ResizeLinear(&Picture{Width: 4, Height: 3}, 2, 2) },
		"no image":     func() { ResizeLinear(nil, 2, 2) },
		"no image too": func() { ShrinkArea(nil, 2, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it does not panic")
				}
			}()
			call()
		})
	}
}

func BenchmarkShrinkArea(b *testing.B) {
	p := &Picture{Width: 1920, Height: 1080, Pix: make([]byte, 3*1920*1080)}
	for name, size := range map[string][2]int{"third": {640, 360}, "cells": {416, 234}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ShrinkArea(p, size[0], size[1])
			}
		})
	}
}
