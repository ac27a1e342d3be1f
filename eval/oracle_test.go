package eval

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/tests/oracle"
)

// randomCase makes a dataset as detectors see them: most objects found, some
// twice, some not, scores that are right more often when they are high, crowds,
// pictures with nothing in them, classes without objects, scores with ties.
func randomCase(rng *rand.Rand, pictures, objects, classes int, ties bool) (*Dataset, [][]Detection) {
	d := &Dataset{Categories: map[int]int{}}
	for c := range classes {
		d.Names = append(d.Names, fmt.Sprint("class", c))
		d.Categories[c] = 3*c + 1
	}
	detections := make([][]Detection, pictures)
	score := func(mean float64) float32 {
		s := 1 / (1 + math.Exp(-mean-1.5*rng.NormFloat64()))
		if ties {
			s = math.Round(s*20) / 20
		}
		return float32(s)
	}
	for p := range pictures {
		picture := Picture{Path: fmt.Sprintf("%06d.jpg", p), ID: int64(7 * p), Width: 640, Height: 480}
		n := rng.IntN(2*objects + 1)
		if p%10 == 3 {
			n = 0
		}
		for range n {
			w, h := 4*math.Exp(4*rng.Float64()), 4*math.Exp(4*rng.Float64())
			o := Object{Class: rng.IntN(max(classes-1, 1)), Box: [4]float64{rng.Float64() * (640 - w), rng.Float64() * (480 - h), w, h}}
			o.Area = w * h * (0.5 + rng.Float64()/2)
			o.Crowd = rng.IntN(25) == 0
			picture.Objects = append(picture.Objects, o)
			for rng.IntN(4) != 0 { // missed, found, found twice, ...
				near := func(v, side float64) float32 { return float32(v + side*0.08*rng.NormFloat64()) }
				det := Detection{Class: o.Class, Score: score(1), Box: decode.Box{
					X1: near(o.Box[0], w), Y1: near(o.Box[1], h), X2: near(o.Box[0]+w, w), Y2: near(o.Box[1]+h, h)}}
				if rng.IntN(8) == 0 {
					det.Class = rng.IntN(classes)
				}
				detections[p] = append(detections[p], det)
			}
		}
		for range rng.IntN(objects + 1) { // of nothing
			x, y := 600*rng.Float32(), 440*rng.Float32()
			detections[p] = append(detections[p], Detection{Class: rng.IntN(classes), Score: score(-2),
				Box: decode.Box{X1: x, Y1: y, X2: x + 1 + 300*rng.Float32(), Y2: y + 1 + 200*rng.Float32()}})
		}
		slices.SortStableFunc(detections[p], byScore)
		d.Pictures = append(d.Pictures, picture)
	}
	return d, detections
}

var cases = []struct {
	name                       string
	pictures, objects, classes int
	ties                       bool
}{
	{"one class", 40, 5, 1, false},
	{"few classes", 120, 8, 5, false},
	{"many classes", 150, 15, 80, false},
	{"crowded", 12, 150, 2, false},
	{"ties", 60, 8, 4, true},
}

// annotations writes the dataset as COCO's instances.json.
func annotations(t testing.TB, path string, d *Dataset) {
	t.Helper()
	file := instances{Annotations: []cocoAnnotation{}}
	for i, p := range d.Pictures {
		id := cocoID{number: cocoInt(p.ID.(int64))}
		file.Images = append(file.Images, cocoImage{ID: &id, FileName: p.Path, Width: cocoNumber(p.Width), Height: cocoNumber(p.Height)})
		for k := range p.Objects {
			o := &p.Objects[k]
			crowd, box := cocoInt(0), make([]cocoNumber, 4)
			for i, v := range o.Box {
				box[i] = cocoNumber(v)
			}
			if o.Crowd {
				crowd = 1
			}
			file.Annotations = append(file.Annotations, cocoAnnotation{ID: cocoID{number: cocoInt(1 + 1000*i + k)}, ImageID: id,
				CategoryID: cocoInt(d.Categories[o.Class]), BBox: box, Area: cocoNumber(o.Area), IsCrowd: crowd})
		}
	}
	for c, name := range d.Names {
		file.Categories = append(file.Categories, cocoCategory{ID: cocoInt(d.Categories[c]), Name: name})
	}
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// cocoFiles writes what pycocotools reads.
func cocoFiles(t testing.TB, d *Dataset, detections [][]Detection) (truth, found string) {
	t.Helper()
	folder := t.TempDir()
	truth, found = filepath.Join(folder, "instances.json"), filepath.Join(folder, "results.json")
	annotations(t, truth, d)
	f, err := os.Create(found)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteResults(f, d, detections); err != nil {
		t.Fatal(err)
	}
	return truth, found
}

func (c COCO) stats() []Figure {
	return []Figure{c.MAP5095, c.MAP50, c.MAP75, c.Small, c.Medium, c.Large, c.AR1, c.AR10, c.AR100, c.ARSmall, c.ARMedium, c.ARLarge}
}

type cocoOracle struct {
	Overall []Figure
	Classes map[int][]Figure
	Seconds float64
}

func near(a, b Figure) bool {
	return math.IsNaN(float64(a)) && math.IsNaN(float64(b)) || math.Abs(float64(a-b)) <= 1e-6
}

func compare(t *testing.T, what string, got, want []Figure) {
	t.Helper()
	for i := range want {
		if !near(got[i], want[i]) {
			t.Errorf("%s: figure %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestAgainstPycocotools(t *testing.T) {
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, detections := randomCase(rand.New(rand.NewPCG(uint64(i), 5)), c.pictures, c.objects, c.classes, c.ties)
			truth, found := cocoFiles(t, d, detections)
			var want cocoOracle
			if err := json.Unmarshal(oracle.Run(t, oracle.Venv, "coco_eval.py", truth, found), &want); err != nil {
				t.Fatal(err)
			}
			read, err := LoadCOCO(t.TempDir(), truth, nil)
			if err != nil || read.Problems.Total() != 0 {
				t.Fatal(err, read.Problems)
			}
			m := Evaluate(read, detections, c.classes, className, Options{})
			compare(t, "overall", m.Overall.stats(), want.Overall)
			for _, class := range m.Classes {
				compare(t, class.Class, class.stats(), want.Classes[d.Categories[class.ClassID]])
			}
			if len(m.Classes) == 0 || !(m.Overall.MAP50 > 0.2) || !(m.Overall.MAP50 < 0.99) {
				t.Errorf("mAP50 is %v over %d classes: the case compares nothing", m.Overall.MAP50, len(m.Classes))
			}
		})
	}
}

func className(c int) string { return fmt.Sprint("class", c) }

type yolov5Oracle struct {
	Classes   []int
	Precision []Figure
	Recall    []Figure
	F1        []Figure
	AP        [][]Figure
	Confusion [][]float64
	Seconds   float64
}

// yolov5Case is what yolov5_eval.py reads.
type yolov5Case struct {
	Classes  int             `json:"classes"`
	Pictures []yolov5Picture `json:"pictures"`
}

type yolov5Picture struct {
	Labels     [][5]float32 `json:"labels"`
	Detections [][6]float32 `json:"detections"`
}

func newYOLOv5Case(d *Dataset, detections [][]Detection, classes int) yolov5Case {
	c := yolov5Case{Classes: classes}
	for i, p := range d.Pictures {
		one := yolov5Picture{[][5]float32{}, [][6]float32{}}
		for _, o := range p.Objects {
			if !o.Crowd {
				one.Labels = append(one.Labels, [5]float32{float32(o.Class), float32(o.Box[0]), float32(o.Box[1]),
					float32(o.Box[0] + o.Box[2]), float32(o.Box[1] + o.Box[3])})
			}
		}
		for _, det := range detections[i] {
			one.Detections = append(one.Detections, [6]float32{det.Box.X1, det.Box.Y1, det.Box.X2, det.Box.Y2, det.Score, float32(det.Class)})
		}
		c.Pictures = append(c.Pictures, one)
	}
	return c
}

func askYOLOv5(t testing.TB, cases ...yolov5Case) []yolov5Oracle {
	t.Helper()
	b, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	var out []yolov5Oracle
	if err := json.Unmarshal(oracle.Run(t, oracle.YOLOv5, "yolov5_eval.py", path), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAgainstYOLOv5(t *testing.T) {
	var asked []yolov5Case
	var metrics []*Metrics
	for i, c := range cases {
		d, detections := randomCase(rand.New(rand.NewPCG(uint64(i), 6)), c.pictures, c.objects, c.classes, c.ties)
		asked = append(asked, newYOLOv5Case(d, detections, c.classes))
		metrics = append(metrics, Evaluate(d, detections, c.classes, className, Options{}))
	}
	for i, want := range askYOLOv5(t, asked...) {
		m := metrics[i]
		if len(m.Classes) != len(want.Classes) {
			t.Fatalf("%s: %d classes, want %d", cases[i].name, len(m.Classes), len(want.Classes))
		}
		var sum [5]Figure
		for k, class := range m.Classes {
			var mean Figure
			for _, ap := range want.AP[k] {
				mean += ap / 10
			}
			own := []Figure{want.Precision[k], want.Recall[k], want.AP[k][0], mean}
			compare(t, cases[i].name+", "+class.Class,
				[]Figure{class.YOLOv5.Precision, class.YOLOv5.Recall, class.YOLOv5.MAP50, class.YOLOv5.MAP5095}, own)
			for j, v := range append(own, want.F1[k]) {
				sum[j] += v / Figure(len(want.Classes))
			}
		}
		o := m.Overall.YOLOv5
		compare(t, cases[i].name, []Figure{o.Precision, o.Recall, o.MAP50, o.MAP5095, m.BestF1.F1}, sum[:])
	}
}

func TestConfusionAgainstYOLOv5(t *testing.T) {
	d, detections := randomCase(rand.New(rand.NewPCG(9, 7)), 60, 9, 6, false)
	// YOLOv5 leaves out the false detections of pictures where nothing was found
	for i := range d.Pictures {
		one := &Dataset{Pictures: d.Pictures[i : i+1]}
		found := 0
		for _, row := range confusion(one, detections[i:i+1], 6).Counts[:6] {
			for _, n := range row[:6] {
				found += n
			}
		}
		if found == 0 {
			detections[i] = nil
		}
	}
	want := askYOLOv5(t, newYOLOv5Case(d, detections, 6))[0]
	// nor does it look at pictures without a label or a detection
	for i := range d.Pictures {
		if len(detections[i]) == 0 {
			d.Pictures[i].Objects = nil
		}
	}
	got, total := confusion(d, detections, 6), 0
	for r, row := range got.Counts {
		for c, n := range row {
			total += n
			if float64(n) != want.Confusion[r][c] {
				t.Errorf("%d of class %d are taken for %d, YOLOv5 counts %g", n, c, r, want.Confusion[r][c])
			}
		}
	}
	if total < 300 {
		t.Errorf("only %d objects and detections were counted", total)
	}
}
