package engine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// ErrDiffers is wrapped when an engine's results are not those of the ONNX file
// it was built from.
var ErrDiffers = errors.New("the engine differs from its ONNX file")

// The bounds that Verification.Err holds an engine to.
const (
	// VerifyMaps is the largest difference in a map of a float32 engine, relative to
	// the map's largest magnitude, and VerifyMapsHalf that of an engine in half. Half
	// and TF32, in which TensorRT computes float32, round to 11 bits: a value is off
	// by 2^-11/sqrt(3) in the mean. In TF32 weights and inputs are rounded, in half
	// also what a convolution, a sigmoid and their product give: two and four
	// roundings a layer, which over 60 layers, where none damps what came before,
	// make 6 and 9 times 2^-11. Trained nets are at a half of that. Where sums are
	// rounded to half too, as CPUs with AVX512-FP16 do, four times as much was seen.
	VerifyMaps, VerifyMapsHalf = 8.0 / (1 << 11), 32.0 / (1 << 11)
	// VerifyMargin is how far above the confidence threshold a detection's
	// score is that has to be there in both; VerifyIoU how well it has to fit.
	VerifyMargin, VerifyIoU = 0.05, 0.9
)

// Verification is how far an engine is from its ONNX file in ONNX Runtime, over
// the same pictures.
type Verification struct {
	Pictures  int    `json:"pictures"`
	Precision string `json:"precision"` // the engine's
	// Maps is the largest difference between values of a map, the network's raw
	// output, relative to the largest magnitude in that map.
	Maps float64 `json:"maps"`
	// MapsRMS is the same of root mean squares, that of the difference relative to
	// that of the map.
	MapsRMS float64 `json:"maps_rms"`
	// Detections of either whose score is VerifyMargin above the threshold, and
	// how many of them the other does not have with VerifyIoU.
	Detections int `json:"detections"`
	Unmatched  int `json:"unmatched"`
	// Box and Score are the largest differences of matched detections, in pixels
	// of the picture and in score.
	Box   float64 `json:"box"`
	Score float64 `json:"score"`
}

// Err returns an error that wraps ErrDiffers where a bound is broken.
func (v *Verification) Err() error {
	if v.Unmatched > 0 {
		return fmt.Errorf("%w: %d of %d detections have no counterpart with IoU %g or more", ErrDiffers, v.Unmatched, v.Detections, VerifyIoU)
	}
	bound, bounded := map[string]float64{model.FP32: VerifyMaps, model.FP16: VerifyMapsHalf}[v.Precision]
	if bounded && !(v.Maps <= bound) {
		return fmt.Errorf("%w: its maps by %.2g of their largest value, %.2g is allowed in %s",
			ErrDiffers, v.Maps, bound, v.Precision)
	}
	return nil
}

// Verify runs the pictures through the engine at planPath on the best GPU and
// through the ONNX file it was built from on the CPU, and compares. head is what
// the file does not say, as it was given to Build.
func Verify(ctx context.Context, onnxPath, planPath string, head model.Hints, pictures []*imaging.Picture) (*Verification, error) {
	if len(pictures) == 0 {
		return nil, errors.New("verifying an engine takes pictures")
	}
	gpu, err := Open(ctx, planPath, &Options{Slots: 1, Head: model.Hints{Conf: head.Conf, IoU: head.IoU}})
	if err != nil {
		return nil, err
	}
	defer gpu.Close()
	cpu, err := Open(ctx, onnxPath, &Options{Head: head, Height: gpu.core.height, Width: gpu.core.width})
	if err != nil {
		return nil, err
	}
	defer cpu.Close()
	v := &Verification{Pictures: len(pictures), Precision: gpu.core.spec.Precision}
	for len(pictures) > 0 {
		n := min(len(pictures), gpu.MaxBatch())
		if err := v.compare(ctx, gpu, cpu, pictures[:n]); err != nil {
			return nil, err
		}
		pictures = pictures[n:]
	}
	return v, nil
}

// compare takes in one batch of the engine's.
func (v *Verification) compare(ctx context.Context, gpu, cpu *Detector, pictures []*imaging.Picture) error {
	maps, err := gpu.core.maps(pictures)
	if err != nil {
		return err
	}
	results, err := gpu.DetectBatch(ctx, imaging.Sources(pictures))
	if err != nil {
		return err
	}
	for i := range pictures {
		want, err := cpu.core.maps(pictures[i : i+1])
		if err != nil {
			return err
		}
		if err := v.compareMaps(maps, i, want); err != nil {
			return err
		}
		result, err := cpu.Detect(ctx, pictures[i])
		if err != nil {
			return err
		}
		v.Add(results[i].Detections, result.Detections, cpu.core.spec.Thresholds.Conf)
	}
	return nil
}

// compareMaps holds one picture's part of the engine's maps to ONNX Runtime's.
func (v *Verification) compareMaps(maps []decode.Tensor, picture int, want []decode.Tensor) error {
	byName := map[string]decode.Tensor{}
	for _, m := range maps {
		byName[m.Name] = m
	}
	for _, w := range want {
		got := byName[w.Name].Data
		if size := len(w.Data); len(got) >= (picture+1)*size {
			got = got[picture*size : (picture+1)*size]
		}
		if len(got) != len(w.Data) {
			return fmt.Errorf("%w: its output %s has %d values, the file's %d", ErrDiffers, w.Name, len(got), len(w.Data))
		}
		largest, rms := differences(got, w.Data)
		v.Maps, v.MapsRMS = max(v.Maps, largest), max(v.MapsRMS, rms)
	}
	return nil
}

// differences are the largest difference over the largest magnitude, and the
// difference's root mean square over the values'; infinite where only one of the
// two is a number.
func differences(got, want []float32) (largest, rms float64) {
	var magnitude, difference, squares, wanted float64
	for i, w := range want {
		a, b := float64(got[i]), float64(w)
		if d := math.Abs(a - b); !math.IsNaN(d) {
			difference = max(difference, d)
			squares += d * d
		} else if a != b && !(math.IsNaN(a) && math.IsNaN(b)) { // infinities of one sign are equal
			return math.Inf(1), math.Inf(1)
		}
		if !math.IsInf(b, 0) && !math.IsNaN(b) {
			magnitude = max(magnitude, math.Abs(b))
			wanted += b * b
		}
	}
	if difference == 0 {
		return 0, 0
	}
	return difference / magnitude, math.Sqrt(squares / wanted)
}

// Add takes in what the engine and the file find in a picture, above the
// confidence threshold conf.
func (v *Verification) Add(got, want []Detection, conf float32) {
	v.match(got, want, conf+VerifyMargin)
	v.match(want, got, conf+VerifyMargin)
}

// match looks for each of the detections, from a score of floor on, among the
// others.
func (v *Verification) match(detections, others []Detection, floor float32) {
	for _, d := range detections {
		if d.Score < floor {
			continue
		}
		v.Detections++
		best := Detection{}
		fits := VerifyIoU
		for _, o := range others {
			if iou := d.Box.IoU(o.Box); o.ClassID == d.ClassID && iou >= fits {
				best, fits = o, iou
			}
		}
		if best.Score == 0 {
			v.Unmatched++
			continue
		}
		v.Score = max(v.Score, math.Abs(float64(d.Score-best.Score)))
		for _, side := range []float32{d.Box.X1 - best.Box.X1, d.Box.Y1 - best.Box.Y1, d.Box.X2 - best.Box.X2, d.Box.Y2 - best.Box.Y2} {
			v.Box = max(v.Box, math.Abs(float64(side)))
		}
	}
}
