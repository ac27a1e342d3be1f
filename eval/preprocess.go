package eval

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/pipeline"
)

// Preprocess names the script of YOLOv5 that images are resized as.
type Preprocess string

// The scripts.
const (
	// PreprocessDetect is detect.py, and what a Detector does by itself.
	PreprocessDetect Preprocess = "detect"
	// PreprocessVal is val.py: see ValPreprocess.
	PreprocessVal Preprocess = "val"
)

// Of returns d as it resizes images.
func (p Preprocess) Of(d SizedDetector) pipeline.Detector {
	if p == PreprocessVal {
		return ValPreprocess(d)
	}
	return d
}

// SizedDetector is a pipeline.Detector that says how large its input is, in
// pixels: an *engine.Detector.
type SizedDetector interface {
	pipeline.Detector
	InputSize() (height, width int)
}

// ValPreprocess returns a detector that resizes images as YOLOv5's val.py does
// (load_image in utils/dataloaders.py) before d lays them in its input: with
// INTER_AREA where they shrink, with INTER_LINEAR where they grow, to sides
// that are rounded up. d's own letterbox then pads them. detect.py, and d by
// itself, resize in the letterbox, with INTER_LINEAR alone, to sides that are
// rounded.
//
// val.py takes square inputs only. In others an image is resized by the
// letterbox's gain.
//
// Boxes are in pixels of the image that was given, clipped to it. The time of
// the resize counts as the letterbox's.
func ValPreprocess(d SizedDetector) pipeline.Detector { return &valDetector{d} }

type valDetector struct{ SizedDetector }

// DetectBatch resizes the images side by side and hands them on. The errors are
// imaging.Load's and those of the detector behind.
func (d *valDetector) DetectBatch(ctx context.Context, images []imaging.Source) ([]engine.Result, error) {
	start := time.Now()
	height, width := d.InputSize()
	given, resized, failed := make([]*imaging.Picture, len(images)), make([]imaging.Source, len(images)), make([]error, len(images))
	var all sync.WaitGroup
	for i, source := range images {
		all.Go(func() {
			if given[i], failed[i] = imaging.Load(source, nil); failed[i] == nil {
				resized[i] = valResize(given[i], width, height)
			}
		})
	}
	all.Wait()
	for i, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("image %d of %d: %w", i+1, len(images), err)
		}
	}
	took := time.Since(start)
	results, err := d.SizedDetector.DetectBatch(ctx, resized)
	if err != nil {
		return nil, err
	}
	for i := range results {
		results[i].Timing.Letterbox += took
		rescale(results[i].Detections, resized[i].(*imaging.Picture), given[i])
	}
	return results, nil
}

// valResize is load_image: it returns the image itself where it fits.
func valResize(p *imaging.Picture, inputW, inputH int) *imaging.Picture {
	gain := min(float64(inputW)/float64(p.Width), float64(inputH)/float64(p.Height))
	// A product such as 525*(320/525) is a little more than 320. val.py makes 321 of it and
	// lets its letterbox shrink the image once more, and so does the detector behind.
	width, height := int(math.Ceil(float64(p.Width)*gain)), int(math.Ceil(float64(p.Height)*gain))
	switch {
	case gain == 1:
		return p
	case gain > 1:
		return imaging.ResizeLinear(p, width, height)
	}
	return imaging.ShrinkArea(p, width, height)
}

// rescale takes boxes from pixels of the resized image to those of the given
// one, each axis by its own gain. val.py takes both by the height's, its labels
// too, so that every IoU is the same here and there.
func rescale(detections []engine.Detection, resized, given *imaging.Picture) {
	x, y := float64(given.Width)/float64(resized.Width), float64(given.Height)/float64(resized.Height)
	for i := range detections {
		b := &detections[i].Box
		*b = decode.Box{
			X1: scaled(b.X1, x, given.Width), Y1: scaled(b.Y1, y, given.Height),
			X2: scaled(b.X2, x, given.Width), Y2: scaled(b.Y2, y, given.Height),
		}
	}
}

// scaled holds a coordinate within its side whatever the rounding does.
func scaled(v float32, by float64, side int) float32 {
	return min(float32(float64(v)*by), float32(side))
}
