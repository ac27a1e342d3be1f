package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/pipeline"
	"github.com/trtdet/trtdet/report"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "find objects in pictures",
		ArgsUsage: "MODEL SOURCE...",
		Description: "SOURCE is an image (JPEG, PNG, WebP, BMP, TIFF, GIF, PNM; docs/images.md), a folder, a pattern, or - for a\n" +
			"list of paths on standard input. Annotated pictures go to runs/detect/exp, exp2, ... A video, camera or\n" +
			"stream is not read yet: the error has the ffmpeg command that makes images of it.\n\n" +
			"Examples:\n" +
			"  trtdet run best.onnx street.jpg\n" +
			"  trtdet run best.onnx 'pictures/**/*.jpg' --conf-thres 0.4 --classes car,dog --save-txt\n" +
			"  find . -name '*.png' | trtdet run best.onnx - --format jsonl --nosave > found.jsonl",
		Flags: slices.Concat(networkFlags(), []cli.Flag{
			&cli.IntFlag{Category: categoryDetection, Name: "max-det", Usage: "most detections `N` in a picture", Value: engine.DefaultMaxDet},
			&cli.StringSliceFlag{Category: categoryDetection, Name: "classes", Usage: "keep these `CLASSES` only, by name or index: car,dog,5", DefaultText: "all"},
			&cli.BoolFlag{Category: categoryDetection, Name: "agnostic-nms", Usage: "let boxes of different classes suppress each other"},
			&cli.StringFlag{Category: categoryOutput, Name: "format", Usage: "`FORMAT` on standard output: table, jsonl, coco or csv", Value: "table"},
			&cli.BoolFlag{Category: categoryOutput, Name: "all-rows", Usage: "print every row of the table; a file gets all without it"},
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
	if err := pipeline.CheckSources(sources); err != nil {
		return err
	}
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
	detector, err := engine.Open(c.Context, modelPath, options)
	if err != nil {
		return classesError(modelPath, err)
	}
	defer detector.Close()
	return runOver(c, detector, sources, total, options)
}

func runOptions(c *cli.Context) (*engine.Options, error) {
	o, err := networkOptions(c)
	if err != nil {
		return nil, err
	}
	o.AgnosticNMS = c.Bool("agnostic-nms")
	if o.Classes, o.ClassNames, err = parseClasses(c.StringSlice("classes")); err != nil {
		return nil, err
	}
	if n := c.Int("line-thickness"); c.IsSet("line-thickness") && (n < 1 || n > 1000) {
		return nil, usagef("--line-thickness %d: want 1 to 1000", n)
	}
	return o, nil
}

// runOver takes the sources through the detector and reports what comes out.
// total is how many they are, -1 where nobody knows.
func runOver(c *cli.Context, d *engine.Detector, sources []string, total int, o *engine.Options) error {
	writer, err := report.NewWriter(c.String("format"), c.App.Writer, tableOptions(c, d))
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
		if !c.IsSet("conf-thres") && pictures > failed {
			fmt.Fprintln(c.App.Writer, confWords(d.Spec()))
		}
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

// tableOptions lay the table out for a terminal, or for a file.
func tableOptions(c *cli.Context, d *engine.Detector) report.TableOptions {
	to := c.App.Writer
	if checked, ok := to.(*checkedWriter); ok {
		to = checked.w
	}
	return report.TableOptions{ClassWidth: longestName(d), Width: columns(to), All: c.Bool("all-rows") || isFile(to), AllFlag: "--all-rows"}
}

// confWords say which confidence a run without --conf-thres has, and why.
func confWords(spec model.Spec) string {
	conf, why := spec.Thresholds.Conf, "YOLOv5's default"
	switch {
	case conf != spec.Head.DefaultThresholds().Conf:
		why = "as the engine was built"
	case spec.Head.Kind == decode.Decoupled || spec.Head.Kind == decode.DecoupledBase:
		why = fmt.Sprintf("the article's default for %s heads", spec.Head.Kind)
	}
	return fmt.Sprintf("conf %s, %s; --conf-thres changes it", strconv.FormatFloat(float64(conf), 'g', -1, 32), why)
}

// parseClasses reads the words of --classes: indices and names.
func parseClasses(words []string) (ids []int, names []string, err error) {
	for _, word := range words {
		id, notANumber := strconv.Atoi(word)
		switch {
		case word == "":
			return nil, nil, usagef("--classes: want names or indices such as car,dog,5")
		case notANumber == nil:
			ids = append(ids, id)
		default:
			names = append(names, word)
		}
	}
	return ids, names, nil
}

// classesError adds the flag, and the name that may have been meant.
func classesError(path string, err error) error {
	unknown := (*engine.UnknownClassError)(nil)
	if !errors.As(err, &unknown) {
		return err
	}
	remedy := ""
	if meant := nearestName(unknown.Class, unknown.Names); meant != "" {
		remedy = fmt.Sprintf("; did you mean %s?", meant)
	} else if len(unknown.Names) == 0 {
		remedy = "; --data FILE names them"
	}
	return fmt.Errorf("%s: --classes: %w%s", path, unknown, remedy)
}

func nearestName(name string, names []string) string {
	lower := make([]string, len(names))
	for i := range names {
		lower[i] = strings.ToLower(names[i])
	}
	if at := slices.Index(lower, nearest(strings.ToLower(name), lower)); at >= 0 {
		return names[at]
	}
	return ""
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
