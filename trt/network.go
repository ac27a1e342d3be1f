package trt

// #include "trtdet.h"
import "C"

import (
	"fmt"
	"slices"
)

// TensorInfo is an input or an output of a network.
type TensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"` // numpy's name: float32, float16, bfloat16, int8 ...
	Shape []int  `json:"shape"` // -1 = known at run time only
}

// Network is what a Builder parsed from an ONNX file.
type Network struct {
	builder         *Builder
	inputs, outputs []TensorInfo

	c *C.trtdet_network // nil when closed; builder.mu guards it
}

// Inputs returns the inputs in the file's order. They stay known after Close.
func (n *Network) Inputs() []TensorInfo { return clone(n.inputs) }

// Outputs returns the outputs in the file's order, which is no promise: tell
// them by name. They stay known after Close.
func (n *Network) Outputs() []TensorInfo { return clone(n.outputs) }

func clone(tensors []TensorInfo) []TensorInfo {
	out := slices.Clone(tensors)
	for i := range out {
		out[i].Shape = slices.Clone(out[i].Shape)
	}
	return out
}

func (n *Network) list() (err error) {
	if n.inputs, err = n.tensors(C.TRTDET_INPUT); err != nil {
		return err
	}
	n.outputs, err = n.tensors(C.TRTDET_OUTPUT)
	return err
}

func (n *Network) tensors(role C.trtdet_role) ([]TensorInfo, error) {
	return tensorInfos("parse", C.trtdet_network_tensor_count(n.c, role), func(i C.int32_t, t *C.trtdet_tensor) *C.trtdet_error {
		return C.trtdet_network_tensor(n.c, role, i, t)
	})
}

// tensorInfos asks for each of count tensors.
func tensorInfos(op string, count C.int32_t, get func(i C.int32_t, t *C.trtdet_tensor) *C.trtdet_error) ([]TensorInfo, error) {
	infos := make([]TensorInfo, 0, int(count))
	for i := range count {
		var t C.trtdet_tensor
		if err := goError(op, get(i, &t)); err != nil {
			return nil, err
		}
		info := TensorInfo{Name: C.GoString(t.name), DType: dtypeName(t.dtype), Shape: make([]int, int(t.rank))}
		for d := range info.Shape {
			info.Shape[d] = int(t.dims[d])
		}
		infos = append(infos, info)
	}
	return infos, nil
}

var dtypeNames = map[C.trtdet_dtype]string{
	C.TRTDET_FLOAT32:     "float32",
	C.TRTDET_FLOAT16:     "float16",
	C.TRTDET_INT8:        "int8",
	C.TRTDET_INT32:       "int32",
	C.TRTDET_BOOL:        "bool",
	C.TRTDET_UINT8:       "uint8",
	C.TRTDET_FLOAT8_E4M3: "float8e4m3fn",
	C.TRTDET_BFLOAT16:    "bfloat16",
	C.TRTDET_INT64:       "int64",
	C.TRTDET_INT4:        "int4",
	C.TRTDET_FLOAT4_E2M1: "float4e2m1",
	C.TRTDET_FLOAT8_E8M0: "float8e8m0",
}

// dtypeName names a type that a newer TensorRT may have added by its number.
func dtypeName(t C.trtdet_dtype) string {
	if name, known := dtypeNames[t]; known {
		return name
	}
	return fmt.Sprintf("type%d", int(t))
}

// Close frees the network. It waits for what its builder is doing.
func (n *Network) Close() error {
	n.builder.mu.Lock()
	defer n.builder.mu.Unlock()
	C.trtdet_network_free(n.c)
	n.c = nil
	return nil
}
