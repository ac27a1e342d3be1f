package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/model"
)

const (
	categoryHead      = "The head, where the model file does not say"
	categoryDetection = "Detection"
)

// headFlags are those that tell trtdet what a model file leaves out; build,
// run, eval and info share them.
func headFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: categoryHead, Name: "cfg", Usage: "YOLOv5 model `FILE` (.yaml) with anchors and nc"},
		&cli.StringFlag{Category: categoryHead, Name: "data", Usage: "YOLOv5 data `FILE` (.yaml) with the class names"},
		&cli.StringFlag{Category: categoryHead, Name: "head", DefaultText: "read from the graph",
			Usage: "`WORDS` for its kind (coupled, decoupled-base, decoupled, yolox), its layout (fused, split, 5d, rows, rows-grid, " +
				"columns, end2end) and its family (yolov5, yolov8), with commas: rows,yolov5"},
		&cli.StringFlag{Category: categoryHead, Name: "anchors", DefaultText: "read from the model",
			Usage: "`W,H,...` in pixels, levels apart by colons: 10,13,16,30,33,23:30,61,62,45,59,119"},
		&cli.StringFlag{Category: categoryHead, Name: "letterbox", DefaultText: "the head's own",
			Usage: "`WHERE` the picture lies in the input: center or top-left"},
		&cli.StringFlag{Category: categoryHead, Name: "channel-order", DefaultText: "the head's own",
			Usage: "`ORDER` of the input's colors: rgb or bgr"},
		&cli.Float64Flag{Category: categoryHead, Name: "pixel-range", DefaultText: "the head's own",
			Usage: "`VALUE` of a white pixel in the input: 1 or 255"},
	}
}

// thresholdFlags are build's and run's.
func thresholdFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Category: categoryDetection, Name: "conf-thres", DefaultText: "the model's: 0.25, decoupled 0.4, decoupled-base 0.5",
			Usage: "least `SCORE` of a detection, 0 to 1"},
		&cli.Float64Flag{Category: categoryDetection, Name: "iou-thres", DefaultText: "the model's: 0.45",
			Usage: "`IoU` above which the weaker box goes, 0 to 1"},
	}
}

// hints reads headFlags and, where the command has them, thresholdFlags.
func hints(c *cli.Context) (model.Hints, error) {
	h := model.Hints{
		Cfg: c.String("cfg"), Data: c.String("data"), Head: c.String("head"),
		Letterbox: c.String("letterbox"), ChannelOrder: c.String("channel-order"), PixelRange: float32(c.Float64("pixel-range")),
	}
	for flag, known := range map[string][]string{"letterbox": {"", "center", "top-left"}, "channel-order": {"", "rgb", "bgr"}} {
		if v := c.String(flag); !slices.Contains(known, v) {
			return h, usagef("--%s %s: want %s", flag, v, strings.Join(known[1:], " or "))
		}
	}
	if c.IsSet("pixel-range") && h.PixelRange != 1 && h.PixelRange != 255 {
		return h, usagef("--pixel-range %v: want 1 or 255", c.Float64("pixel-range"))
	}
	var err error
	if h.Anchors, err = parseAnchors(c.String("anchors")); err != nil {
		return h, err
	}
	if c.IsSet("conf-thres") {
		if h.Conf, err = parseThreshold("conf-thres", c.Float64("conf-thres")); err != nil {
			return h, err
		}
	}
	if c.IsSet("iou-thres") {
		if h.IoU, err = parseThreshold("iou-thres", c.Float64("iou-thres")); err != nil {
			return h, err
		}
	}
	return h, nil
}
