package ort

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// Config says how the network is run.
type Config struct {
	// Height and Width of the network's input in pixels.
	Height, Width int
	// Threads that ONNX Runtime computes with; 0 means one per core.
	Threads int
	// Slots is how many batches it computes at once, each with its share of
	// the threads; 0 means 1.
	Slots int
	// MultiLabel makes a candidate of every label that passes.
	MultiLabel bool
}

// share returns how many slots there are and how many threads each has.
// Slots without a whole thread would only stand in each other's way.
func (c Config) share() (slots, threads int) {
	slots = max(c.Slots, 1)
	if slots == 1 {
		return 1, c.Threads
	}
	all := c.Threads
	if all == 0 {
		all = runtime.GOMAXPROCS(0)
	}
	slots = min(slots, all)
	return slots, all / slots
}

// Backend runs one network in ONNX Runtime. See backend.Backend.
type Backend struct {
	session    *onnxruntime.DynamicAdvancedSession
	decoder    *decode.Decoder
	preprocess decode.Preprocess
	height     int
	width      int
	batch      int // 0 where the network takes any
	input      string
	outputs    []string
	// halves are the inputs and outputs that the file has in float16. The
	// network here has them in float32, and ONNX Runtime leaves out casts to
	// and fro, so they are rounded on the host: the file's own numbers.
	halves map[string]bool
	inputs chan []float32 // free input buffers; its length bounds the batches under way
	slots  chan struct{}  // holds a token for each batch in the network
}

var _ backend.Backend = (*Backend)(nil)

// batchesBeside is one batch on either side of those in the network.
const batchesBeside = 2

// Open makes the network ready to run, with float32 inputs and outputs. The
// network is not needed afterwards.
func Open(n *model.Network, c Config) (*Backend, error) {
	if _, err := Load(); err != nil {
		return nil, err
	}
	decoder, err := decode.NewDecoder(n.Head)
	if err != nil {
		return nil, err
	}
	decoder.MultiLabel = c.MultiLabel
	halves := map[string]bool{}
	for _, t := range append(n.Inputs, n.Outputs...) {
		halves[t.Name] = t.DType == "float16"
	}
	if err := n.FloatIO(); err != nil {
		return nil, err
	}
	input := n.Inputs[0]
	if input.DType != "float32" {
		return nil, fmt.Errorf("input %s is %s, want float32 or float16: export the model with float inputs", input.Name, input.DType)
	}
	slots, threads := c.share()
	b := &Backend{
		decoder:    decoder,
		preprocess: n.Preprocess,
		height:     c.Height,
		width:      c.Width,
		input:      input.Name,
		outputs:    headOutputs(n.Head),
		halves:     halves,
		inputs:     make(chan []float32, slots+batchesBeside),
		slots:      make(chan struct{}, slots),
	}
	if size, dynamic := n.Batch(); !dynamic {
		b.batch = size
	}
	for range cap(b.inputs) {
		b.inputs <- nil
	}
	data, err := n.Marshal()
	if err != nil {
		return nil, err
	}
	options, err := onnxruntime.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(threads); err != nil {
		return nil, fmt.Errorf("ONNX Runtime, --threads %d: %w", c.Threads, err)
	}
	b.session, err = onnxruntime.NewDynamicAdvancedSessionWithONNXData(data, []string{input.Name}, b.outputs, options)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime refuses the network: %w", err)
	}
	return b, nil
}

// headOutputs lists the tensors the head reads, each once.
func headOutputs(h decode.Head) []string {
	var names []string
	seen := map[string]bool{}
	for _, l := range h.Levels {
		for _, name := range l.Outputs {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// MaxBatch is the largest batch the network takes; 0 means any.
func (b *Backend) MaxBatch() int { return b.batch }

// Slots is how many batches the network works on at once.
func (b *Backend) Slots() int { return cap(b.slots) }

// Device returns "cpu".
func (b *Backend) Device() string { return "cpu" }

// Close frees the network. It is safe to call twice, not during Candidates.
func (b *Backend) Close() error {
	if b.session == nil {
		return nil
	}
	err := b.session.Destroy()
	b.session = nil
	return err
}

// Candidates implements backend.Backend.
func (b *Backend) Candidates(ctx context.Context, pictures []*imaging.Picture, conf float32) ([]backend.Found, backend.Timing, error) {
	found := make([]backend.Found, len(pictures))
	var took time.Duration
	timing, err := b.forward(ctx, pictures, found, func(outputs []decode.Tensor) (err error) {
		start := time.Now()
		for i := range found {
			found[i].Candidates, found[i].NonFinite, err = b.decoder.Decode(nil, outputs, i, b.width, b.height, conf)
			if err != nil {
				return err
			}
		}
		took = time.Since(start)
		return nil
	})
	timing.Decode = took
	if err != nil {
		return nil, timing, err
	}
	return found, timing, nil
}

// Maps implements backend.Backend.
func (b *Backend) Maps(ctx context.Context, pictures []*imaging.Picture) ([]decode.Tensor, error) {
	maps := make([]decode.Tensor, len(b.outputs))
	_, err := b.forward(ctx, pictures, make([]backend.Found, len(pictures)), func(outputs []decode.Tensor) error {
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

// NetworkRate implements backend.Backend.
func (b *Backend) NetworkRate(ctx context.Context, pictures int, d time.Duration) (float64, error) {
	rows, err := b.rows(pictures)
	if err != nil {
		return 0, err
	}
	return backend.Rate(ctx, b.Slots(), pictures, d, func(ctx context.Context, stop func() bool) (runs int, err error) {
		input := make([]float32, rows*3*b.height*b.width)
		for ; !stop(); runs++ {
			var timing backend.Timing
			_, free, err := b.run(ctx, input, rows, &timing)
			if err != nil {
				return runs, err
			}
			free()
		}
		return runs, nil
	})
}

// rows is the batch that the network is run with for a number of pictures.
func (b *Backend) rows(pictures int) (int, error) {
	if b.batch == 0 {
		return pictures, nil
	}
	if pictures > b.batch {
		return 0, fmt.Errorf("a batch of %d pictures, but the network takes %d", pictures, b.batch)
	}
	return b.batch, nil // what lies in the rest is not looked at
}

// forward takes the pictures through the network, says in found where each lay
// in the input, and hands the outputs to use, whose memory is ONNX Runtime's.
func (b *Backend) forward(ctx context.Context, pictures []*imaging.Picture, found []backend.Found, use func([]decode.Tensor) error) (backend.Timing, error) {
	var timing backend.Timing
	rows, err := b.rows(len(pictures))
	if err != nil {
		return timing, err
	}
	start := time.Now()
	var input []float32
	select {
	case input = <-b.inputs:
	case <-ctx.Done():
		return timing, ctx.Err()
	}
	defer func() { b.inputs <- input }()
	timing.Queue = time.Since(start)

	start = time.Now()
	size := 3 * b.height * b.width
	if cap(input) < rows*size {
		input = make([]float32, rows*size)
	}
	input = input[:rows*size]
	for i, p := range pictures {
		found[i].Fit = decode.NewFit(p.Width, p.Height, b.width, b.height, b.preprocess.Letterbox)
		imaging.Letterbox(input[i*size:(i+1)*size], p, found[i].Fit, b.preprocess)
	}
	if b.halves[b.input] {
		roundToHalf(input)
	}
	timing.Letterbox = time.Since(start)

	outputs, free, err := b.run(ctx, input, rows, &timing)
	if err != nil {
		return timing, err
	}
	defer free()
	return timing, use(outputs)
}
