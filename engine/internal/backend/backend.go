// Package backend is the one interface between what runs a network (ONNX
// Runtime on the CPU, TensorRT on a GPU) and everything above it: pictures in,
// a few candidates out. Non-maximum suppression, the way back to the picture's
// own pixels and batching are written once, above.
package backend

import (
	"context"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/imaging"
)

// Found is what a backend made of one picture.
type Found struct {
	// Candidates are the boxes above the confidence threshold, in pixels of the
	// network's input.
	Candidates []decode.Candidate
	// NonFinite counts the predictions dropped because a number in them was
	// NaN or infinite.
	NonFinite int
	// Fit is where the picture lay in the network's input.
	Fit decode.Fit
}

// Timing is how long a batch spent in each stage; 0 is a stage that the backend
// does not have, or does not tell from Network.
type Timing struct {
	// Queue is the wait for a slot; the copies are to and from a device.
	Queue, CopyIn, Letterbox, Network, Decode, CopyOut time.Duration
}

// Backend runs one network. Its methods may be called from any goroutine.
type Backend interface {
	// Candidates runs the pictures, at most MaxBatch of them, as one batch and
	// returns one Found for each, in their order. conf is the threshold that a
	// candidate's score must exceed.
	Candidates(ctx context.Context, pictures []*imaging.Picture, conf float32) ([]Found, Timing, error)
	// NetworkRate runs the network alone on as many pictures a batch, on every
	// slot at once and for about as long as d, and returns pictures a second: the
	// limit of what Candidates can do.
	NetworkRate(ctx context.Context, pictures int, d time.Duration) (float64, error)
	// Maps runs the pictures as Candidates does and returns what the network
	// makes of them, in float32, before anything is decoded.
	Maps(ctx context.Context, pictures []*imaging.Picture) ([]decode.Tensor, error)
	// MaxBatch is the largest batch the network takes; 0 means any.
	MaxBatch() int
	// Slots is how many batches the network works on at once.
	Slots() int
	// Device names what the network runs on, such as "cpu".
	Device() string
	// Close frees what the backend holds. It is safe to call twice, not while
	// Candidates is running.
	Close() error
}
