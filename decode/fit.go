package decode

import "math"

// Box is a rectangle by two corners, in pixels of the input or of the picture
// as the function that returns it says. X grows to the right, Y downwards.
type Box struct {
	X1, Y1, X2, Y2 float32
}

// Width returns X2 - X1.
func (b Box) Width() float32 { return b.X2 - b.X1 }

// Height returns Y2 - Y1.
func (b Box) Height() float32 { return b.Y2 - b.Y1 }

// IoU returns the intersection of two boxes over their union, 0 to 1; 0 where
// neither has an area.
func (b Box) IoU(other Box) float64 {
	width := float64(min(b.X2, other.X2)) - float64(max(b.X1, other.X1))
	height := float64(min(b.Y2, other.Y2)) - float64(max(b.Y1, other.Y1))
	if width <= 0 || height <= 0 {
		return 0
	}
	area := func(b Box) float64 { return float64(b.Width()) * float64(b.Height()) }
	return width * height / (area(b) + area(other) - width*height)
}

// Fit is where one picture lies in the network's input: the geometry of the
// letterbox. Sides are in pixels.
type Fit struct {
	PictureW, PictureH int // the picture as shown
	InputW, InputH     int // the network's input
	ResizedW, ResizedH int // the picture after the resize
	Left, Top          int // the resized picture's corner in the input
	// Gain is input pixels per picture pixel, before the resized sides were
	// rounded.
	Gain float64
	// PadX and PadY are the left and top border in input pixels, not rounded:
	// what boxes are taken back with.
	PadX, PadY float64
}

// NewFit computes the letterbox of a picture in an input, both with sides of
// at least 1 px (less is taken as 1). Center is YOLOv5's letterbox with auto
// off and scaleup on (utils/augmentations.py: sides rounded half to even, the
// corner at round(d/2 - 0.1)); TopLeft is YOLOX's preproc (sides truncated).
// A resized side is never less than 1 px.
func NewFit(pictureW, pictureH, inputW, inputH int, p Placement) Fit {
	f := Fit{
		PictureW: max(pictureW, 1), PictureH: max(pictureH, 1),
		InputW: max(inputW, 1), InputH: max(inputH, 1),
	}
	w, h := float64(f.PictureW), float64(f.PictureH)
	f.Gain = min(float64(f.InputH)/h, float64(f.InputW)/w)
	if p == TopLeft {
		f.ResizedW = side(math.Trunc(w*f.Gain), f.InputW)
		f.ResizedH = side(math.Trunc(h*f.Gain), f.InputH)
		return f
	}
	f.ResizedW = side(math.RoundToEven(w*f.Gain), f.InputW)
	f.ResizedH = side(math.RoundToEven(h*f.Gain), f.InputH)
	f.Left = int(math.RoundToEven(float64(f.InputW-f.ResizedW)/2 - 0.1))
	f.Top = int(math.RoundToEven(float64(f.InputH-f.ResizedH)/2 - 0.1))
	f.PadX = (float64(f.InputW) - w*f.Gain) / 2
	f.PadY = (float64(f.InputH) - h*f.Gain) / 2
	return f
}

// side holds a resized side within 1 and the input's.
func side(v float64, limit int) int { return min(max(int(v), 1), limit) }

// ToPicture takes a box from pixels of the input to pixels of the picture and
// clips it to the picture: YOLOv5's scale_boxes, whose border is not rounded,
// or YOLOX's division by the gain.
func (f Fit) ToPicture(b Box) Box {
	w, h := float64(f.PictureW), float64(f.PictureH)
	return Box{
		X1: unfit(b.X1, f.PadX, f.Gain, w),
		Y1: unfit(b.Y1, f.PadY, f.Gain, h),
		X2: unfit(b.X2, f.PadX, f.Gain, w),
		Y2: unfit(b.Y2, f.PadY, f.Gain, h),
	}
}

func unfit(v float32, pad, gain, limit float64) float32 {
	return float32(min(max((float64(v)-pad)/gain, 0), limit))
}
