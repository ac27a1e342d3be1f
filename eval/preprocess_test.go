package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/oracle"
)

// sizedDetector keeps what it is given, and finds one object: the whole of an
// image, or what found says.
type sizedDetector struct {
	height, width int
	given         []*imaging.Picture
	found         decode.Box
	fail          error
}

func (*sizedDetector) MaxBatch() int                    { return 7 }
func (*sizedDetector) Slots() int                       { return 3 }
func (d *sizedDetector) InputSize() (height, width int) { return d.height, d.width }
func (d *sizedDetector) DetectBatch(_ context.Context, images []imaging.Source) ([]engine.Result, error) {
	results := make([]engine.Result, len(images))
	for i, source := range images {
		p := source.(*imaging.Picture)
		d.given = append(d.given, p)
		box := d.found
		if box == (decode.Box{}) {
			box = decode.Box{X2: float32(p.Width), Y2: float32(p.Height)}
		}
		results[i].Detections = []engine.Detection{{Score: 0.5, Box: box}}
		results[i].Timing.Letterbox = time.Hour
	}
	return results, d.fail
}

// TestValPreprocessAgainstYOLOv5 holds the network's input to that of YOLOv5's
// own dataloader, each byte of it, and the geometry to what it takes boxes back
// with. A detector lays an image in its input by decode.NewFit and
// imaging.Letterbox, or by a kernel that its tests hold to these.
func TestValPreprocessAgainstYOLOv5(t *testing.T) {
	var cases []valInput
	folder := filepath.Join(t.TempDir(), "made")
	blobs := oracle.LoadFrom(t, oracle.YOLOv5, folder, "val_inputs.py", &cases, "320,416")
	if len(cases) != 36 {
		t.Fatalf("%d cases", len(cases))
	}
	twice := 0
	for _, c := range cases {
		p, err := imaging.Open(c.Path, imaging.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		d := &sizedDetector{height: c.Imgsz, width: c.Imgsz}
		if _, err := ValPreprocess(d).DetectBatch(t.Context(), []imaging.Source{p}); err != nil {
			t.Fatal(err)
		}
		if max(d.given[0].Width, d.given[0].Height) > c.Imgsz {
			twice++
		}
		c.check(t, p, d.given[0], blobs.Bytes(c.Input))
	}
	if twice == 0 {
		t.Error("no image was resized to more than the input")
	}
}

// valInput is a case of val_inputs.py.
type valInput struct {
	Imgsz int
	Path  string
	Gains [2]float64 // of width and height
	Pad   [2]float64
	Input oracle.Blob // (3, imgsz, imgsz)
}

func (c *valInput) check(t *testing.T, given, resized *imaging.Picture, want []byte) {
	t.Helper()
	what := fmt.Sprintf("%dx%d to %d", given.Width, given.Height, c.Imgsz)
	if got := [2]float64{gain(resized.Width, given.Width), gain(resized.Height, given.Height)}; got != c.Gains {
		t.Errorf("%s: gains %v, YOLOv5's %v", what, got, c.Gains)
	}
	fit := decode.NewFit(resized.Width, resized.Height, c.Imgsz, c.Imgsz, decode.Center)
	// where the letterbox shrinks the image once more, YOLOv5 takes the border of rounded sides
	bound := 0.0
	if fit.Gain != 1 {
		bound = 0.5
	}
	if math.Abs(fit.PadX-c.Pad[0]) > bound || math.Abs(fit.PadY-c.Pad[1]) > bound {
		t.Errorf("%s: border %g and %g, YOLOv5's %v", what, fit.PadX, fit.PadY, c.Pad)
	}
	planes := make([]float32, 3*c.Imgsz*c.Imgsz)
	imaging.Letterbox(planes, resized, fit, decode.Preprocess{ChannelOrder: decode.RGB, PixelRange: 255})
	differ := 0
	for i, v := range want {
		if planes[i] != float32(v) {
			differ++
		}
	}
	if differ > 0 || len(want) != len(planes) {
		t.Errorf("%s: %d of %d values differ from YOLOv5's %d", what, differ, len(planes), len(want))
	}
}

func gain(resized, given int) float64 { return float64(resized) / float64(given) }

// An image's box comes back as the image's own, whatever the resize was; the
// time of the resize counts; the rest is the detector's.
func TestValPreprocess(t *testing.T) {
	d := &sizedDetector{height: 384, width: 640}
	v := ValPreprocess(d)
	if v.MaxBatch() != 7 || v.Slots() != 3 {
		t.Errorf("batch %d, %d slots", v.MaxBatch(), v.Slots())
	}
	images := []imaging.Source{
		imaging.NewPicture(1000, 301), imaging.NewPicture(640, 200), imaging.NewPicture(33, 7), imaging.NewPicture(800, 800),
		&imaging.Raw{Width: 2, Height: 3, Pix: make([]byte, 18)}, imaging.NewPicture(9000, 1),
	}
	given := [][2]int{{1000, 301}, {640, 200}, {33, 7}, {800, 800}, {2, 3}, {9000, 1}}
	want := [][2]int{{640, 193}, {640, 200}, {640, 136}, {384, 384}, {256, 384}, {640, 1}}
	results, err := v.DetectBatch(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if got := [2]int{d.given[i].Width, d.given[i].Height}; got != want[i] {
			t.Errorf("%v was resized to %v, want %v", given[i], got, want[i])
		}
		if whole := (decode.Box{X2: float32(given[i][0]), Y2: float32(given[i][1])}); r.Detections[0].Box != whole {
			t.Errorf("%v: box %v", given[i], r.Detections[0].Box)
		}
		if r.Timing.Letterbox <= time.Hour {
			t.Errorf("%v: the letterbox took %v", given[i], r.Timing.Letterbox)
		}
	}
	if d.given[1] != images[1] {
		t.Error("an image that fits was copied")
	}
	d.found = decode.Box{X1: 64, Y1: 48.25, X2: 320, Y2: 96.5} // of 640 x 193
	if results, err = v.DetectBatch(t.Context(), images[:1]); err != nil {
		t.Fatal(err)
	}
	if got, want := results[0].Detections[0].Box, (decode.Box{X1: 100, Y1: 75.25, X2: 500, Y2: 150.5}); got != want {
		t.Errorf("box %v, want %v", got, want)
	}
	if _, err := v.DetectBatch(t.Context(), []imaging.Source{images[0], &imaging.Picture{Width: 3}}); !errors.Is(err, imaging.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	d.fail = errors.New("broken")
	if _, err := v.DetectBatch(t.Context(), images[:1]); !errors.Is(err, d.fail) {
		t.Errorf("got %v", err)
	}
}
