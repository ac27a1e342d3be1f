package probe

import "math"

// operators are those a detector's graph is made of.
var operators map[string]operator

func init() {
	operators = map[string]operator{
		// shapes only
		"Conv": conv, "ConvTranspose": convTranspose, "MaxPool": pool, "AveragePool": pool, "LpPool": pool,
		"GlobalAveragePool": globalPool, "GlobalMaxPool": globalPool, "Gemm": gemm, "MatMul": matMul,
		"Resize": resize, "Upsample": resize, "BatchNormalization": same, "InstanceNormalization": same,
		"LayerNormalization": same, "Softmax": softmax, "LogSoftmax": same, "Dropout": same, "LRN": same, "Pad": pad,
		"DepthToSpace": depthToSpace, "SpaceToDepth": spaceToDepth, "QuantizeLinear": quantize,
		"DequantizeLinear": dequantize, "PRelu": same, "Mish": same, "Gelu": same, "CumSum": same,
		"ReduceMax": reduce, "ReduceMin": reduce, "ReduceSum": reduce, "ReduceMean": reduce, "ReduceProd": reduce,
		"ReduceL1": reduce, "ReduceL2": reduce, "ReduceSumSquare": reduce, "ReduceLogSum": reduce, "ReduceLogSumExp": reduce,
		"GridSample": gridSample, "DeformConv": deformConv, "Einsum": einsum, "DFT": fourier, "Attention": attention,
		"LSTM": recurrent, "GRU": recurrent, "RNN": recurrent,
		"GroupNormalization": same, "RMSNormalization": same, "LpNormalization": same, "MeanVarianceNormalization": same,
		"Celu": same, "Swish": same, "ThresholdedRelu": same, "Shrink": same, "Hardmax": same, "Sign": same, "Sin": same, "Cos": same,
		"Tan": same, "Asin": same, "Acos": same, "Atan": same, "Sinh": same, "Cosh": same, "Asinh": same, "Acosh": same, "Atanh": same,
		"Trilu": same, "ReverseSequence": same, "RotaryEmbedding": same,

		"ArgMax": argReduce, "ArgMin": argReduce, "TopK": topK,

		// one input
		"Sigmoid": unary(sigmoid), "Exp": unary(plain(math.Exp)), "Log": unary(plain(math.Log)), "Sqrt": unary(plain(math.Sqrt)),
		"Neg": unary(plain(func(x float64) float64 { return -x })), "Abs": unary(plain(math.Abs)), "Floor": unary(plain(math.Floor)),
		"Ceil": unary(plain(math.Ceil)), "Round": unary(plain(math.RoundToEven)), "Tanh": unary(plain(math.Tanh)),
		"Reciprocal": unary(plain(func(x float64) float64 { return 1 / x })),
		"Relu":       unary(plain(func(x float64) float64 { return max(x, 0) })),
		"LeakyRelu": unary(func(c *call, x float64) float64 {
			alpha := 0.01
			if a := c.node.Attr("alpha"); a != nil {
				alpha = float64(a.Float)
			}
			return max(x, 0) + alpha*min(x, 0)
		}),
		"HardSwish": unary(plain(func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) })),
		"Softplus":  unary(plain(func(x float64) float64 { return math.Log1p(math.Exp(x)) })),
		"Elu":       same, "Selu": same, "HardSigmoid": same, "Erf": same, "Softsign": same,
		"Not": unary(plain(func(x float64) float64 {
			if x == 0 {
				return 1
			}
			return 0
		})),
		"Identity": pass, "Cast": cast, "Clip": clip,

		// two inputs and more
		"Add": binary(func(_ *call, a, b float32) float32 { return a + b }, func(_ *call, a, b int64) int64 { return a + b }),
		"Sub": binary(func(_ *call, a, b float32) float32 { return a - b }, func(_ *call, a, b int64) int64 { return a - b }),
		"Mul": binary(func(_ *call, a, b float32) float32 { return a * b }, func(_ *call, a, b int64) int64 { return a * b }),
		"Div": binary(func(_ *call, a, b float32) float32 { return a / b }, divide),
		"Pow": binary(power, func(_ *call, a, b int64) int64 { return int64(math.Pow(float64(a), float64(b))) }),
		"Mod": binary(func(_ *call, a, b float32) float32 { return float32(math.Mod(float64(a), float64(b))) }, modulo),
		"Max": binary(func(_ *call, a, b float32) float32 { return max(a, b) }, func(_ *call, a, b int64) int64 { return max(a, b) }),
		"Min": binary(func(_ *call, a, b float32) float32 { return min(a, b) }, func(_ *call, a, b int64) int64 { return min(a, b) }),

		"Equal":          compare(func(a, b float64) bool { return a == b }),
		"Less":           compare(func(a, b float64) bool { return a < b }),
		"Greater":        compare(func(a, b float64) bool { return a > b }),
		"LessOrEqual":    compare(func(a, b float64) bool { return a <= b }),
		"GreaterOrEqual": compare(func(a, b float64) bool { return a >= b }),
		"And":            compare(func(a, b float64) bool { return a != 0 && b != 0 }),
		"Or":             compare(func(a, b float64) bool { return a != 0 || b != 0 }),
		"Where":          choose,

		// shapes and places
		"Constant": constant, "ConstantOfShape": constantOfShape, "Shape": shapeOf, "Size": sizeOf, "Range": rangeOf,
		"Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Transpose": transpose,
		"Concat": concat, "Split": split, "Slice": slice, "Gather": gather, "GatherElements": gatherElements, "Expand": expand, "Tile": tile,
		"ScatterND": scatterND, "ScatterElements": same, "NonZero": nonZero,
	}
}

func plain(f func(float64) float64) func(*call, float64) float64 {
	return func(_ *call, x float64) float64 { return f(x) }
}
