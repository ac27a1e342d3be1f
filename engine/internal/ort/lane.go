package ort

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/imaging"
)

// lane takes a batch at a time to the network and back. While it is on either
// side, another has the network.
type lane struct {
	b *Backend

	mu    sync.Mutex // held by who uses it
	input []float32  // (batch, 3, height, width)
}

// Device implements backend.Lane.
func (l *lane) Device() string { return "cpu" }

// Run implements backend.Lane.
func (l *lane) Run(pictures []*backend.Picture, interrupted func() context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var timing backend.Timing
	err := l.forward(interrupted(), pictures, &timing, func(outputs []decode.Tensor) (err error) {
		start := time.Now()
		for i, p := range pictures {
			p.Candidates, p.NonFinite, err = l.b.decoder.Decode(p.Candidates[:0], outputs, i, l.b.width, l.b.height, p.Conf)
			if err != nil {
				return err
			}
		}
		timing.Decode = time.Since(start)
		return nil
	})
	for _, p := range pictures {
		p.Timing = timing
	}
	return err
}

// Maps implements backend.Lane.
func (l *lane) Maps(pictures []*backend.Picture) ([]decode.Tensor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps := make([]decode.Tensor, len(l.b.outputs))
	var timing backend.Timing
	err := l.forward(context.Background(), pictures, &timing, func(outputs []decode.Tensor) error {
		for i, o := range outputs {
			row := len(o.Data) / o.Shape[0]
			maps[i] = decode.Tensor{
				Name: o.Name, Shape: append([]int{len(pictures)}, o.Shape[1:]...), Data: slices.Clone(o.Data[:row*len(pictures)]),
			}
		}
		return nil
	})
	return maps, err
}

// Rate implements backend.Lane. A run takes what ONNX Runtime takes, without the
// wait for a slot.
func (l *lane) Rate(images int, next func(runs int, took time.Duration) int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, err := l.b.rows(images)
	if err != nil {
		return err
	}
	input := make([]float32, rows*3*l.b.height*l.b.width)
	window := func(runs int) (time.Duration, error) {
		var timing backend.Timing
		for range runs {
			_, free, err := l.b.run(context.Background(), input, rows, &timing)
			if err != nil {
				return 0, err
			}
			free()
		}
		return timing.Network, nil
	}
	if _, err := window(1); err != nil { // it allocates
		return err
	}
	for runs := 1; runs > 0; {
		took, err := window(runs)
		if err != nil {
			return err
		}
		runs = next(runs, took)
	}
	return nil
}

// forward takes the pictures through the network and hands the outputs to use,
// whose memory is ONNX Runtime's.
func (l *lane) forward(ctx context.Context, pictures []*backend.Picture, timing *backend.Timing, use func([]decode.Tensor) error) error {
	timing.Pictures = len(pictures)
	rows, err := l.b.rows(len(pictures))
	if err != nil {
		return err
	}
	start := time.Now()
	size := 3 * l.b.height * l.b.width
	if cap(l.input) < rows*size {
		l.input = make([]float32, rows*size)
	}
	input := l.input[:rows*size]
	for i, p := range pictures {
		to := input[i*size : (i+1)*size]
		if s := backend.Staged[stagedPicture](p); s.tensor != nil {
			copy(to, s.tensor)
		} else {
			imaging.Letterbox(to, s.picture, p.Fit, l.b.preprocess)
		}
	}
	if l.b.halves[l.b.input] {
		roundToHalf(input)
	}
	timing.Letterbox = time.Since(start)

	outputs, free, err := l.b.run(ctx, input, rows, timing)
	if err != nil {
		return err
	}
	defer free()
	return use(outputs)
}
