package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/trtdet/trtdet/engine/internal/cuda"
	"github.com/trtdet/trtdet/engine/internal/gpus"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

// checkDevice refuses work that the devices asked for cannot do, in one line
// that says what is missing and what to run instead.
func checkDevice(s source, d Device) error {
	if !s.isPlan() && len(d.CUDA) == 0 {
		return nil // the driver, which may take a second to start, is not asked
	}
	missing := trt.DriverError()
	switch {
	case s.isPlan() && missing != nil:
		return fmt.Errorf("%s: %w: a TensorRT engine runs on a GPU only: %w; run the ONNX file it was built from instead: trtdet run MODEL.onnx --device cpu",
			s, ErrNoGPU, missing)
	case s.isPlan() && d.CPU:
		return fmt.Errorf("%s: a TensorRT engine runs on a GPU only: leave --device cpu out, or run the ONNX file it was built from", s)
	case s.isPlan():
		return nil
	case missing != nil:
		return fmt.Errorf("--device %s: %w: %w; run it with --device cpu instead", d, ErrNoGPU, missing)
	}
	return fmt.Errorf("--device %s: a GPU runs engines, and %s is an ONNX file: build one first: trtdet build %s", d, s, s.onnx())
}

// openPlan gets a TensorRT engine ready to run.
func openPlan(ctx context.Context, s source, o *Options) (*core, error) {
	m, plan, err := s.plan()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &core{spec: model.Spec{
		Head: m.Head, Preprocess: m.Preprocess, Names: m.Names, Thresholds: m.Thresholds,
		Inputs: m.Inputs, Outputs: m.Outputs, Precision: m.Precision,
	}}
	if o.Head.Conf != nil {
		c.spec.Thresholds.Conf = *o.Head.Conf
	}
	if o.Head.IoU != nil {
		c.spec.Thresholds.IoU = *o.Head.IoU
	}
	if c.height, c.width, err = planSize(m, o.Height, o.Width); err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if err := c.setSelection(o); err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	library, err := trt.LoadVersion(trt.Flavor(m.TensorRT.Flavor), m.TensorRT.Version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if library.Version() != m.TensorRT.Version {
		return nil, fmt.Errorf("%s: it was built with %s %s, and here is %s: build it again: %s", s,
			library.Flavor().Title(), m.TensorRT.Version, library.Version(), s.rebuild())
	}
	b := &gpuBackend{management: nvml.New(), cache: newRuntimeCache(s, o.Log)}
	if err := b.choose(m, o.Device); err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	b.watch = gpus.NewWatch(b.management, b.devices)
	b.Backend, err = cuda.Open(plan, library, cuda.Config{
		Devices: b.ordinals(), Head: m.Head, Preprocess: m.Preprocess, Height: c.height, Width: c.width,
		Batch: o.Batch, Slots: o.Slots, HostMemory: o.HostMemory, DeviceMemory: o.DeviceMemory, MultiLabel: o.MultiLabel, StageTimes: o.StageTimes, NoGraphs: o.NoGraphs,
		Cache: b.cache.read(), Explain: b.watch.Explain, Log: o.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, errors.Join(err, b.watch.Close()))
	}
	c.backend = b
	return c, nil
}

// planSize settles the input's size from the profiles and the caller's wish (0
// for none: what the first profile is best at).
func planSize(m *model.Manifest, height, width int) (h, w int, err error) {
	input := m.Inputs[0]
	if height == 0 || width == 0 {
		h, w = input.Shape[2], input.Shape[3]
		if len(m.Profiles) > 0 && slices.Contains([]int{h, w}, -1) {
			best := m.Profiles[0][input.Name].Opt
			h, w = best[2], best[3]
		}
		return h, w, nil
	}
	if (input.Shape[2] != -1 && input.Shape[2] != height) || (input.Shape[3] != -1 && input.Shape[3] != width) {
		return 0, 0, fmt.Errorf("the engine's input is fixed at %dx%d (height x width) and cannot be %dx%d: leave --imgsz out, or build another engine",
			input.Shape[2], input.Shape[3], height, width)
	}
	if stride := wholeStrides(m.Head, 1); height%stride != 0 || width%stride != 0 {
		return 0, 0, fmt.Errorf("an input of %dx%d (height x width) is not made of multiples of %d", height, width, stride)
	}
	return height, width, nil
}

// gpuBackend is a plan on GPUs, with what NVML knows of them.
type gpuBackend struct {
	*cuda.Backend
	devices    []gpus.Device
	management nvml.Interface
	watch      *gpus.Watch
	cache      runtimeCache
}

// choose settles which GPUs run a plan: those that were named, or the least
// loaded. A plan of another TensorRT than RTX runs on GPUs of the compute
// capability that it was built on only.
func (b *gpuBackend) choose(m *model.Manifest, d Device) error {
	found, err := cuda.IdentifyAll()
	if err != nil {
		return err
	}
	fits := func(id cuda.Identity) bool {
		return trt.Flavor(m.TensorRT.Flavor) == trt.RTX || len(m.ComputeCapabilities) == 0 || slices.Contains(m.ComputeCapabilities, capability(id))
	}
	var all, fitting []gpus.Device
	for _, id := range found {
		device := gpus.Device{Ordinal: id.Ordinal, UUID: id.UUID}
		all = append(all, device)
		if fits(id) {
			fitting = append(fitting, device)
		} else if slices.Contains(d.CUDA, id.Ordinal) {
			return fmt.Errorf("it was built on %s, compute capability %s, and %s is a %s, %s: build it again there",
				m.GPU, m.ComputeCapabilities[0], device, id.Name, capability(id))
		}
	}
	if len(d.CUDA) == 0 {
		if len(fitting) == 0 && len(all) > 0 {
			return fmt.Errorf("it was built on %s, compute capability %s, and no GPU here has that: build it again here", m.GPU, m.ComputeCapabilities[0])
		}
		// a plan's size is less than it needs, and all that is known before it is loaded
		least, err := gpus.LeastLoaded(b.management, fitting, uint64(m.Plan.Bytes))
		if err != nil {
			return err
		}
		d.CUDA = []int{least}
	}
	for _, ordinal := range d.CUDA {
		at := slices.IndexFunc(all, func(device gpus.Device) bool { return device.Ordinal == ordinal })
		if at < 0 {
			_, err := cuda.Identify(ordinal)
			return fmt.Errorf("cuda:%d: %w", ordinal, err)
		}
		b.devices = append(b.devices, all[at])
	}
	return nil
}

func capability(id cuda.Identity) string { return fmt.Sprintf("%d.%d", id.Major, id.Minor) }

func (b *gpuBackend) ordinals() []int {
	var ordinals []int
	for _, d := range b.devices {
		ordinals = append(ordinals, d.Ordinal)
	}
	return ordinals
}

// Close keeps what TensorRT-RTX compiled and frees the rest.
func (b *gpuBackend) Close() error {
	b.cache.keep(b.Cache())
	return errors.Join(b.Backend.Close(), b.watch.Close())
}

// GPUUse is how busy a GPU was over a time, as NVML has it.
type GPUUse struct {
	Device string `json:"device"` // "cuda:0"
	// Utilization is the mean percentage of the time that kernels ran.
	Utilization float64 `json:"utilization_percent"`
	// MemoryBytes is the most that was in use, by this process and others.
	MemoryBytes uint64 `json:"memory_bytes"`
}

// SampleGPUs looks at the GPUs that the Detector runs on, at each interval, until
// the function that it returns is called, once; that returns what was seen:
// nothing on the CPU or without NVML.
func (d *Detector) SampleGPUs(interval time.Duration) (stop func() []GPUUse) {
	b, ok := d.known().backend.(*gpuBackend)
	if !ok {
		return func() []GPUUse { return nil }
	}
	sampled := gpus.Sample(b.management, b.devices, interval)
	return func() []GPUUse {
		var uses []GPUUse
		for _, use := range sampled() {
			uses = append(uses, GPUUse(use))
		}
		return uses
	}
}
