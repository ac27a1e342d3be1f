package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/eval"
)

// The dataset of the bench: COCO's val2017 has 5,000 pictures and 80 classes.
const (
	evalPictures = 5000
	evalBoxes    = 100 // detections in a picture
	evalObjects  = 8
	evalClasses  = 80
)

// evaluation is what both sides measure.
type evaluation struct {
	truth, found string // files
	detections   [][]eval.Detection
}

// prepareEvaluation writes random objects, of which most are found, and
// detections, of which most are wrong.
func prepareEvaluation(b *bench) (any, func(), error) {
	type image struct {
		ID       int    `json:"id"`
		FileName string `json:"file_name"`
		Width    int    `json:"width"`
		Height   int    `json:"height"`
	}
	type annotation struct {
		ID         int        `json:"id"`
		ImageID    int        `json:"image_id"`
		CategoryID int        `json:"category_id"`
		BBox       [4]float64 `json:"bbox"`
		Area       float64    `json:"area"`
		IsCrowd    int        `json:"iscrowd"`
	}
	type category struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	var file struct {
		Images      []image      `json:"images"`
		Annotations []annotation `json:"annotations"`
		Categories  []category   `json:"categories"`
	}
	rng := rand.New(rand.NewPCG(5, 2026))
	e := &evaluation{truth: filepath.Join(b.folder, "instances.json"), found: filepath.Join(b.folder, "found.json")}
	data := &eval.Dataset{}
	for c := range evalClasses {
		file.Categories = append(file.Categories, category{c, fmt.Sprint("class", c)})
	}
	for p := range evalPictures {
		file.Images = append(file.Images, image{p, fmt.Sprint(p, ".jpg"), 640, 480})
		data.Pictures = append(data.Pictures, eval.Picture{ID: int64(p)})
		var found []eval.Detection
		detect := func(class int, x, y, w, h, score float64) {
			box := decode.Box{X1: float32(x), Y1: float32(y), X2: float32(x + w), Y2: float32(y + h)}
			found = append(found, eval.Detection{Class: class, Score: float32(score), Box: box})
		}
		for range evalObjects {
			w, h := 4*math.Exp(4*rng.Float64()), 4*math.Exp(4*rng.Float64())
			x, y, class := rng.Float64()*(640-w), rng.Float64()*(480-h), rng.IntN(evalClasses)
			file.Annotations = append(file.Annotations, annotation{len(file.Annotations) + 1, p, class, [4]float64{x, y, w, h}, w * h, 0})
			if rng.IntN(5) > 0 {
				off := func(side float64) float64 { return side * 0.05 * rng.NormFloat64() }
				detect(class, x+off(w), y+off(h), w+off(w), h+off(h), 0.2+0.8*rng.Float64())
			}
		}
		for len(found) < evalBoxes {
			detect(rng.IntN(evalClasses), 600*rng.Float64(), 440*rng.Float64(), 4+90*rng.Float64(), 4+90*rng.Float64(), 0.3*rng.Float64())
		}
		e.detections = append(e.detections, found)
	}
	text, err := json.Marshal(file)
	if err == nil {
		err = os.WriteFile(e.truth, text, 0o644)
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Create(e.found)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return e, func() {}, eval.WriteResults(f, data, e.detections)
}

// measureEvaluation reads the annotations and measures, here with YOLOv5's
// figures and the confusion matrix on top, and wants the same mAP.
func measureEvaluation(b *bench, prepared any) (figures, error) {
	e := prepared.(*evaluation)
	start := time.Now()
	data, err := eval.LoadCOCO(b.folder, e.truth, nil)
	if err != nil {
		return nil, err
	}
	m := eval.Evaluate(data, e.detections, evalClasses, func(c int) string { return data.Names[c] }, eval.Options{})
	ours := time.Since(start).Seconds()
	out, err := b.command("build/deps/venv/bin/python", "tests/oracle/coco_eval.py", e.truth, e.found).Output()
	if err != nil {
		return nil, fmt.Errorf("pycocotools: %w", err)
	}
	var theirs struct {
		Overall []float64
		Seconds float64
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		return nil, err
	}
	if math.Abs(theirs.Overall[0]-float64(m.Overall.MAP5095)) > 1e-9 {
		return nil, fmt.Errorf("ours comes to an mAP of %v, pycocotools to %v: that is not the same work", m.Overall.MAP5095, theirs.Overall[0])
	}
	return figures{"ours": ours, "theirs": theirs.Seconds}, nil
}
