// Package backend is the one interface between what runs a network (ONNX
// Runtime on the CPU, TensorRT on a GPU) and everything above it: pictures in,
// a few candidates out. Non-maximum suppression, the way back to the picture's
// own pixels and batching are written once, above.
package backend

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/schedule"
	"github.com/trtdet/trtdet/imaging"
)

// ErrMemoryLimit is wrapped by errors of images that need more memory than a
// Detector may take.
var ErrMemoryLimit = errors.New("over the detector's memory limit")

// Memory is what a backend may take and takes, in bytes.
type Memory struct {
	// Host is what images are read into, with what is kept for the next ones. A
	// backend without memory of its own has taken 0.
	Host int64
	// Device is that of each device; nothing on the CPU.
	Devices []DeviceMemory
}

// DeviceMemory is a device's. TensorRT's own, such as the engine's weights, is not
// among it.
type DeviceMemory struct {
	Device string
	// Limit is what may be taken, Taken what is.
	Limit, Taken int64
}

// RoundUp returns the size of memory that is made for a number of bytes: sizes
// that are near each other share, and at most an eighth is not used.
func RoundUp(size int) int {
	const least = 4 << 10
	step := max(least, 1<<max(bits.Len(uint(size))-4, 0))
	return (max(size, 1) + step - 1) / step * step
}

// Picture is one picture on its way through a batch. It may be used again, and
// keeps its memory.
type Picture struct {
	// Staged is what the backend computes from, its own business.
	Staged any
	// Fit is where the picture lies in the network's input.
	Fit decode.Fit
	// Conf is the threshold of 0 to 1 that a candidate's score must exceed.
	Conf float32
	// Candidates are the boxes above the threshold, in pixels of the network's
	// input.
	Candidates []decode.Candidate
	// NonFinite counts the predictions dropped because a number in them was
	// NaN or infinite.
	NonFinite int
	// Timing is that of the batch that the picture was in.
	Timing Timing
}

// Staged returns what a picture is staged as, a zero T where it never was.
func Staged[T any](p *Picture) *T {
	s, ok := p.Staged.(*T)
	if !ok {
		s = new(T)
		p.Staged = s
	}
	return s
}

// Timing is how long a batch spent in each stage; 0 is a stage that the backend
// does not have, or does not tell from Network.
type Timing struct {
	Pictures int           // in the batch
	Slot     time.Duration // the wait for one, where a lane is not one itself
	// The copies are to and from a device.
	CopyIn, Letterbox, Network, Decode, CopyOut time.Duration
}

// Tensor is a picture at the input's size and scale: (3, height, width) float32.
type Tensor []float32

// Check refuses a tensor that is not of that size.
func (t Tensor) Check(height, width int) error {
	if n := 3 * height * width; len(t) != n {
		return fmt.Errorf("a tensor of %d numbers, want %d, those of (3, %d, %d)", len(t), n, height, width)
	}
	return nil
}

// Lane is a part of a backend that runs one batch at a time.
type Lane interface {
	// Device names what the lane runs on, such as "cuda:0"; lanes of one device
	// share it.
	Device() string
	// Run runs staged pictures, at most MaxBatch of them, as one batch, and sets
	// all of each but Staged, Fit and Conf. The context that interrupted returns ends
	// when nobody wants the batch any more.
	Run(pictures []*Picture, interrupted func() context.Context) error
	// Maps runs the pictures as Run does and returns what the network makes of
	// them, in float32, before anything is decoded.
	Maps(pictures []*Picture) ([]decode.Tensor, error)
	// Rate runs the network alone on as many images a batch, without a pause: a
	// first run by itself, then a window of one run, and after each window the
	// number of runs that next returns, until that is 0. next gets the runs of a
	// window and what they took by the device's clock; on a GPU the next window is
	// under way by then.
	Rate(images int, next func(runs int, took time.Duration) int) error
}

// Backend runs one network. Its methods but Close may be called from any
// goroutine.
type Backend interface {
	// Stage makes a picture ready for Run, or a tensor of the input's size.
	// Unstage gives back what it took. The source must not change in between.
	Stage(p *Picture, source imaging.Source) error
	StageTensor(p *Picture, tensor Tensor) error
	Unstage(p *Picture)
	// Lanes are what runs batches; each may be used by one goroutine at a time.
	Lanes() []Lane
	// MaxBatch is the largest batch the network takes; 0 means any.
	MaxBatch() int
	// Slots is how many batches the network works on at once: the first as many
	// lanes have it for themselves.
	Slots() int
	// Device names what the network runs on, such as "cpu".
	Device() string
	// Copies reports whether a staged image holds nothing of its source's.
	Copies() bool
	// Size is how many of BatchBytes a staged image takes; BatchBytes is the most
	// that a batch may take, 0 where there is no limit.
	Size(p *Picture) int64
	BatchBytes() int64
	// Memory is what the backend takes at this moment.
	Memory() Memory
	// Classify says what an error of a lane's means for its device.
	Classify(err error) schedule.Failure
	// Reopen makes the lanes of a lost device anew, none of whose lanes is in
	// use any more.
	Reopen(device string) ([]Lane, error)
	// Close frees what the backend holds. It is safe to call twice, not while
	// anything else is.
	Close() error
}
