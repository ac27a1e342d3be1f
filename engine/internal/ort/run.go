package ort

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/x448/float16"
	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/decode"
)

// run puts input (rows, 3, height, width) through the network. The outputs are
// ONNX Runtime's own memory until free is called; took leaves out the wait for
// other batches.
func (b *Backend) run(ctx context.Context, input []float32, rows int) (outputs []decode.Tensor, free func(), took time.Duration, err error) {
	tensor, err := b.inputTensor(input, rows)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer tensor.Destroy()
	options, err := onnxruntime.NewRunOptions()
	if err != nil {
		return nil, nil, 0, fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer options.Destroy()

	select {
	case b.network <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, 0, ctx.Err()
	}
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		options.Terminate() //nolint:errcheck // a run that cannot be stopped ends by itself
	})
	start := time.Now()
	values := make([]onnxruntime.Value, len(b.outputs))
	err = b.session.RunWithOptions([]onnxruntime.Value{tensor}, values, options)
	took = time.Since(start)
	<-b.network
	if !stop() {
		<-terminated // the options must outlive the call that is using them
	}
	free = func() {
		for _, v := range values {
			if v != nil {
				v.Destroy() //nolint:errcheck // nothing is left to do about it
			}
		}
	}
	if err == nil {
		outputs, err = b.tensors(values)
	}
	if err != nil {
		free()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, nil, took, fmt.Errorf("ONNX Runtime: %w", err)
	}
	return outputs, free, took, nil
}

func (b *Backend) inputTensor(input []float32, rows int) (onnxruntime.Value, error) {
	shape := onnxruntime.NewShape(int64(rows), 3, int64(b.height), int64(b.width))
	if !b.half {
		return onnxruntime.NewTensor(shape, input)
	}
	halves := make([]byte, 2*len(input))
	for i, v := range input {
		binary.LittleEndian.PutUint16(halves[2*i:], float16.Fromfloat32(v).Bits())
	}
	return onnxruntime.NewCustomDataTensor(shape, halves, onnxruntime.TensorElementDataTypeFloat16)
}

// tensors views the network's outputs as float32; halves are widened.
func (b *Backend) tensors(values []onnxruntime.Value) ([]decode.Tensor, error) {
	outputs := make([]decode.Tensor, len(values))
	for i, v := range values {
		t := decode.Tensor{Name: b.outputs[i]}
		for _, n := range v.GetShape() {
			t.Shape = append(t.Shape, int(n))
		}
		switch v := v.(type) {
		case *onnxruntime.Tensor[float32]:
			t.Data = v.GetData()
		case *onnxruntime.CustomDataTensor:
			data := v.GetData()
			t.Data = make([]float32, len(data)/2)
			for j := range t.Data {
				t.Data[j] = float16.Frombits(binary.LittleEndian.Uint16(data[2*j:])).Float32()
			}
		default:
			return nil, fmt.Errorf("output %s is neither float32 nor float16", t.Name)
		}
		outputs[i] = t
	}
	return outputs, nil
}
