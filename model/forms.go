package model

import (
	"fmt"
	"slices"

	"github.com/trtdet/trtdet/model/onnx"
)

// forms are ways of writing a network that only ONNX Runtime reads, known by an
// operator, and the way to one that every runtime reads.
var forms = []struct {
	operators []string
	what, way string
}{
	{[]string{"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"},
		"quantized dynamically", "quantize it statically, with QuantFormat.QDQ (docs/tensorrt.md)"},
	{[]string{"QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu", "QGemm"},
		"quantized in ONNX Runtime's operator format", "quantize the float network with QuantFormat.QDQ (docs/tensorrt.md)"},
	{[]string{"FusedConv", "FusedMatMul", "FusedGemm", "QuickGelu", "BiasGelu", "ReorderInput", "ReorderOutput", "NhwcMaxPool", "NhwcFusedConv"},
		"optimized by ONNX Runtime for itself", "take the file from before, or save it with the graph optimization level basic"},
}

// checkForm names a network that no TensorRT reads and whose head is not where
// it looks for it, by what made it so.
func checkForm(g *onnx.Graph) error {
	for _, n := range g.Nodes {
		for _, f := range forms {
			if slices.Contains(f.operators, n.OpType) {
				return fmt.Errorf("%w: it is %s (%s), which TensorRT does not read; %s", ErrUnknownHead, f.what, n.Label(), f.way)
			}
		}
	}
	return nil
}
