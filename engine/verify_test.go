package engine

import (
	"errors"
	"math"
	"testing"

	"github.com/trtdet/trtdet/model"
)

func TestVerificationErr(t *testing.T) {
	for _, c := range []struct {
		v       Verification
		differs bool
	}{
		{Verification{Precision: model.FP32, Maps: 0.003}, false}, // TF32
		{Verification{Precision: model.FP32, Maps: 0.005}, true},
		{Verification{Precision: model.FP16, Maps: 0.01}, false},
		{Verification{Precision: model.FP16, Maps: 0.02}, true}, // though no detection differs
		{Verification{Precision: model.FP16, Maps: math.NaN()}, true},
		{Verification{Precision: model.INT8, Maps: 0.5}, false}, // whose steps are its own
		{Verification{Precision: model.INT8, Detections: 9, Unmatched: 1}, true},
		{Verification{Precision: model.FP16, Detections: 9, Unmatched: 1}, true},
	} {
		if err := c.v.Err(); errors.Is(err, ErrDiffers) != c.differs {
			t.Errorf("%+v: %v", c.v, err)
		}
	}
}

func TestDifferences(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		got, want    []float32
		largest, rms float64
	}{
		{[]float32{1, 2, 4}, []float32{1, 2, 4}, 0, 0},
		{[]float32{3, 4.5}, []float32{3, 4}, 0.125, 0.1},
		{[]float32{nan, inf, 1}, []float32{nan, inf, 1}, 0, 0},
		{[]float32{nan, 1}, []float32{1, 1}, math.Inf(1), math.Inf(1)},
		{[]float32{inf}, []float32{-inf}, math.Inf(1), math.Inf(1)},
		{[]float32{1}, []float32{0}, math.Inf(1), math.Inf(1)},
	} {
		if largest, rms := differences(c.got, c.want); largest != c.largest || math.Abs(rms-c.rms) > 1e-9 {
			t.Errorf("%v and %v: %g, %g, want %g, %g", c.got, c.want, largest, rms, c.largest, c.rms)
		}
	}
}
