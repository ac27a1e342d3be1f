package engine

import (
	"fmt"
	"log/slog"
	"strconv"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model"
)

// inputSize settles the network's input size from the model and the caller's
// wish (0 for none).
func inputSize(n *model.Network, height, width int, log *slog.Logger) (h, w int, err error) {
	fixedH, fixedW, dynamic := n.InputSize()
	if !dynamic {
		if (height != 0 && height != fixedH) || (width != 0 && width != fixedW) {
			return 0, 0, fmt.Errorf("the input is fixed at %dx%d (height x width) and cannot be %dx%d: "+
				"leave --imgsz out, or export the model with a dynamic size", fixedH, fixedW, height, width)
		}
		return fixedH, fixedW, nil
	}
	h, w = wholeStrides(n.Head, orDefault(height, DefaultImgSize)), wholeStrides(n.Head, orDefault(width, DefaultImgSize))
	if (height != 0 && h != height) || (width != 0 && w != width) {
		log.Warn("input size rounded up to a multiple of the largest stride",
			"asked", fmt.Sprintf("%dx%d", height, width), "used", fmt.Sprintf("%dx%d", h, w))
	}
	if (fixedH != 0 && h != fixedH) || (fixedW != 0 && w != fixedW) {
		return 0, 0, fmt.Errorf("the input cannot be %dx%d (height x width): its height is %s, its width %s; say so with --imgsz",
			h, w, sideWord(fixedH), sideWord(fixedW))
	}
	return h, w, nil
}

// sideWord words a side of the input that may be free.
func sideWord(size int) string {
	if size == 0 {
		return "free"
	}
	return "fixed at " + strconv.Itoa(size)
}

func orDefault(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// wholeStrides rounds size up to a multiple of the head's largest stride, 32
// where the graph has decoded already and the strides are not known.
func wholeStrides(h decode.Head, size int) int {
	stride := 32
	if !h.Decoded() {
		stride = 1
		for _, l := range h.Levels {
			stride = max(stride, l.Stride)
		}
	}
	return (size + stride - 1) / stride * stride
}
