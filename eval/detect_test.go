package eval

import (
	"context"
	"errors"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

// countingDetector finds one object in each picture, of a class that is the
// picture's width.
type countingDetector struct{ fail error }

func (countingDetector) MaxBatch() int { return 0 }
func (countingDetector) Slots() int    { return 1 }
func (d countingDetector) DetectBatch(_ context.Context, pictures []imaging.Source) ([]engine.Result, error) {
	results := make([]engine.Result, len(pictures))
	for i, p := range pictures {
		results[i].Detections = []engine.Detection{{ClassID: p.(*imaging.Picture).Width, Score: 0.5}}
		results[i].Timing = engine.Timing{Pictures: len(pictures), Network: time.Duration(len(pictures)) * 8 * time.Millisecond}
	}
	return results, d.fail
}

func TestDetect(t *testing.T) {
	folder := t.TempDir()
	d := &Dataset{}
	for i, name := range []string{"a.png", "gone.png", "b.png", "broken.png", "c.png"} {
		path := filepath.Join(folder, name)
		d.Pictures = append(d.Pictures, Picture{Path: path, ID: name, Objects: []Object{{Box: [4]float64{0, 0, 1, 1}}}, relative: true})
		switch name {
		case "gone.png":
		case "broken.png":
			if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			f, err := os.Create(path)
			if err := errors.Join(err, png.Encode(f, image.NewGray(image.Rect(0, 0, i+1, 2))), f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.Pictures[4].Width, d.Pictures[4].Height = 9, 9
	missing := append([]Picture{}, d.Pictures[1])
	done := 0
	found, err := Detect(t.Context(), countingDetector{}, d, DetectOptions{Batch: 2, Workers: 1, Done: func() { done++ }})
	if err != nil {
		t.Fatal(err)
	}
	if done != 5 || found.Unread != 2 || len(found.Pictures) != 3 || len(d.Pictures) != 3 {
		t.Fatalf("%d done, %d unread, detections of %d, %d pictures", done, found.Unread, len(found.Pictures), len(d.Pictures))
	}
	for i, width := range []int{1, 3, 5} {
		if found.Pictures[i][0].Class != width || d.Pictures[i].ID != []any{"a.png", "b.png", "c.png"}[i] {
			t.Errorf("picture %d is %v with %v", i, d.Pictures[i].ID, found.Pictures[i])
		}
	}
	if d.Pictures[1].Objects[0].Area != 6 {
		t.Errorf("%+v, want pixels", d.Pictures[1])
	}
	// 8 ms a picture, whatever the batch
	if math.Abs(found.Times.Network-8) > 1e-9 || !(found.Times.Read > 0) {
		t.Errorf("times %+v", found.Times)
	}
	text := problemsOf(d, folder)
	for _, want := range []string{"c.png: picture of another size", "gone.png: unreadable picture: no such file or directory\n", "broken.png: unreadable picture: "} {
		if !strings.Contains(text+"\n", want) {
			t.Errorf("problems do not say %q:\n%s", want, text)
		}
	}
	if strings.Count(text, "gone.png") != 1 || strings.Count(text, "broken.png") != 1 {
		t.Errorf("problems name a file twice:\n%s", text)
	}

	if _, err := Detect(t.Context(), countingDetector{}, &Dataset{Pictures: missing}, DetectOptions{}); err == nil ||
		!strings.Contains(err.Error(), "none of 1 pictures can be read; the first: "+missing[0].Path) {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	if _, err := Detect(t.Context(), countingDetector{broken}, d, DetectOptions{}); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
