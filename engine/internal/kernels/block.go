package kernels

// #cgo CFLAGS: -I${SRCDIR}/../../../csrc/kernels
// #include "block.h"
import "C"

import (
	"fmt"

	"github.com/trtdet/trtdet/decode"
)

// What lies in device memory, as block.h has it.
type (
	Block     = C.trtdet_block
	Picture   = C.trtdet_picture
	View      = C.trtdet_view
	Threshold = C.trtdet_threshold
	Found     = C.trtdet_found
)

// Input is the network's input (B, 3, Height, Width).
type Input struct {
	Address       uint64
	Width, Height int
	Half          bool    // of float16, not float32
	Range         float32 // what a white pixel becomes: decode.Preprocess.PixelRange
}

// NewPicture says where a picture's 8-bit pixels lie, 3 bytes each in rows of
// pitch bytes, and where they go in the input. swapped gives the network's
// first channel the pixels' third byte.
func NewPicture(pixels uint64, pitch int, fit decode.Fit, swapped bool) Picture {
	// 1/(n/size), not size/n: cv2's own arithmetic, which rounds twice
	step := func(resized, size int) C.double { return C.double(1 / (float64(resized) / float64(size))) }
	return Picture{
		pixels: C.uint64_t(pixels), pitch: C.uint64_t(pitch),
		width: C.int32_t(fit.PictureW), height: C.int32_t(fit.PictureH),
		resized_width: C.int32_t(fit.ResizedW), resized_height: C.int32_t(fit.ResizedH),
		left: C.int32_t(fit.Left), top: C.int32_t(fit.Top),
		step_x: step(fit.ResizedW, fit.PictureW), step_y: step(fit.ResizedH, fit.PictureH),
		swapped: flag(swapped),
	}
}

// NoPicture has the letterbox kernel leave a picture's part of the input as it
// is.
func NoPicture() Picture { return Picture{} }

// SetLetterbox has the letterbox kernel write count pictures, a Picture each
// from the address on, into the input.
func SetLetterbox(b *Block, pictures uint64, count int, in Input) {
	b.letterbox = C.trtdet_letterbox{
		pictures: C.uint64_t(pictures), count: C.int32_t(count),
		input: C.uint64_t(in.Address), width: C.int32_t(in.Width), height: C.int32_t(in.Height),
		half: flag(in.Half), _range: C.float(in.Range),
	}
}

// Output is one of the network's outputs.
type Output struct {
	Address uint64
	Half    bool // of float16, not float32
}

// NewView places a view in the outputs that it was made for.
func NewView(v decode.View, outputs []Output) (View, error) {
	placed := View{
		channel: C.uint64_t(v.Channel), position: C.uint64_t(v.Position), count: C.int32_t(v.Count), anchor: C.int32_t(v.Anchor),
		nx: C.int32_t(max(v.NX, 1)), stride: C.float(v.Stride), anchor_width: C.float(v.AnchorW), anchor_height: C.float(v.AnchorH),
		half: flag(outputs[v.Box.Output].Half),
	}
	for _, part := range [...]struct {
		decode.Part
		address, next *C.uint64_t
	}{
		{v.Box, &placed.box, &placed.box_next},
		{v.Conf, &placed.conf, &placed.conf_next},
		{v.Labels, &placed.labels, &placed.labels_next},
	} {
		if part.Output < 0 {
			continue
		}
		output, size := outputs[part.Output], 4
		if output.Half {
			size = 2
		}
		if flag(output.Half) != placed.half {
			return View{}, fmt.Errorf("outputs %d and %d of one level are not both float32 or float16", v.Box.Output, part.Output)
		}
		*part.address = C.uint64_t(output.Address + uint64(part.First*size))
		*part.next = C.uint64_t(part.Next)
	}
	return placed, nil
}

// Candidates is where the decode kernel puts what it finds: a Found and room
// for Capacity decode.Candidates for each picture.
type Candidates struct {
	Found, Address uint64
	Capacity       int
}

var formulas = [...]C.int32_t{
	decode.FormulaYOLOv5: C.TRTDET_YOLOV5, decode.FormulaYOLOX: C.TRTDET_YOLOX, decode.FormulaYOLOv8: C.TRTDET_YOLOV8,
	decode.FormulaDecoded: C.TRTDET_DECODED, decode.FormulaCorners: C.TRTDET_CORNERS,
}

// NewThreshold is the threshold of 0 to 1 that a picture's candidates have to
// exceed.
func NewThreshold(d *decode.Decoder, conf float32) Threshold {
	return Threshold{conf: C.float(conf), border: C.float(d.ConfBorder(conf))}
}

// SetDecode has the decode kernel read count pictures through the views from
// the address on, which the decoder's Views were, each with its Threshold of
// those from another address on.
func SetDecode(b *Block, views, thresholds uint64, count int, d *decode.Decoder, to Candidates) {
	head := d.Head()
	b.decode = C.trtdet_decode{
		views: C.uint64_t(views), thresholds: C.uint64_t(thresholds), count: C.int32_t(count),
		found: C.uint64_t(to.Found), candidates: C.uint64_t(to.Address), capacity: C.int32_t(to.Capacity),
		classes: C.int32_t(head.Classes), formula: formulas[head.Formula()], reg_max: C.int32_t(head.RegMax),
		logits: flag(!head.SigmoidApplied), multi_label: flag(d.MultiLabel),
	}
}

// Counts returns how many candidates passed, which may be more than there was
// room for, and how many predictions were dropped because a number in them is
// NaN or infinite.
func Counts(f *Found) (candidates, nonFinite int) { return int(f.candidates), int(f.non_finite) }

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// CandidateSize is the number of bytes of a candidate on the device: those of a
// decode.Candidate.
const CandidateSize = C.sizeof_trtdet_candidate
