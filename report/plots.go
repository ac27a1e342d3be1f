package report

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/trtdet/trtdet/eval"
	"github.com/trtdet/trtdet/imaging"
)

// maxNamed is up to how many classes a plot tells them apart, as YOLOv5's do.
const maxNamed = 20

// SavePlots draws the curves and the confusion matrix, under YOLOv5's names, in
// the folder that NewFolder would make, and returns it.
func (e *Evaluation) SavePlots(project, name string, existOK bool) (string, error) {
	folder, _, err := makeFolder(project, name, existOK)
	if err != nil {
		return "", err
	}
	c := e.Curves
	best := func(f eval.Figure, of string) string {
		return fmt.Sprintf("all classes %s %s at %.3f", of, rounded(f, 2), e.BestF1.Conf)
	}
	plots := []struct {
		file, title, x, y, all string
		xs                     []float64
		rows                   [][]float64
		perClass               func(row int) string
	}{
		{"PR_curve.png", "Precision over recall, IoU 0.5", "recall", "precision",
			"all classes mAP50 " + rounded(e.Overall.YOLOv5.MAP50, 3), c.Recalls, c.Precisions,
			func(row int) string { return " " + rounded(e.Classes[row].YOLOv5.MAP50, 3) }},
		{"P_curve.png", "Precision over confidence, IoU 0.5", "confidence", "precision", best(e.BestF1.Precision, "P"), c.Conf, c.P, nil},
		{"R_curve.png", "Recall over confidence, IoU 0.5", "confidence", "recall", best(e.BestF1.Recall, "R"), c.Conf, c.R, nil},
		{"F1_curve.png", "F1 over confidence, IoU 0.5", "confidence", "F1", best(e.BestF1.F1, "F1"), c.Conf, c.F1, nil},
	}
	for _, p := range plots {
		drawn, err := e.curves(p.title, p.x, p.y, p.all, p.xs, p.rows, p.perClass)
		if err == nil {
			err = savePNG(filepath.Join(folder, p.file), drawn, 24, 16)
		}
		if err != nil {
			return "", err
		}
	}
	matrix, side := e.matrix()
	return folder, savePNG(filepath.Join(folder, "confusion_matrix.png"), matrix, side, side)
}

// newPlot is an empty plot from 0 to 1 both ways.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	for _, style := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		style.Typeface, style.Variant = "Liberation", "Sans"
	}
	p.Title.Padding = vg.Points(8)
	p.BackgroundColor = color.White
	return p
}

// curves draws a line for each class, if there are few, and one for their mean.
func (e *Evaluation) curves(title, x, y, all string, xs []float64, rows [][]float64, perClass func(int) string) (*plot.Plot, error) {
	p := newPlot(title, x, y)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{230}, color.Gray{230}
	p.Add(grid)
	for row, ys := range rows {
		line, err := newLine(xs, ys, imaging.ClassColor(e.Classes[row].ClassID), 1)
		if err != nil {
			return nil, err
		}
		if len(rows) > maxNamed {
			line.Color = color.Gray{190}
		}
		p.Add(line)
		if len(rows) <= maxNamed {
			name := Printable(e.Classes[row].Class)
			if perClass != nil {
				name += perClass(row)
			}
			p.Legend.Add(name, line)
		}
	}
	if len(rows) > 0 {
		line, err := newLine(xs, eval.MeanCurve(rows), color.RGBA{0, 0, 200, 255}, 3)
		if err != nil {
			return nil, err
		}
		p.Add(line)
		p.Legend.Add(all, line)
	}
	p.Legend.Top = true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-6), vg.Points(-4)
	p.Legend.ThumbnailWidth = vg.Points(16)
	// room for the legend beside the curves
	p.X.Max = 1.45
	p.X.Tick.Marker = ticksToOne{}
	p.Y.Tick.Marker = ticksToOne{}
	return p, nil
}

func newLine(xs, ys []float64, c color.Color, width float64) (*plotter.Line, error) {
	points := make(plotter.XYs, len(xs))
	for i := range xs {
		points[i] = plotter.XY{X: xs[i], Y: ys[i]}
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.Color, line.Width = c, vg.Points(width)
	return line, nil
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

// matrixGrid is the confusion matrix as shares of each actual class.
type matrixGrid struct {
	counts [][]int // [detected][actual]
	names  []string
}

func (g matrixGrid) Dims() (columns, rows int) { return len(g.names), len(g.names) }
func (g matrixGrid) X(c int) float64           { return float64(c) }
func (g matrixGrid) Y(r int) float64           { return float64(r) }

// Z counts rows from below; the first class stands on top.
func (g matrixGrid) Z(c, r int) float64 {
	r = len(g.names) - 1 - r
	total := 0
	for _, row := range g.counts {
		total += row[c]
	}
	if total == 0 {
		return 0
	}
	return float64(g.counts[r][c]) / float64(total)
}

// matrix draws the confusion matrix of the classes that have objects or
// detections, and says how many centimeters it needs.
func (e *Evaluation) matrix() (p *plot.Plot, side float64) {
	g := e.matrixGrid()
	p = newPlot("What objects are taken for (confidence over 0.25, IoU over 0.45)", "actual class", "detected as")
	heat := plotter.NewHeatMap(g, shades{})
	heat.Min, heat.Max = 0, 1
	p.Add(heat)
	n := len(g.names)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(n)-0.5, -0.5, float64(n)-0.5
	var across, up namedTicks
	for i, name := range g.names {
		across = append(across, plot.Tick{Value: float64(i), Label: name})
		up = append(up, plot.Tick{Value: float64(n - 1 - i), Label: name})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = across, up
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/2, draw.XRight, draw.YCenter
	if n <= 2*maxNamed {
		var dark, light plotter.XYLabels
		for c := range n {
			for r := range n {
				if z := g.Z(c, r); z >= 0.005 {
					to := &dark
					if z > 0.5 {
						to = &light
					}
					to.XYs = append(to.XYs, plotter.XY{X: float64(c), Y: float64(r)})
					to.Labels = append(to.Labels, strconv.FormatFloat(z, 'f', 2, 64))
				}
			}
		}
		for labels, ink := range map[*plotter.XYLabels]color.Color{&dark: color.Black, &light: color.White} {
			if len(labels.Labels) == 0 {
				continue
			}
			shown, err := plotter.NewLabels(labels)
			if err != nil {
				continue // which only labels of unequal number bring about
			}
			for i := range shown.TextStyle {
				s := &shown.TextStyle[i]
				s.Color, s.XAlign, s.YAlign = ink, draw.XCenter, draw.YCenter
				s.Font.Typeface, s.Font.Variant, s.Font.Size = "Liberation", "Sans", vg.Points(8)
			}
			p.Add(shown)
		}
	}
	return p, min(14+0.9*float64(n), 60)
}

// matrixGrid leaves out classes of which there is nothing.
func (e *Evaluation) matrixGrid() matrixGrid {
	counts := e.Confusion.Counts
	var keep []int
	for i := range counts {
		sum := 0
		for k := range counts {
			sum += counts[i][k] + counts[k][i]
		}
		if sum > 0 || i == len(counts)-1 {
			keep = append(keep, i)
		}
	}
	names := map[int]string{len(counts) - 1: "background"}
	for _, c := range e.Classes {
		names[c.ClassID] = Printable(c.Class)
	}
	g := matrixGrid{}
	for _, i := range keep {
		row := make([]int, 0, len(keep))
		for _, k := range keep {
			row = append(row, counts[i][k])
		}
		name, known := names[i]
		if !known {
			name = "class " + strconv.Itoa(i)
		}
		g.counts, g.names = append(g.counts, row), append(g.names, name)
	}
	return g
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
func savePNG(path string, p *plot.Plot, width, height float64) error {
	canvas := vgimg.NewWith(vgimg.UseWH(vg.Length(width)*vg.Centimeter, vg.Length(height)*vg.Centimeter), vgimg.UseDPI(150))
	p.Draw(draw.New(canvas))
	err := WriteWhole(path, func(w io.Writer) error {
		_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w; --project names another place", err)
	}
	return nil
}
