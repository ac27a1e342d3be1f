package engine

import (
	"fmt"
	"slices"

	"github.com/trtdet/trtdet/engine/internal/cuda"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/trt"
)

// checkDevice refuses work that the devices asked for cannot do, in one line
// that says what is missing and what to run instead.
func checkDevice(path string, d Device) error {
	if !IsPlan(path) && len(d.CUDA) == 0 {
		return nil // the driver, which may take a second to start, is not asked
	}
	missing := trt.DriverError()
	switch {
	case IsPlan(path) && missing != nil:
		return fmt.Errorf("%s: %w: a TensorRT engine runs on a GPU only: %w; run the ONNX file it was built from instead: trtdet run MODEL.onnx --device cpu",
			path, ErrNoGPU, missing)
	case IsPlan(path) && !d.Auto && len(d.CUDA) == 0:
		return fmt.Errorf("%s: a TensorRT engine runs on a GPU only: leave --device cpu out, or run the ONNX file it was built from", path)
	case IsPlan(path):
		return nil
	case missing != nil:
		return fmt.Errorf("--device %s: %w: %w; run it with --device cpu instead", d, ErrNoGPU, missing)
	}
	return fmt.Errorf("--device %s: a GPU runs engines, and %s is an ONNX file: build one first: trtdet build %s", d, path, path)
}

// openPlan gets a TensorRT engine ready to run.
func openPlan(path string, o *Options) (*Detector, error) {
	m, plan, err := readPlan(path)
	if err != nil {
		return nil, err
	}
	d := &Detector{spec: model.Spec{
		Head: m.Head, Preprocess: m.Preprocess, Names: m.Names, Thresholds: m.Thresholds,
		Inputs: m.Inputs, Outputs: m.Outputs, Precision: m.Precision,
	}}
	if o.Head.Conf != nil {
		d.spec.Thresholds.Conf = *o.Head.Conf
	}
	if o.Head.IoU != nil {
		d.spec.Thresholds.IoU = *o.Head.IoU
	}
	if d.height, d.width, err = planSize(m, o.Height, o.Width); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := d.setNMS(o); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	library, err := trt.Load(trt.Flavor(m.TensorRT.Flavor), "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if library.Version() != m.TensorRT.Version {
		return nil, fmt.Errorf("%s: it was built with %s %s, and here is %s: build it again: %s", path,
			library.Flavor().Title(), m.TensorRT.Version, library.Version(), rebuild(path))
	}
	devices := o.Device.CUDA
	if o.Device.Auto {
		devices = []int{0}
	}
	cache := runtimeCache{path: path + ".cache", log: logger(o.Log)}
	b, err := cuda.Open(plan, library, cuda.Config{
		Devices: devices, Head: m.Head, Preprocess: m.Preprocess, Height: d.height, Width: d.width,
		Slots: o.Slots, MultiLabel: o.MultiLabel, StageTimes: o.StageTimes, NoGraphs: o.NoGraphs, Cache: cache.read(), Log: logger(o.Log),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.backend = &keepsCache{b, cache}
	return d, nil
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
