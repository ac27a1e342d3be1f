package report

import (
	"encoding/csv"
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
