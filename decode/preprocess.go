package decode

import "fmt"

// Placement is where the letterbox lays the resized picture in the input.
type Placement string

// The placements.
const (
	Center  Placement = "center"   // YOLOv5: the border is split between both sides
	TopLeft Placement = "top-left" // YOLOX: the border is right of and below the picture
)

// ChannelOrder is the order of the color planes of the input.
type ChannelOrder string

// The channel orders.
const (
	RGB ChannelOrder = "rgb"
	BGR ChannelOrder = "bgr"
)

// Pad is the level, 0 to 255, of the letterbox's border in every channel.
const Pad = 114

// Preprocess says how a picture becomes the network's input (B, 3, H, W).
type Preprocess struct {
	Letterbox    Placement    `json:"letterbox"`
	ChannelOrder ChannelOrder `json:"channel_order"`
	// PixelRange is the value a white pixel has in the input: 1 (YOLOv5,
	// which divides by 255) or 255 (YOLOX, which does not).
	PixelRange float32 `json:"pixel_range"`
}

// Preprocess returns what the family's own code base does: YOLOX lays the
// picture top-left, in BGR, 0 to 255; the others center it, in RGB, 0 to 1.
func (f Family) Preprocess() Preprocess {
	if f == YOLOX {
		return Preprocess{Letterbox: TopLeft, ChannelOrder: BGR, PixelRange: 255}
	}
	return Preprocess{Letterbox: Center, ChannelOrder: RGB, PixelRange: 1}
}

// Validate reports the first field with a value trtdet does not know, as an
// error that wraps ErrHead.
func (p Preprocess) Validate() error {
	switch p.Letterbox {
	case Center, TopLeft:
	default:
		return fmt.Errorf("%w: letterbox %q is none of center, top-left", ErrHead, p.Letterbox)
	}
	switch p.ChannelOrder {
	case RGB, BGR:
	default:
		return fmt.Errorf("%w: channel order %q is none of rgb, bgr", ErrHead, p.ChannelOrder)
	}
	if !(p.PixelRange > 0) || !finite(p.PixelRange) {
		return fmt.Errorf("%w: pixel range is %g, want a positive number such as 1 or 255", ErrHead, p.PixelRange)
	}
	return nil
}
