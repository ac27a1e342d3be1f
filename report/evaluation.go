package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/trtdet/trtdet/eval"
)

// EvaluationFormats are those of an evaluation.
var EvaluationFormats = []string{"table", "json", "csv", "md"}

// Evaluation is what `eval` reports. Its JSON is the format's.
type Evaluation struct {
	Model    string             `json:"model"`
	Data     string             `json:"data"`
	Device   string             `json:"device"`
	Height   int                `json:"height"` // of the network's input
	Width    int                `json:"width"`
	Settings EvaluationSettings `json:"settings"`
	*eval.Metrics
	// Times is the mean time of a picture in each stage.
	Times    eval.StageTimes     `json:"milliseconds"`
	Problems []eval.ProblemCount `json:"problems"`
}

// EvaluationSettings are how the detections were made.
type EvaluationSettings struct {
	Conf       float32 `json:"conf_thres"`
	IoU        float32 `json:"iou_thres"`
	MaxDet     int     `json:"max_det"`
	MultiLabel bool    `json:"multi_label"`
	Batch      int     `json:"batch"`
	// Preprocess is how images were resized, PreprocessReason who said so.
	Preprocess       eval.Preprocess `json:"preprocess"`
	PreprocessReason string          `json:"preprocess_reason"`
	// Slots is how many batches were in the network at once, Threads how many
	// threads the CPU had for all of them.
	Slots   int `json:"slots"`
	Threads int `json:"threads"`
}

// Write writes the evaluation in one of EvaluationFormats.
func (e *Evaluation) Write(format string, w io.Writer) error {
	var err error
	switch format {
	case "json":
		return writeJSON(w, e)
	case "csv":
		_, err = fmt.Fprintln(w, e.every().RenderCSV())
	case "md":
		_, err = fmt.Fprintf(w, "%s\n\n%s\n\n%s\n%s\n", e.scores().RenderMarkdown(), e.sweep().RenderMarkdown(), e.preprocess(), e.times())
	case "table":
		_, err = fmt.Fprintf(w, "%s\n\n%s\n\nP and R are YOLOv5's, at IoU 0.5 and the confidence of the best F1; mAP is COCO's, as pycocotools has it,\n"+
			"--format json has YOLOv5's too.\n%s\n%s\n", e.scores().Render(), e.sweep().Render(), e.preprocess(), e.times())
	default:
		return fmt.Errorf("format %q is none of %s", format, strings.Join(EvaluationFormats, ", "))
	}
	return err
}

// writeJSON writes what people may read too.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// plain is a table of columns apart by blanks, the first to the left.
func plain(header pretty.Row) pretty.Writer {
	t := pretty.NewWriter()
	style := pretty.StyleDefault
	style.Options = pretty.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.AppendHeader(header)
	columns := []pretty.ColumnConfig{{Number: 1, Align: text.AlignLeft, AlignHeader: text.AlignLeft}}
	for i := 2; i <= len(header); i++ {
		columns = append(columns, pretty.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	return t
}

// scores has a line for all classes together and one for each.
func (e *Evaluation) scores() pretty.Writer {
	t := plain(pretty.Row{"class", "pictures", "objects", "P", "R", "mAP50", "mAP75", "mAP50-95", "small", "medium", "large"})
	line := func(class string, s eval.Scores) {
		row := pretty.Row{class, s.Pictures, s.Objects}
		for _, f := range []eval.Figure{s.YOLOv5.Precision, s.YOLOv5.Recall, s.MAP50, s.MAP75, s.MAP5095, s.Small, s.Medium, s.Large} {
			row = append(row, rounded(f, 3))
		}
		t.AppendRow(row)
	}
	line("all", e.Overall)
	for _, c := range e.Classes {
		line(Printable(c.Class), c.Scores)
	}
	return t
}

// sweep has a line for each fixed confidence and one for the best F1.
func (e *Evaluation) sweep() pretty.Writer {
	t := plain(pretty.Row{"at confidence", "P", "R", "F1", "true", "false", "mean score true", "mean score false"})
	for _, s := range e.ConfSweep {
		t.AppendRow(pretty.Row{confidence(s.Conf), rounded(s.Precision, 3), rounded(s.Recall, 3), rounded(s.F1, 3),
			s.TruePositives, s.FalsePositives, rounded(s.MeanScoreTrue, 3), rounded(s.MeanScoreFalse, 3)})
	}
	b := e.BestF1
	t.AppendRow(pretty.Row{fmt.Sprintf("%.3f (best F1)", b.Conf), rounded(b.Precision, 3), rounded(b.Recall, 3), rounded(b.F1, 3)})
	return t
}

// every has all figures of every class, with every digit; those at fixed
// confidences in columns of their own.
func (e *Evaluation) every() pretty.Writer {
	t := pretty.NewWriter()
	header := pretty.Row{"class_id", "class", "pictures", "objects", "map50", "map75", "map50_95", "map_small", "map_medium", "map_large",
		"ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
		"yolov5_precision", "yolov5_recall", "yolov5_map50", "yolov5_map50_95"}
	for _, s := range e.ConfSweep {
		at := "_at_" + confidence(s.Conf)
		header = append(header, "precision"+at, "recall"+at, "f1"+at)
	}
	t.AppendHeader(header)
	line := func(id, class string, s eval.Scores, rates func(eval.AtConf) eval.Rates) {
		row := pretty.Row{id, class, s.Pictures, s.Objects}
		figures := []eval.Figure{s.MAP50, s.MAP75, s.MAP5095, s.Small, s.Medium, s.Large, s.AR1, s.AR10, s.AR100, s.ARSmall, s.ARMedium,
			s.ARLarge, s.YOLOv5.Precision, s.YOLOv5.Recall, s.YOLOv5.MAP50, s.YOLOv5.MAP5095}
		for _, at := range e.ConfSweep {
			r := rates(at)
			figures = append(figures, r.Precision, r.Recall, r.F1)
		}
		for _, f := range figures {
			row = append(row, rounded(f, -1))
		}
		t.AppendRow(row)
	}
	line("", "all", e.Overall, func(at eval.AtConf) eval.Rates { return at.Rates })
	for i, c := range e.Classes { // AtConf has the same ones
		line(strconv.Itoa(c.ClassID), c.Class, c.Scores, func(at eval.AtConf) eval.Rates { return at.Classes[i].Rates })
	}
	return t
}

func confidence(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }

// preprocess is the line about the resize.
func (e *Evaluation) preprocess() string {
	how := "as trtdet run resizes"
	if e.Settings.Preprocess == eval.PreprocessVal {
		how = "as YOLOv5's val.py resizes, which is not how trtdet run does"
	}
	return fmt.Sprintf("Images were resized %s (preprocess %s: %s).", how, e.Settings.Preprocess, e.Settings.PreprocessReason)
}

// times is the line about the stages.
func (e *Evaluation) times() string {
	t, s := e.Times, e.Settings
	return fmt.Sprintf("A picture took %.1f ms to read, %.1f to letterbox, %.1f in the network (%s, %dx%d, batch %d, slots %d, threads %d), %.2f to decode "+
		"and %.2f for NMS.", t.Read, t.Letterbox, t.Network, e.Device, e.Width, e.Height, s.Batch, s.Slots, s.Threads, t.Decode, t.NMS)
}

// rounded writes a figure with some decimals, all of them for -1; a dash, or
// nothing, stands where there is none.
func rounded(f eval.Figure, decimals int) string {
	if math.IsNaN(float64(f)) {
		if decimals < 0 {
			return ""
		}
		return "-"
	}
	return strconv.FormatFloat(float64(f), 'f', decimals, 64)
}
