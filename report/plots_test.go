package report

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gonum.org/v1/plot/vg/draw"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/eval"
)

func TestGraphs(t *testing.T) {
	e := evaluation()
	graphs := e.graphs()
	var files []string
	for _, g := range graphs {
		files = append(files, g.file)
		if len(g.curves) != 3 {
			t.Fatalf("%s has %d curves, want those of two classes and their mean", g.file, len(g.curves))
		}
		for _, c := range g.curves {
			if len(c.points) != 1000 || c.points[0].X != 0 || c.points[999].X != 1 {
				t.Errorf("%s, %s: %d points from %g to %g", g.file, c.label, len(c.points), c.points[0].X, c.points[len(c.points)-1].X)
			}
		}
	}
	if got := strings.Join(files, " "); got != "PR_curve.png P_curve.png R_curve.png F1_curve.png" {
		t.Errorf("files are %s", got)
	}
	// class 0 has its one object at 0.75, class 1 none of its
	at := func(graph, curve, point int) float64 { return graphs[graph].curves[curve].points[point].Y }
	for _, c := range []struct {
		graph, curve, point int
		want                float64
	}{
		{0, 0, 500, 1}, {0, 1, 500, 0}, {0, 2, 500, 0.5}, // precision over recall
		{2, 0, 100, 1}, {2, 0, 900, 0}, {2, 1, 100, 0}, {2, 2, 100, 0.5}, // recall over confidence
		{3, 0, 100, 1}, {3, 2, 100, 0.5}, {3, 2, 900, 0}, // F1 over confidence
	} {
		if got := at(c.graph, c.curve, c.point); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s, curve %d, point %d: %g, want %g", graphs[c.graph].file, c.curve, c.point, got, c.want)
		}
	}
	if title := graphs[0].title; !strings.Contains(title, "AP50 as YOLOv5 computes it") { // the table has COCO's
		t.Errorf("nobody knows whose mAP it is: %q", title)
	}
	var labels []string
	for _, c := range append(graphs[0].curves, graphs[2].curves...) {
		labels = append(labels, c.label)
	}
	want := []string{"a, \"b\" 0.995", "c|d 0.000", "all, YOLOv5 mAP50 0.497", "a, \"b\"", "c|d",
		fmt.Sprintf("all classes R %.2f at %.3f", e.BestF1.Recall, e.BestF1.Conf)}
	if !slices.Equal(labels, want) {
		t.Errorf("labels are %q, want %q", labels, want)
	}
}

func TestMatrix(t *testing.T) {
	e := evaluation()
	m := e.matrix()
	// class 0 is found, class 1 missed, class 2 seen where nothing is labelled so
	if got := fmt.Sprint(m.names, m.shares); got != "[a, \"b\" c|d class 2 background] [[1 0 0 0] [0 0 0 0] [0 1 0 0] [0 0 0 0]]" {
		t.Errorf("got %s", got)
	}
	if columns, rows := m.Dims(); columns != 4 || rows != 4 || m.Z(0, 3) != 1 || m.Z(1, 1) != 1 || m.Z(0, 0) != 0 {
		t.Errorf("%dx%d, %v", columns, rows, m.shares)
	}
	// the background's column: what was found where nothing is
	e.Confusion.Counts = [][]int{{3, 0, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 3}, {4, 0, 0, 0}}
	if got := fmt.Sprint(e.matrix().names, e.matrix().shares); got != "[a, \"b\" class 2 background] [[0.375 0 0.25] [0.125 0 0.75] [0.5 0 0]]" {
		t.Errorf("got %s", got)
	}
}

// many has n classes with an object each, all found.
func many(n int, name func(int) string) *Evaluation {
	d := &eval.Dataset{}
	var detections [][]eval.Detection
	for c := range n {
		d.Pictures = append(d.Pictures, eval.Picture{Width: 10, Height: 10, Objects: []eval.Object{{Class: c, Box: [4]float64{0, 0, 10, 10}, Area: 100}}})
		detections = append(detections, []eval.Detection{{Class: c, Score: 0.5, Box: decode.Box{X2: 10, Y2: 10}}})
	}
	return &Evaluation{Metrics: eval.Evaluate(d, detections, n, name, eval.Options{})}
}

// Up to 20 classes are told apart in curves, 40 have numbers in the matrix.
func TestPlotsOfManyClasses(t *testing.T) {
	for _, c := range []struct {
		classes         int
		named, numbered bool
	}{{1, true, true}, {20, true, true}, {21, false, true}, {40, false, true}, {41, false, false}} {
		e := many(c.classes, func(i int) string { return fmt.Sprint("name ", i) })
		curves := e.graphs()[0].curves
		if len(curves) != c.classes+1 || (curves[0].label != "") != c.named || curves[c.classes].label == "" {
			t.Errorf("%d classes: %d curves, the first is %q", c.classes, len(curves), curves[0].label)
		}
		if m := e.matrix(); len(m.names) != c.classes+1 || m.names[0] != "name 0" || m.numbered() != c.numbered {
			t.Errorf("%d classes: the matrix has %d names, numbers %v", c.classes, len(m.names), m.numbered())
		}
	}
}

func TestClassStylesStayApart(t *testing.T) {
	mean := draw.LineStyle{Color: color.Black}
	styles := []draw.LineStyle{mean}
	for row := range maxNamed {
		styles = append(styles, classStyle(row))
	}
	for i, a := range styles {
		for k, b := range styles[:i] {
			r1, g1, b1, _ := a.Color.RGBA()
			r2, g2, b2, _ := b.Color.RGBA()
			apart := math.Hypot(math.Hypot(float64(r1)-float64(r2), float64(g1)-float64(g2)), float64(b1)-float64(b2)) / 0x101
			if apart < 60 && (len(a.Dashes) > 0) == (len(b.Dashes) > 0) {
				t.Errorf("curves %d and %d are %.0f apart", i-1, k-1, apart)
			}
		}
	}
}

func TestPlotNames(t *testing.T) {
	for name, want := range map[string]string{
		"dog": "dog", "Größe": "Größe", "собака": "собака", "自行车": "class 7", "dog 犬": "class 7", "": "class 7", "\t": "class 7",
	} {
		if got := plotName(7, name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := shortened("dog", legendFont, legendWidth); got != "dog" {
		t.Errorf("dog became %q", got)
	}
	got := shortened(strings.Repeat("Straßenbahn ", 20), legendFont, legendWidth)
	if !strings.HasPrefix(got, "Straßenbahn Stra") || !strings.HasSuffix(got, "...") || len(got) > 60 {
		t.Errorf("a long name became %q", got)
	}
	if got := many(1, func(int) string { return strings.Repeat("x", 100) }).matrix().names[0]; len(got) > 40 {
		t.Errorf("the matrix has %q", got)
	}
}

// Where the disk is full, no empty folder stays.
func TestSavePlotsOnAFullDisk(t *testing.T) {
	project := t.TempDir()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := evaluation().SavePlots(project, "exp", false)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err == nil || !strings.Contains(err.Error(), "--project names another place") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(project, "exp")); err == nil {
		t.Error("the folder stays")
	}
}
