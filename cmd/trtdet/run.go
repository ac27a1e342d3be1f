package main

import (
	"fmt"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/pipeline"
	"github.com/trtdet/trtdet/report"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "find objects in pictures",
		ArgsUsage: "MODEL SOURCE...",
		Description: "SOURCE is an image (JPEG, PNG, WebP, BMP, TIFF, GIF, PNM; docs/images.md), a folder, a pattern, or - for a\n" +
			"list of paths on standard input. Annotated pictures go to runs/detect/exp, exp2, ...\n\n" +
			"Examples:\n" +
			"  trtdet run best.onnx street.jpg\n" +
			"  trtdet run best.onnx 'pictures/**/*.jpg' --conf-thres 0.4 --classes 0,2 --save-txt\n" +
			"  find . -name '*.png' | trtdet run best.onnx - --format jsonl --nosave > found.jsonl",
		Flags: slices.Concat(networkFlags(), []cli.Flag{
			&cli.IntFlag{Category: categoryDetection, Name: "max-det", Usage: "most detections `N` in a picture", Value: engine.DefaultMaxDet},
			&cli.IntSliceFlag{Category: categoryDetection, Name: "classes", Usage: "keep these class `INDICES` only: 0,2,5", DefaultText: "all"},
			&cli.BoolFlag{Category: categoryDetection, Name: "agnostic-nms", Usage: "let boxes of different classes suppress each other"},
			&cli.StringFlag{Category: categoryOutput, Name: "format", Usage: "`FORMAT` on standard output: table, jsonl, coco or csv", Value: "table"},
			&cli.BoolFlag{Category: categoryOutput, Name: "nosave", Usage: "save no annotated pictures"},
			&cli.BoolFlag{Category: categoryOutput, Name: "save-txt", Usage: "save YOLO label files in labels/"},
			&cli.BoolFlag{Category: categoryOutput, Name: "save-conf", Usage: "with --save-txt: the score at the end of each line"},
			&cli.BoolFlag{Category: categoryOutput, Name: "save-crop", Usage: "save each object cut out in crops/CLASS/"},
			&cli.IntFlag{Category: categoryOutput, Name: "line-thickness", Usage: "of boxes, in `PIXELS`", DefaultText: "by the picture's size"},
			&cli.BoolFlag{Category: categoryOutput, Name: "hide-labels", Usage: "draw boxes without labels"},
			&cli.BoolFlag{Category: categoryOutput, Name: "hide-conf", Usage: "draw labels without scores"},
		}, folderFlags("runs/detect"), thresholdFlags(), headFlags()),
		Action: runPictures,
	}
}

func runPictures(c *cli.Context) error {
	if c.NArg() < 2 {
		return usagef("run: want MODEL and at least one SOURCE; see trtdet run --help")
	}
	modelPath, sources := c.Args().First(), c.Args().Tail()
	options, err := runOptions(c)
	if err != nil {
		return err
	}
	if !slices.Contains(report.Formats, c.String("format")) {
		return usagef("--format %s: want table, jsonl, coco or csv", c.String("format"))
	}
	if err := checkName(c); err != nil {
		return err
	}
	if c.Bool("save-conf") && !c.Bool("save-txt") {
		return usagef("--save-conf adds scores to label files: say --save-txt too")
	}
	total := countSources(sources)
	if !c.IsSet("slots") && total != 1 {
		options.Slots = manySlots
	}
	detector, err := engine.Open(modelPath, options)
	if err != nil {
		return err
	}
	defer detector.Close()
	return runOver(c, detector, sources, total, options)
}

func runOptions(c *cli.Context) (*engine.Options, error) {
	o, err := networkOptions(c)
	if err != nil {
		return nil, err
	}
	o.Classes, o.AgnosticNMS = c.IntSlice("classes"), c.Bool("agnostic-nms")
	if n := c.Int("line-thickness"); c.IsSet("line-thickness") && (n < 1 || n > 1000) {
		return nil, usagef("--line-thickness %d: want 1 to 1000", n)
	}
	return o, nil
}

// runOver takes the sources through the detector and reports what comes out.
// total is how many they are, -1 where nobody knows.
func runOver(c *cli.Context, d *engine.Detector, sources []string, total int, o *engine.Options) error {
	writer, err := report.NewWriter(c.String("format"), c.App.Writer, longestName(d))
	if err != nil {
		return err
	}
	folder, err := outputFolder(c)
	if err != nil {
		return err
	}
	screen := c.App.ErrWriter.(*console)
	progress := startRunProgress(screen, total)
	var pictures, failed, found int
	var nonFinite atomic.Int64
	err = pipeline.Run(c.Context, d, pipeline.Sources(sources, c.App.Reader), pipeline.Options{
		Batch:   o.Batch,
		Workers: o.Threads,
		Limits:  limits(c),
		Finish: func(item *pipeline.Item) error {
			nonFinite.Add(int64(item.Result.NonFinite))
			if folder == nil {
				return nil
			}
			return folder.Save(item.Source, item.Name, item.Picture, item.Result.Detections)
		},
		Emit: func(item *pipeline.Item) error {
			var err error
			screen.above(func() { err = emit(writer, item) })
			// an error of its own goes to standard error too, but for jsonl, which has a place for it
			if item.Err != nil && c.String("format") != "jsonl" {
				fmt.Fprintln(screen, "trtdet: "+errorText(item.Err))
			}
			progress.step()
			pictures++
			found += len(item.Result.Detections)
			if item.Err != nil {
				failed++
			}
			return err
		},
	})
	progress.finish()
	saved := folder != nil && folder.Close()
	if closeErr := writer.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if n := nonFinite.Load(); n > 0 {
		fmt.Fprintf(c.App.ErrWriter, "trtdet: warning: %d predictions were NaN or infinite and were left out\n", n)
	}
	if c.String("format") == "table" {
		fmt.Fprintf(c.App.Writer, "\n%s in %s", count(found, "object"), count(pictures-failed, "picture"))
		if saved {
			fmt.Fprintf(c.App.Writer, ", saved to %s", folder.Path())
		}
		fmt.Fprintln(c.App.Writer)
	} else if saved {
		fmt.Fprintf(c.App.ErrWriter, "saved to %s\n", folder.Path())
	}
	if failed > 0 {
		fmt.Fprintf(c.App.ErrWriter, "trtdet: %s could not be read or saved\n", count(failed, "source"))
		return errReported
	}
	return nil
}

func emit(w report.Writer, item *pipeline.Item) error {
	return w.Write(&report.Record{
		Source: item.Source, Name: item.Name, Width: item.Width, Height: item.Height, Detections: item.Result.Detections, Err: item.Err,
	})
}

func outputFolder(c *cli.Context) (*report.Folder, error) {
	o := report.FolderOptions{
		Pictures: !c.Bool("nosave"), Labels: c.Bool("save-txt"), Conf: c.Bool("save-conf"), Crops: c.Bool("save-crop"),
		Style: imaging.Style{LineThickness: c.Int("line-thickness"), HideLabels: c.Bool("hide-labels"), HideConf: c.Bool("hide-conf")},
	}
	if !o.Any() {
		return nil, nil
	}
	return report.NewFolder(c.String("project"), c.String("name"), c.Bool("exist-ok"), o)
}

func longestName(d *engine.Detector) int {
	longest := 0
	spec := d.Spec()
	for id := range spec.Head.Classes {
		longest = max(longest, utf8.RuneCountInString(d.ClassName(id)))
	}
	return longest
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// countSources is how many pictures the sources name, -1 with a list on
// standard input, whose end nobody knows.
func countSources(sources []string) int {
	if slices.Contains(sources, "-") {
		return -1
	}
	total := 0
	for range pipeline.Sources(sources, nil) {
		total++
	}
	return total
}
