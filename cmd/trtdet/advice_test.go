package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// foreign are the flags of YOLOv5's detect.py, val.py and export.py, of
// Ultralytics' yolo, and of trtexec.
var foreign = strings.Fields(`
	weights source data imgsz img img-size conf-thres iou-thres max-det device view-img save-txt save-format save-csv save-conf save-crop nosave
	classes agnostic-nms augment visualize update project name exist-ok line-thickness hide-labels hide-conf half dnn vid-stride
	batch-size task workers single-cls verbose save-hybrid save-json
	inplace keras optimize int8 per-tensor dynamic cache simplify mlmodel opset workspace nms topk-per-class topk-all include
	model conf iou batch max_det vid_stride stream_buffer agnostic_nms retina_masks embed stream show save save_frames save_txt save_conf save_crop
	show_labels show_conf show_boxes line_width format mode rect split plots
	onnx saveEngine loadEngine fp16 bf16 fp8 best noTF32 minShapes optShapes maxShapes shapes memPoolSize timingCacheFile
	builderOptimizationLevel iterations duration warmUp streams infStreams useCudaGraph useSpinWait dumpProfile exportTimes skipInference buildOnly
	plugins avgRuns percentile hardwareCompatibilityLevel versionCompatible stronglyTyped
	cpu gpu cuda output out o m i w v json csv names precision quiet threads
	confidence threshold labels`)

// reordered is the error of a command line.
func reordered(app *cli.App, args ...string) error {
	_, err := reorder(app, append([]string{"trtdet"}, args...))
	return err
}

var (
	// of a command that is named, with whatever stands between, or of the command itself
	namedFlag = regexp.MustCompile(`(?:trtdet ([a-z]+) (?:[A-Z][\w.:]* )*)?--([a-z][\w-]*)(?: ([^ ;,?]+))?`)
	theirFlag = regexp.MustCompile(`there is no flag \S+`)
)

// holds checks that each flag that an error names exists on the command that it
// is named with, and takes the value that stands behind it.
func holds(t *testing.T, app *cli.App, command, text string) {
	t.Helper()
	if strings.Contains(text, "%!") {
		t.Errorf("%s: a mistake in its format", text)
	}
	for _, found := range namedFlag.FindAllStringSubmatch(theirFlag.ReplaceAllString(text, ""), -1) {
		name := found[1]
		if name == "" {
			name = command
		}
		c := app.Command(name)
		if c == nil {
			t.Errorf("%s: there is no command %q", text, name)
			continue
		}
		f := findFlag(slices.Concat(c.Flags, app.Flags, []cli.Flag{cli.HelpFlag}), found[2])
		if f == nil {
			t.Errorf("%s: trtdet %s has no flag --%s", text, name, found[2])
			continue
		}
		words := slices.Concat(flagValues[name+" --"+found[2]], flagValues["--"+found[2]])
		if value := found[3]; value != "" && value != "here" && takesValue(f) && len(words) > 0 && found[2] != "device" && !slices.Contains(words, value) {
			t.Errorf("%s: trtdet %s --%s does not take %q", text, name, found[2], value)
		}
	}
}

// No hint is wrong, whatever is typed where.
func TestHintsAreTrue(t *testing.T) {
	app := newApp(nil, io.Discard, newConsole(io.Discard))
	words := slices.Clone(foreign)
	for _, c := range app.Commands {
		for _, f := range c.Flags {
			words = append(words, f.Names()...)
		}
	}
	for word := range advised {
		words = append(words, word[strings.LastIndex(word, " ")+1:])
	}
	slices.Sort(words)
	words = slices.Compact(words)
	hints := 0
	try := func(c *cli.Command, args ...string) {
		if err := reordered(app, append([]string{c.Name}, args...)...); err != nil {
			hints++
			holds(t, app, c.Name, err.Error())
		}
	}
	for _, c := range shownCommands(app) {
		for _, word := range words {
			try(c, "m.onnx", "--"+word, "x")
			try(c, "m.onnx", "--"+word+"=false")
			try(c, word+"=x")
			if testing.Short() && c.Name != "run" {
				continue
			}
			for _, mistyped := range []string{word + "s", strings.ToUpper(word), strings.ReplaceAll(word, "-", "_"), word[:len(word)*2/3]} {
				try(c, "m.onnx", "--"+mistyped+"=1")
			}
		}
	}
	for _, word := range words {
		if err := reordered(app, "--"+word); err != nil {
			holds(t, app, "--", strings.ReplaceAll(err.Error(), "see trtdet --help", ""))
		}
	}
	if hints < 1000 {
		t.Errorf("%d errors were looked at", hints)
	}
	for word, command := range adviseCommands {
		if app.Command(command) == nil && command != "--version" && command != "--help" {
			t.Errorf("%s: there is no command %s", word, command)
		}
	}
}

// A flag that is renamed takes its entries along.
func TestAdvisedFlagsExist(t *testing.T) {
	app := newApp(nil, io.Discard, newConsole(io.Discard))
	exists := func(command, flag string) bool {
		return slices.ContainsFunc(app.Commands, func(c *cli.Command) bool {
			return (command == "" || command == c.Name) && findFlag(slices.Concat(c.Flags, app.Flags), flag) != nil
		})
	}
	for word, known := range advised {
		command, _, ofOne := strings.Cut(word, " ")
		if !ofOne {
			command = ""
		}
		for _, flag := range known.flags {
			if !exists(command, flag) {
				t.Errorf("%s: there is no --%s", word, flag)
			}
		}
	}
	for key := range flagValues {
		if command, flag, _ := strings.Cut(key, "--"); !exists(strings.TrimSpace(command), flag) {
			t.Errorf("flagValues: there is no %s", key)
		}
	}
	for _, key := range listFlags {
		command, flag, ofOne := strings.Cut(key, " --")
		if !ofOne {
			command, flag = "", key
		}
		if !exists(command, flag) {
			t.Errorf("listFlags: there is no %s", key)
		}
	}
}

func TestHints(t *testing.T) {
	app := newApp(nil, io.Discard, newConsole(io.Discard))
	for args, want := range map[string]string{
		"run m.onnx a.jpg --half":               "there is no flag --half: the precision is the model's: trtdet build --half makes an engine of fp16",
		"run --weights m.onnx --source a.jpg":   "the model is the first argument: trtdet run MODEL SOURCE...",
		"run m.onnx --source a.jpg":             "images come behind the model: trtdet run MODEL SOURCE...",
		"run m.onnx a.jpg --cpu":                "it is --device cpu here",
		"run m.onnx a.jpg --conf=0.3":           "it is --conf-thres 0.3 here",
		"run m.onnx a.jpg --iou 0.3":            "it is --iou-thres here",
		"run m.onnx a.jpg --conf_thres 0.3":     "it is --conf-thres here",
		"run m.onnx a.jpg --no-save":            "it is --nosave here",
		"run m.onnx a.jpg --view-img":           "no window is opened",
		"run m.onnx a.jpg --save-json":          "it is --format coco here",
		"run m.onnx a.jpg --quiet":              "there is trtdet build --quiet",
		"run m.onnx a.jpg --augment":            "nothing here does that",
		"run m.onnx a.jpg --hide-label":         "did you mean --hide-labels?",
		"run m.onnx a.jpg --line-thikness 3":    "did you mean --line-thickness?",
		"run model=m.onnx source=a.jpg":         "model=m.onnx is no setting here: the model is the first argument",
		"run m.onnx a.jpg conf=0.4":             "it is --conf-thres 0.4 here",
		"run m.onnx a.jpg save_txt=True":        "it is --save-txt here",
		"run m.onnx a.jpg save_txt=False":       "leave --save-txt out",
		"eval m.onnx --data d.yaml --nosave":    "there is trtdet run --nosave",
		"eval m.onnx --data d.yaml --task test": "it is --split here",
		"eval m.onnx --batch-size=8":            "it is --batch 8 here",
		"build --onnx=m.onnx":                   "the model is the first argument: trtdet build MODEL.onnx",
		"build m.onnx --saveEngine=m.engine":    "it is --output m.engine here",
		"build m.onnx --fp16":                   "it is --half here",
		"build m.onnx --hlaf":                   "did you mean --half?",
		"build m.onnx --minShapes=x:1x3x64x64":  "it is --batch MIN:OPT:MAX here",
		"build m.onnx --device 0":               "CUDA_VISIBLE_DEVICES",
		"bench m.engine --iterations=100":       "it is --duration here",
		"bench m.engine --warmUp=100":           "it is --warmup 100 here",
		"--onnx=m.onnx --fp16":                  "trtdet build MODEL.onnx writes an engine",
		"--weights m.pt --source 0":             "a command comes first, as in trtdet run MODEL SOURCE",
		"--Version":                             "it is --version",
		"-V":                                    "it is -v",
		"run m.onnx a.jpg --threshold 0.4":      "it is --conf-thres here",
		"--half build m.onnx":                   "a command comes first: there is trtdet build --half",
	} {
		err := reordered(app, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	// nobody knows: no guess
	for _, args := range []string{"run m.onnx --frobnicate", "run m.onnx --x", "build m.onnx --port 1"} {
		if err := reordered(app, strings.Fields(args)...); err == nil || strings.Contains(err.Error(), ": it is") || strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%s: %v", args, err)
		}
	}
	for name, want := range map[string]string{
		"version": "trtdet --version does that", "predict": "trtdet run does that", "val": "trtdet eval does that", "export": "trtdet build does that",
		"train": "docs/training.md", "serve": "examples/server", "m.onnx": "trtdet run m.onnx SOURCE", "model=m.onnx": "a command comes first", "bulid": "did you mean build?",
		"buidl": "did you mean build?", "rnu": "did you mean run?", "frobnicate": `"frobnicate"; see`, "v": `"v"; see`,
	} {
		if err := unknownCommand(app, name); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
