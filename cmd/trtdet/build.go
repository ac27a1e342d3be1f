package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

const (
	categoryEngine   = "The engine"
	categoryTensorRT = "TensorRT"
	childName        = "build-child"
)

func buildCommand() *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "build a TensorRT engine from a detector's ONNX file",
		ArgsUsage: "MODEL.onnx",
		Description: "Writes MODEL.engine and its manifest MODEL.engine.json. A graph that decodes inside is cut back\n" +
			"to its raw maps, so that the boxes are decoded by trtdet's own kernel.\n\n" +
			"Examples:\n" +
			"  trtdet build best.onnx\n" +
			"  trtdet build best.onnx --half --batch 1:4:16 -o best-fp16.engine\n" +
			"  trtdet build best.onnx --half --verify pictures/\n" +
			"  trtdet build best.onnx --target sm_75,sm_89 --data coco.yaml\n" +
			"  trtdet build raw.onnx --anchors 10,13,16,30,33,23:30,61,62,45,59,119:116,90,156,198,373,326",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Category: categoryEngine, Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write",
				DefaultText: "MODEL.engine beside the model"},
			&cli.StringFlag{Category: categoryEngine, Name: "imgsz", Aliases: []string{"img", "img-size"}, Usage: "input `SIZE` in pixels, or HEIGHT,WIDTH",
				DefaultText: "the model's, 640 where it is dynamic"},
			&cli.StringFlag{Category: categoryEngine, Name: "batch", Usage: "pictures at once: `N` (1 to N, best at N) or MIN:OPT:MAX", DefaultText: "1, or the model's fixed batch"},
			&cli.BoolFlag{Category: categoryEngine, Name: "half", Usage: "compute in half precision (fp16)"},
			&cli.BoolFlag{Category: categoryEngine, Name: "force", Usage: "overwrite an engine that exists"},
			&cli.StringFlag{Category: categoryTensorRT, Name: "tensorrt", Usage: "`FLAVOR` to build with: auto, rtx, 10, 11", Value: "auto"},
			&cli.StringFlag{Category: categoryTensorRT, Name: "tensorrt-lib", Usage: "TensorRT's library `FILE`, or the folder it lies in",
				DefaultText: "$TRTDET_TENSORRT, or searched for, see trtdet info"},
			&cli.StringSliceFlag{Category: categoryTensorRT, Name: "target", Usage: "`GPUS` a TensorRT-RTX engine is for: sm_75,sm_89,...",
				DefaultText: "what TensorRT-RTX takes, sm_80 and up"},
			&cli.StringFlag{Category: categoryTensorRT, Name: "workspace", Usage: "most scratch memory, as `SIZE`: 512MiB, 4GiB", DefaultText: "TensorRT's own bound"},
			&cli.StringFlag{Category: categoryTensorRT, Name: "timing-cache", Usage: "`FILE` of kernel timings to read and update (TensorRT 10 and 11)", DefaultText: "none"},
			&cli.IntFlag{Category: categoryTensorRT, Name: "opt-level", Usage: "builder optimization `LEVEL`, 0 to 5 (TensorRT 10 and 11)", DefaultText: "TensorRT's own, 3"},
			&cli.DurationFlag{Category: categoryTensorRT, Name: "timeout", Usage: "give up after this `TIME`; 0 never", Value: time.Hour},
			&cli.StringFlag{Name: "verify", Usage: "run the new engine and the ONNX file over `PICTURES` (a file, folder or pattern; the first 32) and fail where they differ",
				DefaultText: "not"},
			&cli.BoolFlag{Name: "quiet", Usage: "print errors only"},
		}, thresholdFlags(), headFlags()),
		Action: build,
	}
}

func build(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("build: want one MODEL.onnx, got %d arguments; see trtdet build --help", c.NArg())
	}
	onnxPath := c.Args().First()
	planPath := c.String("output")
	if planPath == "" {
		planPath = strings.TrimSuffix(onnxPath, filepath.Ext(onnxPath)) + ".engine"
	}
	o, err := buildOptions(c)
	if err != nil {
		return err
	}
	pictures, err := verifyPictures(c)
	if err != nil {
		return err
	}
	quiet := c.Bool("quiet")
	o.Log = slog.Default()
	if quiet {
		o.Log = slog.New(&lineHandler{w: c.App.ErrWriter, level: slog.LevelError})
	}
	start := time.Now()
	var progress *buildProgress
	if !quiet {
		progress = startBuildProgress(c.App.ErrWriter.(*console))
		o.Progress = progress.update
	}
	manifest, err := engine.Build(c.Context, onnxPath, planPath, o)
	if progress != nil {
		progress.finish()
	}
	if err != nil {
		return err
	}
	if !quiet {
		printBuilt(c, planPath, manifest, time.Since(start))
	}
	if len(pictures) == 0 {
		return nil
	}
	v, err := engine.Verify(c.Context, onnxPath, planPath, o.Head, pictures)
	if err != nil {
		return fmt.Errorf("--verify: %w", err)
	}
	if !quiet {
		printVerified(c, v)
	}
	if err := v.Err(); err != nil {
		return fmt.Errorf("--verify: %s: %w", planPath, err)
	}
	return nil
}

// mostVerified is how many pictures --verify takes: they are held in memory.
const mostVerified = 32

// verifyPictures reads those of --verify, before minutes of building.
func verifyPictures(c *cli.Context) ([]*imaging.Picture, error) {
	source := c.String("verify")
	if source == "" {
		if c.IsSet("verify") {
			return nil, usagef("--verify: want pictures")
		}
		return nil, nil
	}
	if err := trt.DriverError(); err != nil {
		return nil, fmt.Errorf("--verify runs the engine: %w; leave it out here, and say it where there is a GPU", err)
	}
	pictures, err := readFirst(source, mostVerified, func(path string) (*imaging.Picture, error) {
		return imaging.Open(path, imaging.Limits{})
	})
	if err != nil {
		return nil, fmt.Errorf("--verify: %w", err)
	}
	return pictures, nil
}

func printVerified(c *cli.Context, v *engine.Verification) {
	fmt.Fprintf(c.App.Writer, "beside ONNX Runtime on %s: maps differ by %.2g of their largest value; of %s %d unmatched, boxes within %.2g px, scores within %.2g\n",
		count(v.Pictures, "picture"), v.Maps, count(v.Detections, "detection"), v.Unmatched, v.Box, v.Score)
}

func buildOptions(c *cli.Context) (*engine.BuildOptions, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program to start the build with: %w", err)
	}
	o := &engine.BuildOptions{
		Child: []string{exe, childName}, Half: c.Bool("half"), Force: c.Bool("force"), Timeout: c.Duration("timeout"),
		Library: c.String("tensorrt-lib"), TimingCache: c.String("timing-cache"),
	}
	if o.Head, err = hints(c); err != nil {
		return nil, err
	}
	if o.Height, o.Width, err = parseImgSize(c.String("imgsz")); err != nil {
		return nil, err
	}
	if o.Batch, err = parseBatch(c.String("batch")); err != nil {
		return nil, err
	}
	if o.TensorRT, err = trt.ParseFlavor(c.String("tensorrt")); err != nil {
		return nil, usagef("--tensorrt: %w", err)
	}
	for _, s := range c.StringSlice("target") {
		target, err := trt.ParseComputeCapability(s)
		if err != nil {
			return nil, usagef("--target: %w", err)
		}
		o.Targets = append(o.Targets, target)
	}
	if o.WorkspaceBytes, err = parseSize("workspace", c.String("workspace")); err != nil {
		return nil, err
	}
	if c.IsSet("opt-level") {
		level := c.Int("opt-level")
		if level < 0 || level > 5 {
			return nil, usagef("--opt-level %d: want 0 to 5", level)
		}
		o.OptLevel = &level
	}
	if o.Timeout < 0 {
		return nil, usagef("--timeout %s: want a time such as 90s or 1h, 0 for none", o.Timeout)
	}
	return o, nil
}

func printBuilt(c *cli.Context, planPath string, m *model.Manifest, took time.Duration) {
	fmt.Fprintf(c.App.Writer, "%s: %s, %s, TensorRT %s %s, in %s\n", planPath, humanize.IBytes(uint64(m.Plan.Bytes)),
		m.Precision, m.TensorRT.Flavor, m.TensorRT.Version, seconds(took.Seconds()))
	fmt.Fprintf(c.App.Writer, "%s: %s\n", engine.ManifestPath(planPath), describeHead(m.Head))
}

// buildChildCommand is the process that build runs TensorRT in.
func buildChildCommand() *cli.Command {
	return &cli.Command{
		Name:   childName,
		Hidden: true,
		Action: func(*cli.Context) error {
			if engine.BuildChild() != 0 {
				return errReported
			}
			return nil
		},
	}
}
