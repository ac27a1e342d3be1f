package report

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/eval"
)

// evaluation is of two objects, the second of which is taken for class 2.
func evaluation() *Evaluation {
	box := decode.Box{X2: 10, Y2: 10}
	object := [4]float64{0, 0, 10, 10}
	d := &eval.Dataset{Pictures: []eval.Picture{
		{Width: 10, Height: 10, Objects: []eval.Object{{Class: 0, Box: object, Area: 100}}},
		{Width: 10, Height: 10, Objects: []eval.Object{{Class: 1, Box: object, Area: 100}}},
	}}
	detections := [][]eval.Detection{{{Class: 0, Score: 0.75, Box: box}}, {{Class: 2, Score: 0.5, Box: box}}}
	name := func(c int) string { return []string{"a, \"b\"", "c|d", "e"}[c] }
	return &Evaluation{Metrics: eval.Evaluate(d, detections, 3, name, eval.Options{ConfSweep: []float32{0.25, 0.8}}), Device: "cpu"}
}

// What --conf-sweep asks for stands in each format.
func TestEvaluationCSV(t *testing.T) {
	var b strings.Builder
	if err := evaluation().Write("csv", &b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v\n%s", err, b.String())
	}
	at := func(row int, column string) string {
		for i, name := range rows[0] {
			if name == column {
				return rows[row][i]
			}
		}
		return "no column"
	}
	for _, c := range []struct {
		row          int
		column, want string
	}{
		{1, "class", "all"}, {1, "objects", "2"}, {1, "precision_at_0.25", "0.5"}, {1, "recall_at_0.25", "0.5"}, {1, "f1_at_0.8", "0"},
		{2, "class", "a, \"b\""}, {2, "f1_at_0.25", "1"}, {2, "recall_at_0.8", "0"}, {2, "pictures", "1"}, {2, "map_large", ""},
		{3, "class_id", "1"}, {3, "recall_at_0.25", "0"},
	} {
		if got := at(c.row, c.column); got != c.want {
			t.Errorf("row %d, %s: %q, want %q", c.row, c.column, got, c.want)
		}
	}
	if len(rows[0]) != 26 {
		t.Errorf("%d columns", len(rows[0]))
	}
}

// The four formats say the same: what json has, the others have, rounded.
func TestFormatsAgree(t *testing.T) {
	e := evaluation()
	e.Times = eval.StageTimes{Read: 1.25, Network: 12.5}
	e.Settings = EvaluationSettings{Batch: 3, Slots: 2, Threads: 8}
	text := map[string]string{}
	for _, format := range EvaluationFormats {
		var b strings.Builder
		if err := e.Write(format, &b); err != nil {
			t.Fatal(err)
		}
		text[format] = b.String()
	}
	var parsed struct {
		Overall  eval.Scores
		Classes  []eval.ClassScores
		Sweep    []eval.AtConf `json:"conf_sweep"`
		Best     eval.BestF1   `json:"best_f1"`
		Settings EvaluationSettings
		Times    eval.StageTimes `json:"milliseconds"`
	}
	if err := json.Unmarshal([]byte(text["json"]), &parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.Settings != e.Settings || parsed.Times != e.Times {
		t.Errorf("json has %+v, %+v", parsed.Settings, parsed.Times)
	}
	rows, err := csv.NewReader(strings.NewReader(text["csv"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	scores := append([]eval.ClassScores{{Class: "all", Scores: parsed.Overall}}, parsed.Classes...)
	if len(rows) != 1+len(scores) {
		t.Fatalf("csv has %d lines, json %d classes", len(rows), len(parsed.Classes))
	}
	for i, s := range scores {
		number := func(f eval.Figure) string { return rounded(f, -1) }
		want := []string{rows[1+i][0], s.Class, strconv.Itoa(s.Pictures), strconv.Itoa(s.Objects), number(s.MAP50), number(s.MAP75), number(s.MAP5095),
			number(s.Small), number(s.Medium), number(s.Large), number(s.AR1), number(s.AR10), number(s.AR100), number(s.ARSmall), number(s.ARMedium),
			number(s.ARLarge), number(s.YOLOv5.Precision), number(s.YOLOv5.Recall), number(s.YOLOv5.MAP50), number(s.YOLOv5.MAP5095)}
		for _, at := range parsed.Sweep {
			r := at.Rates
			if i > 0 {
				r = at.Classes[i-1].Rates
			}
			want = append(want, number(r.Precision), number(r.Recall), number(r.F1))
		}
		if !slices.Equal(rows[1+i], want) {
			t.Errorf("csv has\n%q, json\n%q", rows[1+i], want)
		}
		three := func(f eval.Figure) string { return rounded(f, 3) }
		cells := []string{s.Class, strconv.Itoa(s.Pictures), strconv.Itoa(s.Objects), three(s.YOLOv5.Precision), three(s.YOLOv5.Recall), three(s.MAP50),
			three(s.MAP75), three(s.MAP5095), three(s.Small), three(s.Medium), three(s.Large)}
		wantCells(t, text, cells)
	}
	for _, at := range parsed.Sweep {
		wantCells(t, text, []string{confidence(at.Conf), rounded(at.Precision, 3), rounded(at.Recall, 3), rounded(at.F1, 3),
			strconv.Itoa(at.TruePositives), strconv.Itoa(at.FalsePositives), rounded(at.MeanScoreTrue, 3), rounded(at.MeanScoreFalse, 3)})
	}
	b := parsed.Best
	wantCells(t, text, []string{rounded(eval.Figure(b.Conf), 3), "(best F1)", rounded(b.Precision, 3), rounded(b.Recall, 3), rounded(b.F1, 3)})
	for _, format := range []string{"table", "md"} {
		for _, words := range []string{"1.2 ms to read", "12.5 in the network", "batch 3, slots 2, threads 8"} {
			if !strings.Contains(text[format], words) {
				t.Errorf("%s does not say %q:\n%s", format, words, text[format])
			}
		}
	}
}

// wantCells wants a row of these cells in the table and in markdown.
func wantCells(t *testing.T, text map[string]string, cells []string) {
	t.Helper()
	for format, between := range map[string]string{"table": " ", "md": " | "} {
		want := strings.Join(strings.Fields(strings.Join(cells, between)), " ")
		if format == "md" {
			want = strings.ReplaceAll(want, "c|d", `c\|d`)
		}
		found := false
		for line := range strings.Lines(text[format]) {
			line = strings.Join(strings.Fields(line), " ")
			found = found || strings.Contains(strings.ReplaceAll(line, "| (best F1)", "(best F1)"), strings.ReplaceAll(want, "| (best F1)", "(best F1)"))
		}
		if !found {
			t.Errorf("%s has no row %q:\n%s", format, want, text[format])
		}
	}
}
