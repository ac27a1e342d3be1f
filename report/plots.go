package report

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/trtdet/trtdet/eval"
	"github.com/trtdet/trtdet/internal/wholefile"
)

const (
	// maxNamed is up to how many classes a plot tells them apart, as YOLOv5's do.
	maxNamed = 20
	// maxNumbered is up to how many classes the confusion matrix has numbers.
	maxNumbered = 40
	// margin is left white on each side of a picture.
	margin = 3 * vg.Millimeter
)

// SavePlots draws the curves and the confusion matrix, under YOLOv5's names, in
// the folder that NewFolder would make, and returns it. If nothing can be saved,
// no folder stays behind.
func (e *Evaluation) SavePlots(project, name string, existOK bool) (_ string, err error) {
	root, folder, made, err := makeFolder(project, name, existOK)
	if err != nil {
		return "", err
	}
	defer func() {
		root.Close() //nolint:errcheck // nothing was written to it
		if err != nil && made {
			os.Remove(folder) //nolint:errcheck // a folder with something in it stays
		}
	}()
	for _, g := range e.graphs() {
		if err := savePNG(root, g.file, g.draw(), 24, 16); err != nil {
			return "", err
		}
	}
	m := e.matrix()
	side := min(14+0.9*float64(len(m.names)), 60)
	return folder, savePNG(root, "confusion_matrix.png", m.draw(), side, side)
}

// graph is a picture of curves.
type graph struct {
	file, title, x, y string
	curves            []curve
}

// curve is one line of a graph.
type curve struct {
	label  string // "" for one that the legend leaves out
	points plotter.XYs
	style  draw.LineStyle
}

func (e *Evaluation) graphs() []graph {
	c := e.Curves
	best := func(f eval.Figure, of string) string {
		return fmt.Sprintf("all classes %s %s at %.3f", of, rounded(f, 2), e.BestF1.Conf)
	}
	mAP := func(row int) string { return " " + rounded(e.Classes[row].YOLOv5.MAP50, 3) }
	none := func(int) string { return "" }
	return []graph{
		{"PR_curve.png", "Precision over recall, IoU 0.5. AP50 as YOLOv5 computes it; the table's is COCO's", "recall", "precision",
			e.curves(c.Recalls, c.Precisions, mAP, "all, YOLOv5 mAP50 "+rounded(e.Overall.YOLOv5.MAP50, 3))},
		{"P_curve.png", "Precision over confidence, IoU 0.5", "confidence", "precision", e.curves(c.Conf, c.P, none, best(e.BestF1.Precision, "P"))},
		{"R_curve.png", "Recall over confidence, IoU 0.5", "confidence", "recall", e.curves(c.Conf, c.R, none, best(e.BestF1.Recall, "R"))},
		{"F1_curve.png", "F1 over confidence, IoU 0.5", "confidence", "F1", e.curves(c.Conf, c.F1, none, best(e.BestF1.F1, "F1"))},
	}
}

// curves are one for each class, told apart if there are few, and one for their
// mean. after follows the name of a row's class.
func (e *Evaluation) curves(xs []float64, rows [][]float64, after func(row int) string, all string) []curve {
	var curves []curve
	for row, ys := range rows {
		c := curve{points: points(xs, ys), style: draw.LineStyle{Color: color.Gray{190}, Width: vg.Points(1)}}
		if len(rows) <= maxNamed {
			c.style = classStyle(row)
			c.label = shortened(plotName(e.Classes[row].ClassID, e.Classes[row].Class), legendFont, legendWidth) + after(row)
		}
		curves = append(curves, c)
	}
	if len(rows) > 0 {
		curves = append(curves, curve{all, points(xs, eval.MeanCurve(rows)), draw.LineStyle{Color: color.Black, Width: vg.Points(3)}})
	}
	return curves
}

func points(xs, ys []float64) plotter.XYs {
	p := make(plotter.XYs, len(xs))
	for i := range xs {
		p[i] = plotter.XY{X: xs[i], Y: ys[i]}
	}
	return p
}

// hues are those of matplotlib's curves (tab10), which stay apart from each
// other, from white and from the mean's black.
var hues = []color.RGBA{{31, 119, 180, 255}, {255, 127, 14, 255}, {44, 160, 44, 255}, {214, 39, 40, 255}, {148, 103, 189, 255},
	{140, 86, 75, 255}, {227, 119, 194, 255}, {127, 127, 127, 255}, {188, 189, 34, 255}, {23, 190, 207, 255}}

// classStyle tells maxNamed curves apart: by hue, the second half by dashes too.
func classStyle(row int) draw.LineStyle {
	s := draw.LineStyle{Color: hues[row%len(hues)], Width: vg.Points(1.25)}
	if row/len(hues)%2 == 1 {
		s.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
	}
	return s
}

// newPlot is an empty plot from 0 to 1 both ways.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	p.Title.TextStyle.Font, p.X.Label.TextStyle.Font, p.Y.Label.TextStyle.Font = sans(12), sans(12), sans(12)
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font, p.Legend.TextStyle.Font = tickFont, tickFont, legendFont
	p.Title.Padding = vg.Points(8)
	p.BackgroundColor = color.White
	return p
}

func (g *graph) draw() *plot.Plot {
	p := newPlot(g.title, g.x, g.y)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{230}, color.Gray{230}
	p.Add(grid)
	for _, c := range g.curves {
		line := &plotter.Line{XYs: c.points, LineStyle: c.style}
		p.Add(line)
		if c.label != "" {
			p.Legend.Add(c.label, line)
		}
	}
	p.Legend.Top = true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-6), vg.Points(-4)
	p.Legend.ThumbnailWidth = vg.Points(24)
	// room for the legend beside the curves
	p.X.Max = 1.45
	p.X.Tick.Marker = ticksToOne{}
	p.Y.Tick.Marker = ticksToOne{}
	return p
}

// ticksToOne marks 0, 0.2, ... 1, whatever the axis has room for.
type ticksToOne struct{}

func (ticksToOne) Ticks(_, _ float64) []plot.Tick {
	var ticks []plot.Tick
	for i := range 11 {
		t := plot.Tick{Value: float64(i) / 10}
		if i%2 == 0 {
			t.Label = strconv.FormatFloat(t.Value, 'g', -1, 64)
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// matrix is the confusion matrix as shares of each actual class.
type matrix struct {
	shares [][]float64 // [detected][actual]
	names  []string    // the last is the background
}

// matrix leaves out classes of which there is nothing.
func (e *Evaluation) matrix() matrix {
	counts := e.Confusion.Counts
	background := len(counts) - 1
	actual, detected := make([]int, len(counts)), make([]int, len(counts))
	for d, row := range counts {
		for a, n := range row {
			actual[a] += n
			detected[d] += n
		}
	}
	var keep []int
	for i := range counts {
		if actual[i]+detected[i] > 0 || i == background {
			keep = append(keep, i)
		}
	}
	names := map[int]string{}
	for _, c := range e.Classes {
		names[c.ClassID] = c.Class
	}
	m := matrix{}
	for _, d := range keep {
		row := make([]float64, len(keep))
		for k, a := range keep {
			row[k] = float64(counts[d][a]) / float64(max(actual[a], 1))
		}
		name := "background"
		if d != background {
			name = shortened(plotName(d, names[d]), tickFont, tickWidth)
		}
		m.shares, m.names = append(m.shares, row), append(m.names, name)
	}
	return m
}

// Dims, X, Y and Z are plotter.GridXYZ's. Rows are counted from below; the first
// class stands on top.
func (m matrix) Dims() (columns, rows int) { return len(m.names), len(m.names) }
func (m matrix) X(c int) float64           { return float64(c) }
func (m matrix) Y(r int) float64           { return float64(r) }
func (m matrix) Z(c, r int) float64        { return m.shares[len(m.names)-1-r][c] }

func (m matrix) draw() *plot.Plot {
	p := newPlot("What objects are taken for (confidence over 0.25, IoU over 0.45)", "actual class", "detected as")
	heat := plotter.NewHeatMap(m, shades{})
	heat.Min, heat.Max = 0, 1
	p.Add(heat)
	n := len(m.names)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(n)-0.5, -0.5, float64(n)-0.5
	var across, up namedTicks
	for i, name := range m.names {
		across = append(across, plot.Tick{Value: float64(i), Label: name})
		up = append(up, plot.Tick{Value: float64(n - 1 - i), Label: name})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = across, up
	for _, axis := range []*plot.Axis{&p.X, &p.Y} { // the upright names would stand on lines and ticks
		axis.Width, axis.Tick.Length = 0, 0
	}
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/2, draw.XRight, draw.YCenter
	if m.numbered() {
		p.Add(m.numbers()...)
	}
	return p
}

// numbered reports whether the cells have room for numbers.
func (m matrix) numbered() bool { return len(m.names)-1 <= maxNumbered }

// numbers are those that stand in the matrix: black, white where it is dark.
func (m matrix) numbers() []plot.Plotter {
	var labels []plot.Plotter
	for _, ink := range []color.Gray16{color.Black, color.White} {
		var l plotter.XYLabels
		for c := range m.names {
			for r := range m.names {
				if z := m.Z(c, r); z >= 0.005 && z > 0.5 == (ink == color.White) {
					l.XYs = append(l.XYs, plotter.XY{X: float64(c), Y: float64(r)})
					l.Labels = append(l.Labels, strconv.FormatFloat(z, 'f', 2, 64))
				}
			}
		}
		shown, err := plotter.NewLabels(l)
		if err != nil || len(l.Labels) == 0 {
			continue // plotter refuses to draw none
		}
		for i := range shown.TextStyle {
			s := &shown.TextStyle[i]
			s.Color, s.XAlign, s.YAlign = ink, draw.XCenter, draw.YCenter
			s.Font = sans(8)
		}
		labels = append(labels, shown)
	}
	return labels
}

type namedTicks []plot.Tick

func (t namedTicks) Ticks(_, _ float64) []plot.Tick { return t }

// shades go from white to blue.
type shades struct{}

var _ palette.Palette = shades{}

func (shades) Colors() []color.Color {
	var c []color.Color
	for i := range 101 {
		t := float64(i) / 100
		c = append(c, color.RGBA{uint8(255 - 247*t), uint8(255 - 207*t), uint8(255 - 148*t), 255})
	}
	return c
}

// savePNG draws a plot of so many centimeters at 150 dots an inch.
func savePNG(folder *os.Root, name string, p *plot.Plot, width, height float64) error {
	canvas := vgimg.NewWith(vgimg.UseWH(vg.Length(width)*vg.Centimeter, vg.Length(height)*vg.Centimeter), vgimg.UseDPI(150))
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	err := wholefile.WriteIn(folder, name, func(w io.Writer) error {
		_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w; --project names another place", filepath.Join(folder.Name(), name), withoutPath(err))
	}
	return nil
}
