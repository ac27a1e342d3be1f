package model

import "github.com/trtdet/trtdet/model/onnx"

// weights lists, once each, the constants that a network has learned: what
// enters its layers as weights, biases, and scale and shift of a normalization.
// Constants behind a DequantizeLinear count as well.
func weights(x *onnx.Index, g *onnx.Graph) []*onnx.Tensor {
	var list []*onnx.Tensor
	seen := map[*onnx.Tensor]bool{}
	add := func(name string) {
		for range 4 {
			if t := x.Constant(name); t != nil {
				if !seen[t] {
					seen[t] = true
					list = append(list, t)
				}
				return
			}
			n := x.Producer(name)
			if !n.Is("DequantizeLinear", "QuantizeLinear", "Cast", "Identity", "Transpose", "Reshape") {
				return
			}
			name = n.Input(0)
		}
	}
	for _, n := range g.Nodes {
		switch {
		case n.Is("Conv", "ConvTranspose", "Gemm", "BatchNormalization", "InstanceNormalization", "LayerNormalization"):
			add(n.Input(1))
			add(n.Input(2))
		case n.Is("MatMul"):
			add(n.Input(0))
			add(n.Input(1))
		case n.Is("PRelu"):
			add(n.Input(1))
		}
	}
	return list
}

// precision tells the number format of most of a network's weights, or that of
// its quantization.
func precision(x *onnx.Index, g *onnx.Graph) string {
	for _, n := range g.Nodes {
		if !n.Is("QuantizeLinear", "DequantizeLinear") {
			continue
		}
		if zero := x.Constant(n.Input(2)); zero != nil && zero.DataType.IsFloat8() {
			return FP8
		}
		if n.Int("output_dtype", 0) != 0 && onnx.DataType(n.Int("output_dtype", 0)).IsFloat8() {
			return FP8
		}
		if t := x.Constant(n.Input(0)); t != nil && t.DataType.IsFloat8() {
			return FP8
		}
	}
	for _, n := range g.Nodes {
		if n.Is("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear") {
			return INT8
		}
	}
	size := map[onnx.DataType]int{}
	for _, t := range weights(x, g) {
		size[t.DataType] += t.Len()
	}
	switch {
	case size[onnx.BFloat16] > size[onnx.Float32]+size[onnx.Float16]:
		return BF16
	case size[onnx.Float16] > size[onnx.Float32]:
		return FP16
	}
	return FP32
}

func parameters(x *onnx.Index, g *onnx.Graph) (n int64) {
	for _, t := range weights(x, g) {
		n += int64(t.Len())
	}
	return n
}
