package eval

import (
	"cmp"
	"math"
	"slices"
)

// YOLOv5's rules, by val.py (process_batch) and utils/metrics.py
// (ap_per_class, compute_ap, smooth).
const (
	v5IoUs   = 10   // thresholds, 0.5 to 0.95
	v5Confs  = 1000 // points of the curves
	v5Smooth = 0.1  // of the F1 curve, as a part of it
	v5Eps    = 1e-16
)

var (
	v5IoU  = float32s(linspace(0.5, 0.95, v5IoUs))
	v5Conf = linspace(0, 1, v5Confs)
)

func float32s(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}

// Curves are YOLOv5's, by class: what a confidence threshold gives, and
// precision over recall at IoU 0.5. Classes without objects are left out.
type Curves struct {
	Conf    []float64   // thresholds
	Classes []int       // of the rows
	P, R    [][]float64 // by class, at each threshold
	F1      [][]float64
	// Recalls and Precisions draw the P-R curve: Precisions by class at each
	// recall.
	Recalls    []float64
	Precisions [][]float64
}

// v5Entry is one detection; bit t of correct says that it found an object at
// IoU t.
type v5Entry struct {
	score   float32
	class   int
	correct uint16
}

type v5Result struct {
	overall YOLOv5
	classes []YOLOv5
	best    BestF1
	curves  Curves
	entries []v5Entry // best first
	objects []int     // by class
}

func evaluateYOLOv5(d *Dataset, detections [][]Detection, classes int) *v5Result {
	r := &v5Result{objects: make([]int, classes), classes: make([]YOLOv5, classes)}
	for p := range d.Pictures {
		objects := d.Pictures[p].counted()
		for _, o := range objects {
			r.objects[o.Class]++
		}
		for i, correct := range correctness(objects, detections[p]) {
			det := detections[p][i]
			r.entries = append(r.entries, v5Entry{score: det.Score, class: det.Class, correct: correct})
		}
	}
	slices.SortStableFunc(r.entries, func(a, b v5Entry) int { return cmp.Compare(b.score, a.score) })
	byClass := make([][]v5Entry, classes)
	for _, e := range r.entries {
		byClass[e.class] = append(byClass[e.class], e)
	}
	r.curves = Curves{Conf: v5Conf, Recalls: v5Conf}
	for c := range classes {
		r.classes[c] = YOLOv5{nan, nan, nan, nan}
		if r.objects[c] > 0 {
			r.class(c, byClass[c])
		}
	}
	r.average()
	return r
}

// correctness says at which IoUs each detection has found an object: each
// detection picks the object of its class that it overlaps most, and of those
// that pick one object the first has it.
func correctness(objects []Object, detections []Detection) []uint16 {
	correct := make([]uint16, len(detections))
	boxes := make([][4]float32, len(objects))
	for i, o := range objects {
		boxes[i] = corners(o)
	}
	taken := make([]uint16, len(objects))
	for i, d := range detections {
		best, overlap := -1, float32(0)
		for k := range objects {
			if objects[k].Class != d.Class {
				continue
			}
			if iou := v5Overlap(boxes[k], d); iou > overlap {
				best, overlap = k, iou
			}
		}
		for t := 0; best >= 0 && t < v5IoUs && overlap >= v5IoU[t]; t++ {
			if taken[best]>>t&1 == 0 {
				taken[best] |= 1 << t
				correct[i] |= 1 << t
			}
		}
	}
	return correct
}

// corners are an object's box as YOLOv5 has it.
func corners(o Object) [4]float32 {
	return [4]float32{float32(o.Box[0]), float32(o.Box[1]), float32(o.Box[0] + o.Box[2]), float32(o.Box[1] + o.Box[3])}
}

// v5Overlap is the IoU in YOLOv5's float32 arithmetic (utils/metrics.py,
// box_iou).
func v5Overlap(o [4]float32, d Detection) float32 {
	w := max(min(o[2], d.Box.X2)-max(o[0], d.Box.X1), 0)
	h := max(min(o[3], d.Box.Y2)-max(o[1], d.Box.Y1), 0)
	common := float32(w * h)
	areas := float32((o[2]-o[0])*(o[3]-o[1])) + float32((d.Box.X2-d.Box.X1)*(d.Box.Y2-d.Box.Y1))
	return common / (areas - common + 1e-7)
}

// class makes the curves and average precisions of a class that has objects.
func (r *v5Result) class(c int, entries []v5Entry) {
	n := len(entries)
	p, rec := make([]float64, v5Confs), make([]float64, v5Confs)
	precisions := make([]float64, v5Confs)
	var ap [v5IoUs]float64
	if n > 0 {
		falling := make([]float64, n) // -score, ascending
		for i, e := range entries {
			falling[i] = -float64(e.score)
		}
		for t := range v5IoUs {
			recall, precision := make([]float64, n), make([]float64, n)
			found := 0
			for i, e := range entries {
				found += int(e.correct >> t & 1)
				recall[i] = float64(found) / (float64(r.objects[c]) + v5Eps)
				precision[i] = float64(found) / float64(i+1)
			}
			if t == 0 {
				for i, conf := range v5Conf {
					rec[i] = interpolate(-conf, falling, recall, 0)
					p[i] = interpolate(-conf, falling, precision, 1)
				}
			}
			recall, precision = envelope(recall, precision)
			ap[t] = area(recall, precision)
			if t == 0 {
				for i, x := range v5Conf {
					precisions[i] = interpolate(x, recall, precision, precision[0])
				}
			}
		}
	}
	f1 := make([]float64, v5Confs)
	for i := range f1 {
		f1[i] = 2 * p[i] * rec[i] / (p[i] + rec[i] + v5Eps)
	}
	var sum float64
	for _, a := range ap {
		sum += a
	}
	r.classes[c] = YOLOv5{MAP50: Figure(ap[0]), MAP5095: Figure(sum / v5IoUs)}
	r.curves.Classes = append(r.curves.Classes, c)
	r.curves.P, r.curves.R, r.curves.F1 = append(r.curves.P, p), append(r.curves.R, rec), append(r.curves.F1, f1)
	r.curves.Precisions = append(r.curves.Precisions, precisions)
}

// average finds the confidence where F1 is best, and the means there.
func (r *v5Result) average() {
	n := float64(len(r.curves.Classes))
	mean := func(of func(row, c int) float64) Figure {
		var sum float64
		for row, c := range r.curves.Classes {
			sum += of(row, c)
		}
		return Figure(sum / n)
	}
	at, best := 0, math.Inf(-1)
	for i, f1 := range smooth(MeanCurve(r.curves.F1), v5Smooth) {
		if f1 > best {
			at, best = i, f1
		}
	}
	for row, c := range r.curves.Classes {
		r.classes[c].Precision, r.classes[c].Recall = Figure(r.curves.P[row][at]), Figure(r.curves.R[row][at])
	}
	r.overall = YOLOv5{
		Precision: mean(func(row, _ int) float64 { return r.curves.P[row][at] }),
		Recall:    mean(func(row, _ int) float64 { return r.curves.R[row][at] }),
		MAP50:     mean(func(_, c int) float64 { return float64(r.classes[c].MAP50) }),
		MAP5095:   mean(func(_, c int) float64 { return float64(r.classes[c].MAP5095) }),
	}
	r.best = BestF1{
		Conf: v5Conf[at], F1: mean(func(row, _ int) float64 { return r.curves.F1[row][at] }),
		Precision: r.overall.Precision, Recall: r.overall.Recall,
	}
}

// at counts at a fixed threshold.
func (r *v5Result) at(conf float32) AtConf {
	result := AtConf{Conf: conf}
	rates := make([]Rates, len(r.objects))
	scores := make([][2]float64, len(r.objects)) // of false and true detections
	for _, e := range r.entries {
		if !(e.score > conf) {
			break
		}
		hit := int(e.correct & 1)
		rates[e.class].TruePositives += hit
		rates[e.class].FalsePositives += 1 - hit
		scores[e.class][hit] += float64(e.score)
	}
	var sum [3]float64 // of precision, recall, F1
	var total [2]float64
	n := 0.0
	for c := range rates {
		k := &rates[c]
		k.rate(r.objects[c], scores[c])
		result.TruePositives += k.TruePositives
		result.FalsePositives += k.FalsePositives
		total[0], total[1] = total[0]+scores[c][0], total[1]+scores[c][1]
		if r.objects[c] == 0 {
			continue
		}
		result.Classes = append(result.Classes, ClassRates{ClassID: c, Rates: *k})
		n++
		sum[0] += float64(k.Precision)
		sum[1] += float64(k.Recall)
		sum[2] += float64(k.F1)
	}
	result.Precision, result.Recall, result.F1 = Figure(sum[0]/n), Figure(sum[1]/n), Figure(sum[2]/n)
	result.MeanScoreTrue = Figure(total[1] / float64(result.TruePositives))
	result.MeanScoreFalse = Figure(total[0] / float64(result.FalsePositives))
	return result
}

// rate works out the rates of one class. Without detections its precision is
// 0, as in YOLOv5's mean.
func (k *Rates) rate(objects int, scores [2]float64) {
	found, all := float64(k.TruePositives), float64(k.TruePositives+k.FalsePositives)
	if all > 0 {
		k.Precision = Figure(found / all)
	}
	if objects > 0 {
		k.Recall = Figure(found / float64(objects))
	}
	if k.Precision+k.Recall > 0 {
		k.F1 = 2 * k.Precision * k.Recall / (k.Precision + k.Recall)
	}
	k.MeanScoreTrue, k.MeanScoreFalse = Figure(scores[1]/found), Figure(scores[0]/(all-found))
}

// envelope adds the ends to a P-R curve and makes it fall (compute_ap).
func envelope(recall, precision []float64) (r, p []float64) {
	r = slices.Concat([]float64{0}, recall, []float64{1})
	p = slices.Concat([]float64{1}, precision, []float64{0})
	for i := len(p) - 1; i > 0; i-- {
		p[i-1] = max(p[i-1], p[i])
	}
	return r, p
}

// area is that under a P-R curve, by the trapezoidal rule over COCO's recalls.
func area(recall, precision []float64) float64 {
	var sum, before float64
	for i, x := range cocoRecall {
		y := interpolate(x, recall, precision, precision[0])
		if i > 0 {
			sum += (x - cocoRecall[i-1]) * (y + before) / 2
		}
		before = y
	}
	return sum
}

// interpolate is numpy's interp at one point: linear between the points,
// which ascend; of points in one place the last counts; left of all it is
// left.
func interpolate(x float64, xs, ys []float64, left float64) float64 {
	i, found := slices.BinarySearch(xs, x)
	if found {
		for i+1 < len(xs) && xs[i+1] == x {
			i++
		}
		return ys[i]
	}
	switch i {
	case 0:
		return left
	case len(xs):
		return ys[i-1]
	}
	slope := (ys[i] - ys[i-1]) / (xs[i] - xs[i-1])
	return float64(slope*(x-xs[i-1])) + ys[i-1]
}

// MeanCurve is the mean of the classes' curves at each point, nil where there
// are none.
func MeanCurve(rows [][]float64) []float64 {
	if len(rows) == 0 {
		return nil
	}
	mean := make([]float64, len(rows[0]))
	for _, row := range rows {
		for i, v := range row {
			mean[i] += v
		}
	}
	for i := range mean {
		mean[i] /= float64(len(rows))
	}
	return mean
}

// smooth is YOLOv5's box filter over a part of the curve.
func smooth(y []float64, part float64) []float64 {
	if len(y) == 0 {
		return nil
	}
	width := int(math.RoundToEven(float64(len(y))*part*2))/2 + 1
	half := width / 2
	out := make([]float64, 0, len(y))
	padded := slices.Concat(slices.Repeat(y[:1], half), y, slices.Repeat(y[len(y)-1:], half))
	for i := 0; i+width <= len(padded); i++ {
		var sum float64
		for _, v := range padded[i : i+width] {
			sum += v * (1 / float64(width))
		}
		out = append(out, sum)
	}
	return out
}
