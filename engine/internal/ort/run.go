package ort

import (
	"context"
	"fmt"
	"time"

	"github.com/x448/float16"
	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
)

// run puts input (rows, 3, height, width) through the network. The outputs are
// ONNX Runtime's own memory until free is called. It adds what it took to
// timing's Network.
func (b *Backend) run(ctx context.Context, input []float32, rows int, timing *backend.Timing) (outputs []decode.Tensor, free func(), err error) {
	tensor, err := onnxruntime.NewTensor(onnxruntime.NewShape(int64(rows), 3, int64(b.height), int64(b.width)), input)
	if err != nil {
		return nil, nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer tensor.Destroy()
	options, err := onnxruntime.NewRunOptions()
	if err != nil {
		return nil, nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer options.Destroy()

	start := time.Now()
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	timing.Slot += time.Since(start)
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		options.Terminate() //nolint:errcheck // a run that cannot be stopped ends by itself
	})
	start = time.Now()
	values := make([]onnxruntime.Value, len(b.outputs))
	err = b.session.RunWithOptions([]onnxruntime.Value{tensor}, values, options)
	timing.Network += time.Since(start)
	<-b.slots
	if !stop() {
		<-terminated // the options must outlive the call that is using them
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	free = func() {
		for _, v := range values {
			v.Destroy() //nolint:errcheck // nothing is left to do about it
		}
	}
	if outputs, err = b.tensors(values); err != nil {
		free()
		return nil, nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	return outputs, free, nil
}

// tensors views the network's outputs.
func (b *Backend) tensors(values []onnxruntime.Value) ([]decode.Tensor, error) {
	outputs := make([]decode.Tensor, len(values))
	for i, v := range values {
		floats, ok := v.(*onnxruntime.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("output %s is not float32", b.outputs[i])
		}
		outputs[i] = decode.Tensor{Name: b.outputs[i], Data: floats.GetData()}
		if b.halves[b.outputs[i]] {
			roundToHalf(outputs[i].Data)
		}
		for _, n := range floats.GetShape() {
			outputs[i].Shape = append(outputs[i].Shape, int(n))
		}
	}
	return outputs, nil
}

// roundToHalf gives every value the nearest float16's.
func roundToHalf(values []float32) {
	for i, v := range values {
		values[i] = float16.Fromfloat32(v).Float32()
	}
}
