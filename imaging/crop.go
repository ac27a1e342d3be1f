package imaging

import "github.com/trtdet/trtdet/decode"

// Crop copies the part of the picture around a box, which is in pixels of the
// picture: the box scaled by gain about its center, then pad pixels wider and
// higher, cut to the picture. YOLOv5's save_one_box takes 1.02 and 10. A box
// that lies outside gives a picture of 0x0.
func (p *Picture) Crop(b decode.Box, gain float64, pad int) *Picture {
	around := func(low, high float32, limit int) (int, int) {
		center := (float64(low) + float64(high)) / 2
		half := (float64(high-low)*gain + float64(pad)) / 2
		// truncated towards zero before the cut, as YOLOv5's .long() does
		return clampFloat(center-half, limit), clampFloat(center+half, limit)
	}
	x1, x2 := around(b.X1, b.X2, p.Width)
	y1, y2 := around(b.Y1, b.Y2, p.Height)
	if x2 <= x1 || y2 <= y1 {
		return NewPicture(0, 0)
	}
	out := NewPicture(x2-x1, y2-y1)
	for y := range out.Height {
		copy(out.Pix[3*y*out.Width:][:3*out.Width], p.Pix[3*((y1+y)*p.Width+x1):])
	}
	return out
}

// clampFloat truncates v and holds it within 0 and limit; NaN is 0.
func clampFloat(v float64, limit int) int {
	if !(v > 0) {
		return 0
	}
	return int(min(v, float64(limit)))
}
