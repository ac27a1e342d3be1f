package decode

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestFitTable(t *testing.T) {
	cases := []struct {
		pw, ph, iw, ih    int
		p                 Placement
		rw, rh, left, top int
		gain, padX, padY  float64
	}{
		{640, 640, 640, 640, Center, 640, 640, 0, 0, 1, 0, 0},
		{1920, 1080, 640, 640, Center, 640, 360, 0, 140, 1.0 / 3, 0, 140},
		{1080, 810, 640, 640, Center, 640, 480, 0, 80, 640.0 / 1080, 0, 80},
		{1, 1, 640, 640, Center, 640, 640, 0, 0, 640, 0, 0},
		{3000, 7, 640, 640, Center, 640, 1, 0, 319, 640.0 / 3000, 0, (640 - 7*640.0/3000) / 2},
		{3000, 7, 64, 64, Center, 64, 1, 0, 31, 64.0 / 3000, 0, (64 - 7*64.0/3000) / 2},
		// an odd border: round(d - 0.1) gives the smaller half to the top
		{640, 427, 640, 640, Center, 640, 427, 0, 106, 1, 0, 106.5},
		// half to even: 5 * 0.5 = 2.5 is 2, 7 * 0.5 = 3.5 is 4
		{64, 5, 32, 32, Center, 32, 2, 0, 15, 0.5, 0, 14.75},
		{64, 7, 32, 32, Center, 32, 4, 0, 14, 0.5, 0, 14.25},
		{64, 7, 32, 32, TopLeft, 32, 3, 0, 0, 0.5, 0, 0},
		{3000, 7, 64, 64, TopLeft, 64, 1, 0, 0, 64.0 / 3000, 0, 0},
		{1920, 1080, 416, 416, TopLeft, 416, 234, 0, 0, 416.0 / 1920, 0, 0},
	}
	for _, c := range cases {
		got := NewFit(c.pw, c.ph, c.iw, c.ih, c.p)
		want := Fit{c.pw, c.ph, c.iw, c.ih, c.rw, c.rh, c.left, c.top, c.gain, c.padX, c.padY}
		if got.ResizedW != want.ResizedW || got.ResizedH != want.ResizedH || got.Left != want.Left || got.Top != want.Top ||
			math.Abs(got.Gain-want.Gain) > 1e-12 || math.Abs(got.PadX-want.PadX) > 1e-9 || math.Abs(got.PadY-want.PadY) > 1e-9 {
			t.Errorf("%dx%d to %dx%d %s:\n got %+v\nwant %+v", c.pw, c.ph, c.iw, c.ih, c.p, got, want)
		}
	}
	if f := NewFit(0, -5, 0, 640, Center); f.PictureW != 1 || f.PictureH != 1 || f.InputW != 1 || f.ResizedW != 1 {
		t.Errorf("sides under 1: %+v", f)
	}
}

// TestFitProperties: the picture lies within the input, and boxes come back
// to where they were.
func TestFitProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 20000 {
		pw, ph, iw, ih := 1+rng.IntN(5000), 1+rng.IntN(5000), 1+rng.IntN(1300), 1+rng.IntN(1300)
		p := []Placement{Center, TopLeft}[rng.IntN(2)]
		f := NewFit(pw, ph, iw, ih, p)
		if f.Left < 0 || f.Top < 0 || f.ResizedW < 1 || f.ResizedH < 1 || f.Left+f.ResizedW > iw || f.Top+f.ResizedH > ih {
			t.Fatalf("the picture lies outside the input: %+v", f)
		}
		if p == Center && f.ResizedW < iw-1 && f.ResizedH < ih-1 {
			t.Fatalf("the picture touches no side of the input: %+v", f)
		}
		x, y := rng.Float32()*float32(pw), rng.Float32()*float32(ph)
		b := Box{x, y, x + rng.Float32()*(float32(pw)-x), y + rng.Float32()*(float32(ph)-y)}
		if d := apart(f.ToPicture(laid(f, b)), b); d > 0.01*float64(max(pw, ph))/1000/min(f.Gain, 1) {
			t.Fatalf("%+v: box %+v comes back as %+v", f, b, f.ToPicture(laid(f, b)))
		}
		got := f.ToPicture(Box{-1e9, -1e9, 1e9, 1e9})
		if got != (Box{0, 0, float32(pw), float32(ph)}) {
			t.Fatalf("%+v clips to %+v", f, got)
		}
	}
}

// laid takes a box from pixels of the picture to pixels of the input.
func laid(f Fit, b Box) Box {
	x := func(v float32) float32 { return float32(float64(v)*f.Gain + f.PadX) }
	y := func(v float32) float32 { return float32(float64(v)*f.Gain + f.PadY) }
	return Box{x(b.X1), y(b.Y1), x(b.X2), y(b.Y2)}
}
