package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/eval"
	"github.com/trtdet/trtdet/pipeline"
	"github.com/trtdet/trtdet/report"
)

// val.py's defaults.
const (
	evalConf   = 0.001
	evalIoU    = 0.6
	evalMaxDet = 300
)

// categoryData groups eval's flags about the dataset.
const categoryData = "The dataset"

func evalCommand() *cli.Command {
	flags := slices.DeleteFunc(headFlags(), func(f cli.Flag) bool { return f.Names()[0] == "data" })
	return &cli.Command{
		Name:      "eval",
		Usage:     "measure a model on labelled pictures",
		ArgsUsage: "MODEL",
		Description: "The dataset is a YOLOv5 data.yaml, or a folder of pictures with COCO's instances.json. Settings are\n" +
			"those of YOLOv5's val.py; precisions are COCO's and YOLOv5's own.\n\n" +
			"Examples:\n" +
			"  trtdet eval best.onnx --data data.yaml\n" +
			"  trtdet eval best.onnx --images val2017 --annotations instances_val2017.json --format json\n" +
			"  trtdet eval best.engine --data data.yaml --split test --conf-sweep 0.25,0.4,0.5 --plots",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Category: categoryData, Name: "data", Usage: "YOLOv5 data `FILE` (.yaml)"},
			&cli.StringFlag{Category: categoryData, Name: "split", Usage: "of --data: `NAME` val, test or train", Value: "val"},
			&cli.StringFlag{Category: categoryData, Name: "images", Usage: "`FOLDER` of the pictures that --annotations names"},
			&cli.StringFlag{Category: categoryData, Name: "annotations", Usage: "COCO annotations `FILE` (instances.json)"},
			&cli.BoolFlag{Category: categoryData, Name: "strict", Usage: "make problems of the dataset an error"},
		}, networkFlags(), []cli.Flag{
			&cli.Float64Flag{Category: categoryDetection, Name: "conf-thres", Usage: "least `SCORE` of a detection, 0 to 1", Value: evalConf},
			&cli.Float64Flag{Category: categoryDetection, Name: "iou-thres", Usage: "`IoU` above which the weaker box goes, 0 to 1", Value: evalIoU},
			&cli.IntFlag{Category: categoryDetection, Name: "max-det", Usage: "most detections `N` in a picture", Value: evalMaxDet},
			&cli.StringFlag{Category: categoryDetection, Name: "preprocess", Usage: "resize images as YOLOv5's `SCRIPT` val or detect does (default: val for the yolov5 family, " +
				"detect for others)"},
			&cli.BoolFlag{Category: categoryDetection, Name: "single-label", Usage: "the best class of a box only, as run detects, not each above the threshold"},
			&cli.StringFlag{Category: categoryOutput, Name: "conf-sweep", Usage: "P, R and F1 at these `SCORES` too: 0.25,0.4,0.5"},
			&cli.StringFlag{Category: categoryOutput, Name: "format", Usage: "`FORMAT` on standard output: table, json, csv or md", Value: "table"},
			&cli.StringFlag{Category: categoryOutput, Name: "save-json", Usage: "save the detections as COCO results in `FILE`"},
			&cli.BoolFlag{Category: categoryOutput, Name: "plots", Usage: "save curves and the confusion matrix as pictures in PROJECT/NAME"},
		}, folderFlags("runs/val"), flags),
		Action: evalModel,
	}
}

func evalModel(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("eval: want one MODEL; see trtdet eval --help")
	}
	if err := checkDataFlags(c); err != nil {
		return err
	}
	sweep, err := parseScores("conf-sweep", c.String("conf-sweep"))
	if err != nil {
		return err
	}
	if format := c.String("format"); !slices.Contains(report.EvaluationFormats, format) {
		return usagef("--format %s: want table, json, csv or md", format)
	}
	if err := checkName(c); err != nil {
		return err
	}
	if flag := folderFlagSet(c); flag != "" && !c.Bool("plots") {
		return usagef("--%s says where plots are saved: say --plots too", flag)
	}
	if p := eval.Preprocess(c.String("preprocess")); c.IsSet("preprocess") && p != eval.PreprocessVal && p != eval.PreprocessDetect {
		return usagef("--preprocess %s: want val or detect", p)
	}
	options, err := evalOptions(c)
	if err != nil {
		return err
	}
	if err := checkPlaces(c); err != nil {
		return err
	}
	detector, err := engine.Open(c.Context, c.Args().First(), options)
	if err != nil {
		return err
	}
	defer detector.Close()
	preprocess, why, err := choosePreprocess(c, detector)
	if err != nil {
		return err
	}
	data, err := loadDataset(c, detector)
	if err != nil {
		return err
	}
	if err := strict(c, &data.Problems); err != nil {
		return err
	}
	warnOfSharedIDs(c, data)
	found, err := detect(c, preprocess.Of(detector), data, options)
	if err != nil {
		return err
	}
	if err := strict(c, &data.Problems); err != nil {
		return err
	}
	warnOfProblems(c, &data.Problems)
	height, width := detector.InputSize()
	e := &report.Evaluation{
		Model: c.Args().First(), Data: c.String("data") + c.String("annotations"), Device: detector.Device(), Height: height, Width: width,
		Settings: report.EvaluationSettings{
			Conf: *options.Head.Conf, IoU: *options.Head.IoU, MaxDet: options.MaxDet, MultiLabel: options.MultiLabel, Batch: options.Batch,
			Preprocess: preprocess, PreprocessReason: why,
			Slots: detector.Slots(), Threads: cmp.Or(options.Threads, runtime.GOMAXPROCS(0)),
		},
		Metrics: eval.Evaluate(data, found.Pictures, detector.Spec().Head.Classes, detector.ClassName, eval.Options{ConfSweep: sweep}),
		Times:   found.Times, Problems: data.Problems.Counts(),
	}
	// each of them, whatever becomes of the others: the detections may have taken hours
	err = e.Write(c.String("format"), c.App.Writer)
	failed := found.Unread > 0
	for _, unsaved := range []error{saveResults(c, data, found.Pictures), savePlots(c, e)} {
		if unsaved != nil {
			fmt.Fprintln(c.App.ErrWriter, "trtdet: "+errorText(unsaved))
			failed = true
		}
	}
	if err == nil && failed {
		err = errReported
	}
	return err
}

// choosePreprocess returns how images are resized, and who said so.
func choosePreprocess(c *cli.Context, d *engine.Detector) (p eval.Preprocess, why string, err error) {
	family := d.Spec().Head.Family
	switch {
	case eval.Preprocess(c.String("preprocess")) == eval.PreprocessVal && family != decode.YOLOv5:
		return "", "", usagef("--preprocess val: %s is of the %s family, and val.py measures the yolov5 family; want --preprocess detect, or leave it out", c.Args().First(), family)
	case c.IsSet("preprocess"):
		return eval.Preprocess(c.String("preprocess")), "--preprocess", nil
	}
	why = fmt.Sprintf("the default for the %s family", family)
	if family == decode.YOLOv5 {
		return eval.PreprocessVal, why, nil
	}
	return eval.PreprocessDetect, why, nil
}

// checkDataFlags wants one dataset.
func checkDataFlags(c *cli.Context) error {
	yolo, coco := c.String("data") != "", c.String("images") != "" || c.String("annotations") != ""
	switch {
	case yolo == coco:
		return usagef("eval: want --data FILE.yaml, or --images FOLDER with --annotations FILE.json")
	case coco && (c.String("images") == "" || c.String("annotations") == ""):
		return usagef("eval: --images and --annotations belong together")
	case coco && c.IsSet("split"):
		return usagef("--split is for --data")
	case !slices.Contains([]string{"train", "val", "test"}, c.String("split")):
		return usagef("--split %s: want val, test or train", c.String("split"))
	}
	return nil
}

func evalOptions(c *cli.Context) (*engine.Options, error) {
	o, err := networkOptions(c)
	if err != nil {
		return nil, err
	}
	o.MultiLabel, o.StageTimes = !c.Bool("single-label"), true
	for flag, to := range map[string]**float32{"conf-thres": &o.Head.Conf, "iou-thres": &o.Head.IoU} {
		if *to, err = parseThreshold(flag, c.Float64(flag)); err != nil { // the model's own are for detection
			return nil, err
		}
	}
	if !c.IsSet("slots") {
		o.Slots = manySlots
	}
	return o, nil
}

func loadDataset(c *cli.Context, d *engine.Detector) (*eval.Dataset, error) {
	spec := d.Spec()
	if folder := c.String("images"); folder != "" {
		data, err := eval.LoadCOCO(folder, c.String("annotations"), spec.Names)
		if err == nil && len(data.Names) > spec.Head.Classes {
			err = fmt.Errorf("--annotations %s has %d categories, the model %d classes, and other names for them: name categories as the model does "+
				"(trtdet info lists its names)", c.String("annotations"), len(data.Names), spec.Head.Classes)
		}
		return data, err
	}
	return eval.LoadYOLO(c.String("data"), c.String("split"), spec.Head.Classes)
}

// detect takes the dataset's pictures through the detector.
func detect(c *cli.Context, d pipeline.Detector, data *eval.Dataset, o *engine.Options) (*eval.Detections, error) {
	progress := startRunProgress(c.App.ErrWriter.(*console), len(data.Pictures))
	defer progress.finish()
	return eval.Detect(c.Context, d, data, eval.DetectOptions{
		Batch: o.Batch, Workers: o.Threads, Limits: limits(c), Done: progress.step,
	})
}

// strict makes problems an error where --strict asks for it.
func strict(c *cli.Context, problems *eval.Problems) error {
	if !c.Bool("strict") || problems.Total() == 0 {
		return nil
	}
	warnOfProblems(c, problems)
	return fmt.Errorf("--strict: the dataset has %s", count(problems.Total(), "problem"))
}

// warnOfProblems counts the problems of each kind and names the first few.
func warnOfProblems(c *cli.Context, problems *eval.Problems) {
	for _, kind := range problems.Counts() {
		fmt.Fprintf(c.App.ErrWriter, "trtdet: warning: %d x %s\n", kind.Count, kind.Kind)
		for _, p := range kind.Kept {
			fmt.Fprintf(c.App.ErrWriter, "    %s\n", report.Printable(p.Error()))
		}
		if more := kind.Count - len(kind.Kept); more > 0 {
			fmt.Fprintf(c.App.ErrWriter, "    and %d more\n", more)
		}
	}
}

// warnOfSharedIDs says where the file of --save-json will not tell pictures
// apart.
func warnOfSharedIDs(c *cli.Context, d *eval.Dataset) {
	if n, one, other := d.SharedIDs(); n > 0 && c.String("save-json") != "" {
		fmt.Fprintf(c.App.ErrWriter, "trtdet: warning: --save-json: the image_id of %s, the picture's name as in YOLOv5, is another's too, first those of %s and %s; "+
			"figures of the file will be wrong: rename pictures\n", count(n, "picture"), report.Printable(one), report.Printable(other))
	}
}

// checkPlaces finds out before hours of detecting what cannot be saved.
func checkPlaces(c *cli.Context) error {
	if path := c.String("save-json"); path != "" {
		if err := report.CheckFile(path); err != nil {
			return fmt.Errorf("--save-json: %w; name another place", err)
		}
	}
	if c.Bool("plots") {
		return report.CheckFolder(c.String("project"), c.String("name"), c.Bool("exist-ok"))
	}
	return nil
}

func saveResults(c *cli.Context, d *eval.Dataset, detections [][]eval.Detection) error {
	path := c.String("save-json")
	if path == "" {
		return nil
	}
	if err := report.WriteWhole(path, func(w io.Writer) error { return eval.WriteResults(w, d, detections) }); err != nil {
		return fmt.Errorf("--save-json: %w; name another place", err)
	}
	return nil
}

func savePlots(c *cli.Context, e *report.Evaluation) error {
	if !c.Bool("plots") {
		return nil
	}
	folder, err := e.SavePlots(c.String("project"), c.String("name"), c.Bool("exist-ok"))
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "plots saved to %s\n", folder)
	return nil
}
