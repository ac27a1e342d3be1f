package eval

import (
	"encoding/json"
	"math"

	"github.com/trtdet/trtdet/decode"
)

// Detection is one detection to be measured.
type Detection struct {
	Class int
	Score float32
	// Box in pixels of the picture.
	Box decode.Box
}

// Figure is a measured number, NaN where there is nothing to measure (a class
// without objects), which JSON has as null.
type Figure float64

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Figure) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = Figure(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(f))
}

// Scores are the figures of a class, or their means over the classes that have
// objects.
type Scores struct {
	Pictures int `json:"pictures"` // with an object of the class
	Objects  int `json:"objects"`
	COCO
	YOLOv5 YOLOv5 `json:"yolov5"`
}

// COCO's figures, as pycocotools' COCOeval computes them (iouType bbox):
// average precision and recall over IoU 0.5 to 0.95 unless the name says
// another, with at most 100 detections of a class in a picture unless the name
// does; small is below 32² pixels, large above 96².
type COCO struct {
	MAP50    Figure `json:"map50"`
	MAP75    Figure `json:"map75"`
	MAP5095  Figure `json:"map50_95"`
	Small    Figure `json:"map_small"`
	Medium   Figure `json:"map_medium"`
	Large    Figure `json:"map_large"`
	AR1      Figure `json:"ar1"`
	AR10     Figure `json:"ar10"`
	AR100    Figure `json:"ar100"`
	ARSmall  Figure `json:"ar_small"`
	ARMedium Figure `json:"ar_medium"`
	ARLarge  Figure `json:"ar_large"`
}

// YOLOv5's figures, as val.py prints them (utils/metrics.py, ap_per_class):
// precision and recall at IoU 0.5 and the confidence where F1 is best.
type YOLOv5 struct {
	Precision Figure `json:"precision"`
	Recall    Figure `json:"recall"`
	MAP50     Figure `json:"map50"`
	MAP5095   Figure `json:"map50_95"`
}

// ClassScores are the figures of one class.
type ClassScores struct {
	ClassID int    `json:"class_id"`
	Class   string `json:"class"`
	Scores
}

// AtConf are the figures of the detections whose score is more than a fixed
// confidence, at IoU 0.5, without any smoothing or interpolation.
type AtConf struct {
	Conf float32 `json:"conf"`
	Rates
	Classes []ClassRates `json:"classes,omitempty"`
}

// Rates are precision, recall and F1. Those of several classes are the means
// over the classes that have objects, as YOLOv5 averages; the counts are sums.
type Rates struct {
	Precision      Figure `json:"precision"`
	Recall         Figure `json:"recall"`
	F1             Figure `json:"f1"`
	TruePositives  int    `json:"true_positives"`
	FalsePositives int    `json:"false_positives"`
	// MeanScoreTrue and MeanScoreFalse are the mean scores of either.
	MeanScoreTrue  Figure `json:"mean_score_true"`
	MeanScoreFalse Figure `json:"mean_score_false"`
}

// ClassRates are the rates of one class.
type ClassRates struct {
	ClassID int `json:"class_id"`
	Rates
}

// Metrics is everything that is measured.
type Metrics struct {
	Overall Scores        `json:"overall"`
	Classes []ClassScores `json:"classes"`
	// ConfSweep has the figures at the confidences that were asked for.
	ConfSweep []AtConf `json:"conf_sweep,omitempty"`
	// BestF1 is where the mean of the classes' F1 curves, smoothed as YOLOv5
	// smooths it, is highest.
	BestF1 BestF1 `json:"best_f1"`

	Curves    Curves    `json:"-"`
	Confusion Confusion `json:"-"`
}

// BestF1 is the best confidence threshold and what it gives.
type BestF1 struct {
	Conf      float64 `json:"conf"`
	F1        Figure  `json:"f1"`
	Precision Figure  `json:"precision"`
	Recall    Figure  `json:"recall"`
}

// Options say what is measured.
type Options struct {
	// ConfSweep has the confidences at which Metrics.ConfSweep is wanted.
	ConfSweep []float32
}

// Evaluate measures detections[i] as those of d.Pictures[i]. The sizes of the
// pictures have to be known (Picture.SetSize). classes is how many there are.
func Evaluate(d *Dataset, detections [][]Detection, classes int, names func(int) string, o Options) *Metrics {
	m := &Metrics{Classes: []ClassScores{}}
	coco := evaluateCOCO(d, detections, classes)
	v5 := evaluateYOLOv5(d, detections, classes)
	pictures := make([]int, classes) // with an object of each class
	for i := range d.Pictures {
		seen := map[int]bool{}
		for _, o := range d.Pictures[i].counted() {
			if !seen[o.Class] {
				seen[o.Class] = true
				pictures[o.Class]++
			}
		}
	}
	m.Overall = Scores{Pictures: len(d.Pictures), COCO: coco.overall, YOLOv5: v5.overall}
	for c, objects := range v5.objects {
		m.Overall.Objects += objects
		if objects > 0 {
			m.Classes = append(m.Classes, ClassScores{ClassID: c, Class: names(c),
				Scores: Scores{Pictures: pictures[c], Objects: objects, COCO: coco.classes[c], YOLOv5: v5.classes[c]}})
		}
	}
	m.BestF1, m.Curves = v5.best, v5.curves
	for _, conf := range o.ConfSweep {
		m.ConfSweep = append(m.ConfSweep, v5.at(conf))
	}
	m.Confusion = confusion(d, detections, classes)
	return m
}

var nan = Figure(math.NaN())
