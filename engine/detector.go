package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/cuda"
	"github.com/trtdet/trtdet/engine/internal/ort"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
)

// ErrLost is wrapped by errors of calls that no GPU is left for: each has failed
// in a way that ends everything on it. A new process may have them back.
var ErrLost = cuda.ErrLost

// ErrClosed is returned by calls on a Detector that has been closed.
var ErrClosed = errors.New("the detector is closed")

// Detector finds objects in pictures with one model.
type Detector struct {
	spec   model.Spec
	nms    decode.NMSOptions
	width  int
	height int

	mu      sync.RWMutex // held for reading by every call, so that Close waits
	backend backend.Backend
}

// Open gets the model ready to run: an ONNX file on the CPU, a TensorRT engine
// on GPUs. The error wraps os errors for the file, model's errors
// for what is in it, and ErrNoGPU.
func Open(path string, o *Options) (*Detector, error) {
	if o == nil {
		o = &Options{Device: Device{Auto: true}}
	}
	if err := checkDevice(path, o.Device); err != nil {
		return nil, err
	}
	if IsPlan(path) {
		return openPlan(path, o)
	}
	go ort.Load() //nolint:errcheck // while the model is being read; ort.Open says what went wrong
	n, err := model.Load(path, &o.Head)
	if err != nil {
		return nil, err
	}
	d := &Detector{spec: n.Spec}
	if d.height, d.width, err = inputSize(n, o.Height, o.Width, logger(o.Log)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if size, dynamic := n.Batch(); !dynamic && size == 1 && o.Batch > 1 {
		if err := n.MakeBatchDynamic(); err != nil {
			logger(o.Log).Warn("the network takes one picture at a time", "model", path, "reason", err)
		}
	}
	if err := d.setNMS(o); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.backend, err = ort.Open(n, ort.Config{Height: d.height, Width: d.width, Threads: o.Threads, Slots: o.Slots, MultiLabel: o.MultiLabel})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// setNMS settles what is kept of the candidates.
func (d *Detector) setNMS(o *Options) error {
	for _, c := range o.Classes {
		if c < 0 || c >= d.spec.Head.Classes {
			return fmt.Errorf("class %d does not exist, the model has classes 0 to %d", c, d.spec.Head.Classes-1)
		}
	}
	d.nms = decode.NMSOptions{IoU: d.spec.Thresholds.IoU, MaxDet: o.MaxDet, Classes: o.Classes, Agnostic: o.AgnosticNMS}
	if d.nms.MaxDet == 0 {
		d.nms.MaxDet = DefaultMaxDet
	}
	return nil
}

// inputSize settles the network's input size from the model and the caller's
// wish (0 for none).
func inputSize(n *model.Network, height, width int, log *slog.Logger) (h, w int, err error) {
	fixedH, fixedW, dynamic := n.InputSize()
	if !dynamic {
		if (height != 0 && height != fixedH) || (width != 0 && width != fixedW) {
			return 0, 0, fmt.Errorf("the input is fixed at %dx%d (height x width) and cannot be %dx%d: "+
				"leave --imgsz out, or export the model with a dynamic size", fixedH, fixedW, height, width)
		}
		return fixedH, fixedW, nil
	}
	h, w = wholeStrides(n.Head, orDefault(height)), wholeStrides(n.Head, orDefault(width))
	if (height != 0 && h != height) || (width != 0 && w != width) {
		log.Warn("input size rounded up to a multiple of the largest stride",
			"asked", fmt.Sprintf("%dx%d", height, width), "used", fmt.Sprintf("%dx%d", h, w))
	}
	if (fixedH != 0 && h != fixedH) || (fixedW != 0 && w != fixedW) {
		return 0, 0, fmt.Errorf("the input cannot be %dx%d (height x width): its height is %s, its width %s; say so with --imgsz",
			h, w, sideWord(fixedH), sideWord(fixedW))
	}
	return h, w, nil
}

// sideWord words a side of the input that may be free.
func sideWord(size int) string {
	if size == 0 {
		return "free"
	}
	return "fixed at " + strconv.Itoa(size)
}

func orDefault(size int) int {
	if size == 0 {
		return DefaultImgSize
	}
	return size
}

// wholeStrides rounds size up to a multiple of the head's largest stride, 32
// where the graph has decoded already and the strides are not known.
func wholeStrides(h decode.Head, size int) int {
	stride := 32
	if !h.Decoded() {
		stride = 1
		for _, l := range h.Levels {
			stride = max(stride, l.Stride)
		}
	}
	return (size + stride - 1) / stride * stride
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// Spec is what the model file and the options say of the network.
func (d *Detector) Spec() model.Spec { return d.spec }

// InputSize returns the network's input height and width in pixels.
func (d *Detector) InputSize() (height, width int) { return d.height, d.width }

// Device names what the network runs on, such as "cpu"; empty once closed.
func (d *Detector) Device() string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.backend == nil {
		return ""
	}
	return d.backend.Device()
}

// MaxBatch is the largest batch DetectBatch takes; 0 means any.
func (d *Detector) MaxBatch() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.backend == nil {
		return 0
	}
	return d.backend.MaxBatch()
}

// Slots is how many batches the network works on at once.
func (d *Detector) Slots() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.backend == nil {
		return 0
	}
	return d.backend.Slots()
}

// Detect finds the objects in one picture.
func (d *Detector) Detect(ctx context.Context, p *imaging.Picture) (Result, error) {
	results, err := d.DetectBatch(ctx, []*imaging.Picture{p})
	if err != nil {
		return Result{}, err
	}
	return results[0], nil
}

// DetectBatch runs the pictures, which may differ in size, as one batch and
// returns one Result for each, in their order.
func (d *Detector) DetectBatch(ctx context.Context, pictures []*imaging.Picture) ([]Result, error) {
	if len(pictures) == 0 {
		return nil, nil
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.backend == nil {
		return nil, ErrClosed
	}
	found, took, err := d.backend.Candidates(ctx, pictures, d.spec.Thresholds.Conf)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	results := make([]Result, len(found))
	for i, f := range found {
		results[i] = Result{Detections: d.detections(f), NonFinite: f.NonFinite}
	}
	timing := Timing{
		Pictures: len(pictures), Queue: took.Queue, CopyIn: took.CopyIn, Letterbox: took.Letterbox, Network: took.Network,
		Decode: took.Decode, CopyOut: took.CopyOut, NMS: time.Since(start),
	}
	for i := range results {
		results[i].Timing = timing
	}
	return results, nil
}

// NetworkRate runs the network alone, on as many pictures a batch, in every slot
// at once and for about as long as d: pictures a second that nothing which is
// done with the same slots can exceed.
func (d *Detector) NetworkRate(ctx context.Context, pictures int, duration time.Duration) (float64, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.backend == nil {
		return 0, ErrClosed
	}
	return d.backend.NetworkRate(ctx, pictures, duration)
}

// detections is the host's half of the work: NMS, then back to the picture's
// own pixels, leaving out boxes of which nothing lies inside the picture.
func (d *Detector) detections(f backend.Found) []Detection {
	kept := decode.NMS(f.Candidates, d.nms)
	detections := make([]Detection, 0, len(kept))
	for _, c := range kept {
		box := f.Fit.ToPicture(c.Box)
		if box.X2 <= box.X1 || box.Y2 <= box.Y1 {
			continue
		}
		detections = append(detections, Detection{
			ClassID: int(c.Class), Class: d.ClassName(int(c.Class)), Score: c.Score, Box: box,
		})
	}
	return detections
}

// ClassName returns the name of class id, or the id as text where the model
// has no names.
func (d *Detector) ClassName(id int) string {
	if id >= 0 && id < len(d.spec.Names) {
		return d.spec.Names[id]
	}
	return strconv.Itoa(id)
}

// Close waits for calls under way and frees the model. It is safe to call
// twice.
func (d *Detector) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.backend == nil {
		return nil
	}
	err := d.backend.Close()
	d.backend = nil
	return err
}
