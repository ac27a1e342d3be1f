package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/model"
)

func infoCommand() *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "show what this machine has, or what a model is",
		ArgsUsage: "[MODEL.onnx|MODEL.engine]",
		Description: "Without a model: the driver, the GPUs, and every TensorRT and ONNX Runtime found, with the reason\n" +
			"for those that are not used. With one: its head, levels, anchors, inputs, outputs, profiles, precision,\n" +
			"names and thresholds. An engine is held against its manifest; exit status 1 if it is damaged.\n\n" +
			"Examples:\n" +
			"  trtdet info\n" +
			"  trtdet info best.onnx --data coco.yaml\n" +
			"  trtdet info best.engine --format json",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "`FORMAT`: table or json", Value: "table"},
			&cli.StringFlag{Name: "tensorrt-lib", Usage: "TensorRT's library `FILE` or folder to look at",
				DefaultText: "$TRTDET_TENSORRT, or the usual places"},
		}, headFlags()),
		Action: info,
	}
}

func info(c *cli.Context) error {
	format := c.String("format")
	if format != "table" && format != "json" {
		return usagef("--format %s: want table or json", format)
	}
	if c.NArg() > 1 {
		return usagef("info: want one model at most, got %d arguments", c.NArg())
	}
	if c.NArg() == 0 {
		m := engine.InspectMachine(nvml.New(), c.String("tensorrt-lib"))
		if format == "json" {
			return printJSON(c.App.Writer, m)
		}
		printMachine(c.App.Writer, m)
		return nil
	}
	facts, err := modelFacts(c, c.Args().First())
	if err != nil {
		return err
	}
	if format == "json" {
		return printJSON(c.App.Writer, facts)
	}
	printModel(c.App.Writer, facts)
	return nil
}

// facts is what info shows of a model file; those an ONNX file or an engine
// does not have are left out.
type facts struct {
	File       string             `json:"file"`
	TensorRT   string             `json:"tensorrt,omitempty"`
	GPUs       []string           `json:"compute_capabilities,omitempty"`
	Head       decode.Head        `json:"head"`
	Preprocess decode.Preprocess  `json:"preprocess"`
	Thresholds decode.Thresholds  `json:"thresholds"`
	Precision  string             `json:"precision"`
	Parameters int64              `json:"parameters,omitempty"`
	Nodes      int                `json:"nodes,omitempty"`
	Opset      int                `json:"opset,omitempty"`
	Cut        bool               `json:"cut,omitempty"`
	Bytes      int64              `json:"bytes,omitempty"`
	Inputs     []model.TensorInfo `json:"inputs"`
	Outputs    []model.TensorInfo `json:"outputs"`
	Profiles   []model.Profile    `json:"profiles,omitempty"`
	Names      []string           `json:"names"`
	Notes      []string           `json:"notes,omitempty"`
	SHA256     string             `json:"sha256"`
}

func modelFacts(c *cli.Context, path string) (*facts, error) {
	if engine.IsPlan(path) {
		m, err := engine.ReadPlanManifest(path)
		if err != nil {
			return nil, err
		}
		return &facts{
			File: path, TensorRT: m.TensorRT.Flavor + " " + m.TensorRT.Version, GPUs: m.ComputeCapabilities,
			Head: m.Head, Preprocess: m.Preprocess, Thresholds: m.Thresholds, Precision: m.Precision, Bytes: m.Plan.Bytes,
			Inputs: m.Inputs, Outputs: m.Outputs, Profiles: m.Profiles, Names: m.Names, SHA256: m.Plan.SHA256,
		}, nil
	}
	h, err := hints(c)
	if err != nil {
		return nil, err
	}
	n, err := model.Load(path, &h)
	if err != nil {
		return nil, err
	}
	return &facts{
		File: path, Head: n.Head, Preprocess: n.Preprocess, Thresholds: n.Thresholds, Precision: n.Precision,
		Parameters: n.Parameters, Nodes: n.Nodes, Opset: n.Opset, Cut: n.Cut,
		Inputs: n.Inputs, Outputs: n.Outputs, Names: n.Names, Notes: n.Notes, SHA256: n.SHA256(),
	}, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// row prints one line of a two-column list.
func row(w io.Writer, label, format string, args ...any) {
	fmt.Fprintf(w, "%s  %s\n", text.Pad(label, 13, ' '), fmt.Sprintf(format, args...))
}

func printMachine(w io.Writer, m engine.Machine) {
	if m.Driver.Reason != "" {
		row(w, "driver", "%s", m.Driver.Reason)
	} else {
		row(w, "driver", "%s, CUDA up to %s", m.Driver.Version, m.Driver.CUDA)
	}
	if len(m.GPUs) == 0 {
		row(w, "GPUs", "none")
	}
	for _, g := range m.GPUs {
		row(w, fmt.Sprintf("GPU %d", g.Index), "%s, compute capability %s, %s of %s free", g.Name, g.ComputeCapability,
			humanize.IBytes(g.FreeBytes), humanize.IBytes(g.MemoryBytes))
		for _, m := range g.MIG {
			row(w, "", "%s, %s of %s free, CUDA_VISIBLE_DEVICES=%s chooses it", m.Name, humanize.IBytes(m.FreeBytes), humanize.IBytes(m.MemoryBytes), m.UUID)
		}
	}
	for _, t := range m.TensorRT {
		printLibrary(w, "TensorRT "+string(t.Flavor), t.Version, t.Path, t.Source, t.Reason)
	}
	if len(m.TensorRT) == 0 {
		row(w, "TensorRT", "none found; TRTDET_TENSORRT names its library or folder")
	}
	for _, o := range m.ONNXRuntime {
		printLibrary(w, "ONNX Runtime", o.Version, o.Path, o.Source, o.Reason)
	}
	if len(m.ONNXRuntime) == 0 {
		row(w, "ONNX Runtime", "none found; pip install onnxruntime, or TRTDET_ONNXRUNTIME names its library")
	}
	if m.TurboJPEG.Reason != "" {
		row(w, "libjpeg-turbo", "none (%s): Go's own code reads JPEG files, more slowly", m.TurboJPEG.Reason)
	} else {
		row(w, "libjpeg-turbo", "%s", m.TurboJPEG.Library)
	}
	if m.HostMemory > 0 {
		row(w, "memory", "images that are read and computed may take %s, a quarter of what the process may use; --host-memory says otherwise",
			humanize.IBytes(uint64(m.HostMemory)))
	}
}

func printLibrary(w io.Writer, label, version, path, source, reason string) {
	words := strings.TrimSpace(version + " " + path)
	if source != "" {
		words += " (" + source + ")"
	}
	if reason != "" {
		words += ": " + reason
	}
	row(w, label, "%s", strings.TrimPrefix(words, ": "))
}

func printModel(w io.Writer, f *facts) {
	row(w, "file", "%s", f.File)
	if f.TensorRT != "" {
		row(w, "TensorRT", "%s, for compute capability %s, %s", f.TensorRT, strings.Join(f.GPUs, " "), humanize.IBytes(uint64(f.Bytes)))
	} else {
		row(w, "graph", "%d nodes, %s parameters, opset %d", f.Nodes, humanize.Comma(f.Parameters), f.Opset)
	}
	row(w, "head", "%s", describeHead(f.Head))
	if f.Cut {
		row(w, "", "the graph decodes inside; trtdet cuts it back to its raw maps")
	}
	for i, l := range f.Head.Levels {
		row(w, fmt.Sprintf("level %d", i), "%s", describeLevel(l))
	}
	for _, t := range f.Inputs {
		row(w, "input", "%s", describeTensor(t))
	}
	row(w, "", "picture %s, %s, 0 to %g", f.Preprocess.Letterbox, f.Preprocess.ChannelOrder, f.Preprocess.PixelRange)
	for _, t := range f.Outputs {
		row(w, "output", "%s", describeTensor(t))
	}
	for i, p := range f.Profiles {
		for name, shape := range p {
			row(w, fmt.Sprintf("profile %d", i), "%s min %v opt %v max %v", name, shape.Min, shape.Opt, shape.Max)
		}
	}
	row(w, "precision", "%s", f.Precision)
	row(w, "thresholds", "conf %g, IoU %g", f.Thresholds.Conf, f.Thresholds.IoU)
	if len(f.Names) > 0 {
		row(w, "names", "%s", strings.Join(f.Names, ", "))
	}
	for _, note := range f.Notes {
		row(w, "note", "%s", note)
	}
}

// describeHead words a head: "yolov5 decoupled-base, fused, 8 classes, 3 levels".
func describeHead(h decode.Head) string {
	words := string(h.Family)
	if h.Kind != decode.KindUnknown && string(h.Kind) != words {
		words += " " + string(h.Kind)
	}
	words += fmt.Sprintf(", %s, %s", h.Layout, plural(h.Classes, "class", "classes"))
	if !h.Decoded() {
		words += ", " + plural(len(h.Levels), "level", "levels")
	}
	return words
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func describeLevel(l decode.Level) string {
	var words []string
	if l.Stride > 0 {
		words = append(words, fmt.Sprintf("stride %d", l.Stride))
	}
	if len(l.Anchors) > 0 {
		var sizes []string
		for _, a := range l.Anchors {
			sizes = append(sizes, fmt.Sprintf("%gx%g", a[0], a[1]))
		}
		words = append(words, "anchors "+strings.Join(sizes, " "))
	}
	return strings.Join(append(words, "from "+strings.Join(l.Outputs, ", ")), ", ")
}

func describeTensor(t model.TensorInfo) string {
	var shape []string
	for _, n := range t.Shape {
		if n < 0 {
			shape = append(shape, "any")
			continue
		}
		shape = append(shape, fmt.Sprint(n))
	}
	return fmt.Sprintf("%s %s (%s)", t.Name, t.DType, strings.Join(shape, ", "))
}
