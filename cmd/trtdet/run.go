package main

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/pipeline"
	"github.com/trtdet/trtdet/report"
)

const (
	categoryRun    = "The run"
	categoryOutput = "What comes out"
	// maxBatch is the most pictures at once: a few batches are held in memory.
	maxBatch = 1024
	// manySlots is how many batches the network works on at once where there is
	// more than one picture: nobody waits for a single one, and threads that
	// work apart do not wait for each other. Each slot holds a network's memory.
	manySlots = 4
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "find objects in pictures",
		ArgsUsage: "MODEL SOURCE...",
		Description: "SOURCE is a picture (JPEG, PNG, WebP, BMP, TIFF), a folder, a pattern, or - for a list of paths on\n" +
			"standard input. Annotated pictures go to runs/detect/exp, exp2, ...\n\n" +
			"Examples:\n" +
			"  trtdet run best.onnx street.jpg\n" +
			"  trtdet run best.onnx 'pictures/**/*.jpg' --conf-thres 0.4 --classes 0,2 --save-txt\n" +
			"  find . -name '*.png' | trtdet run best.onnx - --format jsonl --nosave > found.jsonl",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Category: categoryRun, Name: "device", Usage: "`DEVICE`: auto, cpu, cuda:0, cuda:0,1, or 0,1", Value: "auto"},
			&cli.StringFlag{Category: categoryRun, Name: "imgsz", Aliases: []string{"img", "img-size"}, Usage: "input `SIZE` in pixels, or HEIGHT,WIDTH",
				DefaultText: "the model's, 640 where it is dynamic"},
			&cli.IntFlag{Category: categoryRun, Name: "batch", Usage: "`N` pictures at once", Value: 1},
			&cli.IntFlag{Category: categoryRun, Name: "threads", Usage: "`N` threads on the CPU", DefaultText: "one per core"},
			&cli.IntFlag{Category: categoryRun, Name: "slots", Usage: "`N` batches in the network at once, each with its share of the threads: more pictures a second, each later",
				DefaultText: "1 for one picture, up to 4 for more"},
			&cli.IntFlag{Category: categoryDetection, Name: "max-det", Usage: "most detections `N` in a picture", Value: engine.DefaultMaxDet},
			&cli.IntSliceFlag{Category: categoryDetection, Name: "classes", Usage: "keep these class `INDICES` only: 0,2,5", DefaultText: "all"},
			&cli.BoolFlag{Category: categoryDetection, Name: "agnostic-nms", Usage: "let boxes of different classes suppress each other"},
			&cli.StringFlag{Category: categoryOutput, Name: "format", Usage: "`FORMAT` on standard output: table, jsonl, coco or csv", Value: "table"},
			&cli.BoolFlag{Category: categoryOutput, Name: "nosave", Usage: "save no annotated pictures"},
			&cli.BoolFlag{Category: categoryOutput, Name: "save-txt", Usage: "save YOLO label files in labels/"},
			&cli.BoolFlag{Category: categoryOutput, Name: "save-conf", Usage: "with --save-txt: the score at the end of each line"},
			&cli.BoolFlag{Category: categoryOutput, Name: "save-crop", Usage: "save each object cut out in crops/CLASS/"},
			&cli.StringFlag{Category: categoryOutput, Name: "project", Usage: "save to `FOLDER`/NAME", Value: "runs/detect"},
			&cli.StringFlag{Category: categoryOutput, Name: "name", Usage: "save to PROJECT/`NAME`", Value: "exp"},
			&cli.BoolFlag{Category: categoryOutput, Name: "exist-ok", Usage: "save to PROJECT/NAME even if it exists"},
			&cli.IntFlag{Category: categoryOutput, Name: "line-thickness", Usage: "of boxes, in `PIXELS`", DefaultText: "by the picture's size"},
			&cli.BoolFlag{Category: categoryOutput, Name: "hide-labels", Usage: "draw boxes without labels"},
			&cli.BoolFlag{Category: categoryOutput, Name: "hide-conf", Usage: "draw labels without scores"},
		}, thresholdFlags(), headFlags()),
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
	if name := c.String("name"); !filepath.IsLocal(name) {
		return usagef("--name %s: want a name inside the project; --project names another place", name)
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
	o := &engine.Options{
		Batch: c.Int("batch"), MaxDet: c.Int("max-det"), Classes: c.IntSlice("classes"),
		AgnosticNMS: c.Bool("agnostic-nms"), Threads: c.Int("threads"), Slots: c.Int("slots"),
	}
	for flag, most := range map[string]int{"batch": maxBatch, "max-det": math.MaxInt32} {
		if n := c.Int(flag); n < 1 || n > most {
			return nil, usagef("--%s %d: want 1 to %d", flag, n, most)
		}
	}
	if n := c.Int("line-thickness"); c.IsSet("line-thickness") && (n < 1 || n > 1000) {
		return nil, usagef("--line-thickness %d: want 1 to 1000", n)
	}
	// ONNX Runtime's threads spin: many more than cores stand in each other's way for minutes
	for _, flag := range []string{"threads", "slots"} {
		if n, most := c.Int(flag), max(64, runtime.NumCPU()); c.IsSet(flag) && (n < 1 || n > most) {
			return nil, usagef("--%s %d: want 1 to %d", flag, n, most)
		}
	}
	var err error
	if o.Device, err = engine.ParseDevice(c.String("device")); err != nil {
		return nil, usagef("--device: %w", err)
	}
	if o.Head, err = hints(c); err != nil {
		return nil, err
	}
	if o.Height, o.Width, err = parseImgSize(c.String("imgsz")); err != nil {
		return nil, err
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
