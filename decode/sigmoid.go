package decode

import "math"

// sigmoid is 1/(1+exp(-x)), computed in float64 and rounded once.
func sigmoid(x float32) float32 {
	return float32(1 / (1 + math.Exp(-float64(x))))
}

// logitThreshold returns the greatest x with sigmoid(x) <= conf, so that
// x > logitThreshold(conf) says the same as sigmoid(x) > conf for every x and
// no exponential has to be taken of what is dropped. conf is 0 to 1; the
// result is +Inf for 1, which no sigmoid exceeds.
func logitThreshold(conf float32) float32 {
	if conf >= 1 {
		return float32(math.Inf(1))
	}
	// Floats in order of size are integers in order, so the border is found by
	// halving an interval of them: 32 steps.
	low, high := ordinal(float32(math.Inf(-1))), ordinal(float32(math.Inf(1)))
	for high-low > 1 {
		middle := low + (high-low)/2
		if sigmoid(fromOrdinal(middle)) <= conf {
			low = middle
		} else {
			high = middle
		}
	}
	return fromOrdinal(low)
}

// ordinal numbers the floats from -Inf to +Inf; both zeros are 0.
func ordinal(x float32) int64 {
	bits := int64(math.Float32bits(x))
	if bits&(1<<31) != 0 {
		return -(bits &^ (1 << 31))
	}
	return bits
}

func fromOrdinal(n int64) float32 {
	if n < 0 {
		return math.Float32frombits(uint32(-n) | 1<<31)
	}
	return math.Float32frombits(uint32(n))
}

// finite reports whether x is neither NaN nor infinite.
func finite(x float32) bool { return x-x == 0 }
