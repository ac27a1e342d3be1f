package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// People come from YOLOv5's detect.py, val.py and export.py, from Ultralytics'
// yolo and from TensorRT's trtexec, and type what they know. What does the same
// here has often another name, another place, or is another command's. A hint is
// either right or not given: a test holds every flag that one names to the
// command that it is named with.

// advice is what does here what a word of another program does.
type advice struct {
	// flags that do it: the first that the command has is named, with the value that
	// was typed.
	flags []string
	// value goes behind the flag instead of the one that was typed; "-" is none,
	// where the flag wants something else.
	value string
	// note says what to do where the command has none of the flags; %s is the
	// command's usage.
	note string
}

const (
	noteModel   = "the model is the first argument: %s"
	noteSource  = "images come behind the model: %s"
	noteHalf    = "the precision is the model's: trtdet build --half makes an engine of fp16"
	noteInt8    = "the precision is the model's: an ONNX file that is quantized is built and run as it is"
	noteONNX    = "the ONNX file has it from its export"
	noteNothing = "nothing here does that"
	noteWindow  = "no window is opened: images with boxes are saved in runs/detect/exp"
	noteBatch   = "the batch of an engine is its builder's: trtdet build --batch MIN:OPT:MAX"
	notePrinted = "it is printed: > FILE saves it"
	noteBuild   = "trtdet build MODEL.onnx writes an engine"
)

// advised are words of other programs, squashed, by themselves or behind the
// command that they are for.
var advised = func() map[string]advice {
	table := map[string]advice{
		"conf":           {flags: []string{"conf-thres"}},
		"confidence":     {flags: []string{"conf-thres"}},
		"threshold":      {flags: []string{"conf-thres"}},
		"thres":          {flags: []string{"conf-thres"}},
		"iou":            {flags: []string{"iou-thres"}},
		"cpu":            {flags: []string{"device"}, value: "cpu"},
		"gpu":            {flags: []string{"device"}, value: "-"},
		"cuda":           {flags: []string{"device"}, value: "-"},
		"build device":   {note: "an engine is built on the first GPU that CUDA_VISIBLE_DEVICES names"},
		"build cpu":      {note: "an engine is for GPUs: trtdet run --device cpu runs the ONNX file itself"},
		"batchsize":      {flags: []string{"batch"}},
		"workers":        {flags: []string{"threads"}},
		"bench source":   {flags: []string{"pictures"}},
		"eval source":    {flags: []string{"data"}, value: "-"},
		"int8":           {note: noteInt8},
		"opset":          {note: noteONNX},
		"simplify":       {note: noteONNX},
		"nms":            {note: "leave it out: boxes are decoded and suppressed here, whatever the file does"},
		"run viewimg":    {note: noteWindow},
		"run show":       {note: noteWindow},
		"run save":       {note: "leave it out: images with boxes are saved unless --nosave is given"},
		"run savecsv":    {flags: []string{"format"}, value: "csv"},
		"run csv":        {flags: []string{"format"}, value: "csv"},
		"eval csv":       {flags: []string{"format"}, value: "csv"},
		"run savejson":   {flags: []string{"format"}, value: "coco"},
		"run json":       {flags: []string{"format"}, value: "jsonl"},
		"json":           {flags: []string{"format"}, value: "json"},
		"run showlabels": {note: "labels are drawn unless --hide-labels is given"},
		"run showconf":   {note: "scores are drawn unless --hide-conf is given"},
		"linewidth":      {flags: []string{"line-thickness"}},
		"class":          {flags: []string{"classes"}},
		"names":          {flags: []string{"data"}, value: "-"},
		"labels":         {flags: []string{"data"}, value: "-"},
		"task":           {flags: []string{"split"}, value: "-"},
		"include":        {note: noteBuild},
		"build format":   {note: noteBuild},
		"saveengine":     {flags: []string{"output"}, note: noteBuild},
		"mempoolsize":    {flags: []string{"workspace"}, value: "-"},
		"iterations":     {flags: []string{"duration"}, value: "-"},
		"avgruns":        {flags: []string{"duration"}, value: "-"},
		"infstreams":     {flags: []string{"slots"}},
		"streams":        {flags: []string{"slots"}},
		"usecudagraph":   {flags: []string{"graphs"}, value: "on"},
		"v":              {flags: []string{"verbose"}},

		"timingcachefile":            {flags: []string{"timing-cache"}},
		"builderoptimizationlevel":   {flags: []string{"opt-level"}},
		"hardwarecompatibilitylevel": {flags: []string{"target"}, value: "-"},
	}
	for _, word := range []string{"weights", "model", "onnx", "loadengine", "m", "w"} {
		table[word] = advice{note: noteModel}
	}
	for _, word := range []string{"source", "input", "images", "i"} {
		table["run "+word] = advice{note: noteSource}
	}
	for _, word := range []string{"half", "fp16", "best", "precision"} {
		table[word] = advice{note: noteHalf}
	}
	table["build fp16"] = advice{flags: []string{"half"}}
	for _, word := range []string{"dynamic", "shapes", "minshapes", "optshapes", "maxshapes"} {
		table[word], table["build "+word] = advice{note: noteBatch}, advice{flags: []string{"batch"}, value: "MIN:OPT:MAX"}
	}
	for _, word := range []string{"o", "out", "output", "outputdir", "savedir"} {
		table[word] = advice{flags: []string{"output", "project"}, note: notePrinted}
	}
	for _, word := range []string{"augment", "visualize", "update", "dnn", "vidstride", "streambuffer", "retinamasks", "embed", "savehybrid",
		"saveformat", "saveframes", "singlecls", "inplace", "keras", "optimize", "rect", "plugins", "skipinference", "buildonly"} {
		table[word] = advice{note: noteNothing}
	}
	return table
}()

// adviseCommands are commands of other programs.
var adviseCommands = map[string]string{
	"version": "--version", "help": "--help", "detect": "run", "predict": "run", "infer": "run", "inference": "run", "track": "run",
	"val": "eval", "valid": "eval", "validate": "eval", "test": "eval", "evaluate": "eval", "export": "build", "convert": "build", "compile": "build",
	"benchmark": "bench", "speed": "bench", "profile": "bench", "inspect": "info", "list": "info", "show": "info", "devices": "info", "checks": "info",
}

// squash is a flag's name as people remember it: --no_save is --nosave.
func squash(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// unknownFlag says that a command has no such flag, and what does it.
func unknownFlag(app *cli.App, c *cli.Command, arg string) error {
	typed, value, _ := strings.Cut(arg, "=")
	hint := flagHint(app, c, strings.TrimLeft(typed, "-"), value)
	if hint != "" {
		hint = ": " + hint
	}
	return usagef("%s: there is no flag %s%s; see trtdet %[1]s --help", c.Name, typed, hint)
}

// flagHint says which flag of a command does what a name does elsewhere, "" where
// nobody knows.
func flagHint(app *cli.App, c *cli.Command, name, value string) string {
	squashed := squash(name)
	own := slices.Concat(c.Flags, app.Flags, []cli.Flag{cli.HelpFlag})
	if f := sameFlag(own, squashed); f != "" {
		return written(c, own, f, value)
	}
	known, listed := advised[c.Name+" "+squashed]
	if !listed {
		known = advised[squashed]
	}
	for _, flag := range known.flags {
		if findFlag(own, flag) != nil {
			return written(c, own, flag, cmp.Or(known.value, value))
		}
	}
	if known.note != "" && (known.note != noteModel || strings.Contains(c.ArgsUsage, "MODEL")) {
		return strings.ReplaceAll(known.note, "%s", "trtdet "+c.Name+" "+c.ArgsUsage)
	}
	if f := sameFlag(own, nearest(squashed, squashedNames(own))); f != "" {
		return "did you mean --" + f + "?"
	}
	return elsewhere(app, squashed, known)
}

// written is a flag as it is typed here, with its value where the flag takes it.
func written(c *cli.Command, flags []cli.Flag, name, value string) string {
	value = strings.Trim(value, "-")
	words := slices.Concat(flagValues[c.Name+" --"+name], flagValues["--"+name])
	switch {
	case len(words) > 0 && name != "device" && !slices.Contains(words, value):
	case takesValue(findFlag(flags, name)) && value != "":
		name += " " + value
	case slices.Contains([]string{"false", "0", "no"}, strings.ToLower(value)):
		return "leave --" + name + " out"
	}
	return "it is --" + name + " here"
}

func squashedNames(flags []cli.Flag) []string {
	var words []string
	for _, f := range flags {
		for _, name := range f.Names() {
			words = append(words, squash(name))
		}
	}
	return words
}

// sameFlag returns the name of the flag that is the same when squashed, "" for
// none.
func sameFlag(flags []cli.Flag, squashed string) string {
	for _, f := range flags {
		for _, name := range f.Names() {
			if squash(name) == squashed {
				return name
			}
		}
	}
	return ""
}

// elsewhere names the commands that have a flag, or one that does the same.
func elsewhere(app *cli.App, squashed string, known advice) string {
	for _, name := range append([]string{squashed}, known.flags...) {
		var found []string
		for _, c := range shownCommands(app) {
			if f := sameFlag(c.Flags, squash(name)); len(f) > 1 {
				found = append(found, "trtdet "+c.Name+" --"+f)
			}
		}
		if len(found) > 0 {
			return "there is " + strings.Join(found, ", ")
		}
	}
	return ""
}

// nearest returns the word that another is a mistyping of, "" for none: two slips
// apart at most, and alike on the whole or of the same letters, or its beginning.
func nearest(word string, words []string) string {
	best, most := "", -1.0
	for _, candidate := range words {
		slips := smetrics.WagnerFischer(word, candidate, 1, 1, 1)
		alike := smetrics.JaroWinkler(word, candidate, 0.7, 4)
		begun := len(word) >= 3 && strings.HasPrefix(candidate, word)
		mistyped := len(word) >= 3 && len(candidate) >= 3 && slips <= 2 && (alike >= 0.87 || letters(word) == letters(candidate))
		if (begun || mistyped) && alike > most {
			best, most = candidate, alike
		}
	}
	return best
}

// letters are a word's, sorted.
func letters(word string) string {
	runes := []rune(word)
	slices.Sort(runes)
	return string(runes)
}

// unknownCommand says that there is no such command, and which one does it.
func unknownCommand(app *cli.App, name string) error {
	var words []string
	for _, c := range shownCommands(app) {
		words = append(words, c.Name)
	}
	hint := adviseCommands[strings.ToLower(name)]
	extension := strings.ToLower(filepath.Ext(name))
	switch {
	case hint != "":
		hint = "trtdet " + hint + " does that"
	case name == "train":
		hint = "training is Python's, see docs/training.md"
	case name == "serve" || name == "server":
		hint = "a server is a Go program, see docs/library.md and examples/server"
	case strings.Contains(name, "="):
		hint = "a command comes first, as in trtdet run MODEL SOURCE"
	case extension == ".onnx" || extension == ".engine":
		hint = fmt.Sprintf("trtdet run %s SOURCE finds objects, trtdet info %[1]s describes the model", name)
	default:
		if hint = nearest(strings.ToLower(name), words); hint != "" {
			hint = "did you mean " + hint + "?"
		}
	}
	if hint != "" {
		hint = ": " + hint
	}
	return usagef("there is no command %q%s; see trtdet --help", name, hint)
}

// unknownFirst is about a flag in a command's place.
func unknownFirst(app *cli.App, arg string) error {
	typed, _, _ := strings.Cut(arg, "=")
	squashed := squash(strings.TrimLeft(typed, "-"))
	known := advised[squashed]
	hint := elsewhere(app, squashed, known)
	global := sameFlag(slices.Concat(app.Flags, []cli.Flag{cli.HelpFlag, cli.VersionFlag}), squashed)
	switch {
	case global != "":
		hint = "it is " + strings.Repeat("-", min(len(global), 2)) + global
	case squashed == "onnx" || squashed == "saveengine":
		hint = noteBuild
	case known.note == noteModel || squashed == "source":
		hint = "a command comes first, as in trtdet run MODEL SOURCE"
	case hint != "":
		hint = "a command comes first: " + hint
	}
	if hint != "" {
		hint = ": " + hint
	}
	return usagef("there is no flag %s here%s; see trtdet --help", typed, hint)
}

// setting reports an argument that is Ultralytics' KEY=VALUE and no file.
func setting(app *cli.App, c *cli.Command, arg string) error {
	key, value, found := strings.Cut(arg, "=")
	if _, err := os.Lstat(arg); !found || err == nil {
		return nil
	}
	if hint := flagHint(app, c, key, value); hint != "" {
		return usagef("%s: %s is no setting here: %s; see trtdet %[1]s --help", c.Name, arg, hint)
	}
	return nil
}
