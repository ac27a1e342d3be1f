package ort

import (
	"fmt"
	"runtime"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/schedule"
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
	slots  chan struct{} // holds a token for each batch in the network
	pool   pool
}

var _ backend.Backend = (*Backend)(nil)

// lanesBeside is how many batches are beside those in the network: one before it
// and one behind.
const lanesBeside = 2

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
		slots:      make(chan struct{}, slots),
	}
	if size, dynamic := n.Batch(); !dynamic {
		b.batch = size
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

// Close frees the network. It is safe to call twice, not while a lane runs.
func (b *Backend) Close() error {
	if b.session == nil {
		return nil
	}
	err := b.session.Destroy()
	b.session = nil
	return err
}

// Lanes implements backend.Backend: more than the network has slots, so that none
// of those waits while a picture is made its input, or its output boxes.
func (b *Backend) Lanes() []backend.Lane {
	var lanes []backend.Lane
	for range b.Slots() + lanesBeside {
		lanes = append(lanes, &lane{b: b})
	}
	return lanes
}

// Classify implements backend.Backend.
func (b *Backend) Classify(error) schedule.Failure { return schedule.Failed }

// Copies implements backend.Backend: what is given as pixels or as a tensor is
// read where it lies.
func (b *Backend) Copies() bool { return false }

// Size implements backend.Backend.
func (b *Backend) Size(*backend.Picture) int64 { return 0 }

// BatchBytes implements backend.Backend.
func (b *Backend) BatchBytes() int64 { return 0 }

// Memory implements backend.Backend. What images are decoded into is the garbage
// collector's.
func (b *Backend) Memory() backend.Memory { return backend.Memory{} }

// Reopen implements backend.Backend.
func (b *Backend) Reopen(device string) ([]backend.Lane, error) {
	return nil, fmt.Errorf("%s was not lost", device)
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
