// Command bare does with a model what trtdet cannot do without, and nothing
// else: it loads it in ONNX Runtime and runs it once, or builds it with
// TensorRT. make bench holds trtdet to it.
//
//	bare onnxruntime LIBRARY MODEL.onnx
//	bare tensorrt FOLDER MODEL.onnx
//	bare tensorrt-synced FOLDER MODEL.onnx    waits until the disk has the plan, as trtdet does
package main

import (
	"context"
	"fmt"
	"os"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/trtdet/trtdet/trt"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: bare onnxruntime|tensorrt|tensorrt-synced LIBRARY MODEL.onnx")
		os.Exit(2)
	}
	do := map[string]func(library, model string) error{"onnxruntime": run, "tensorrt": build, "tensorrt-synced": buildSynced}[os.Args[1]]
	if do == nil {
		fmt.Fprintf(os.Stderr, "bare: %s is none of onnxruntime, tensorrt, tensorrt-synced\n", os.Args[1])
		os.Exit(2)
	}
	if err := do(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

// run puts one picture of 640 x 640 black pixels through the model.
func run(library, path string) error {
	onnxruntime.SetSharedLibraryPath(library)
	if err := onnxruntime.InitializeEnvironment(); err != nil {
		return err
	}
	inputs, outputs, err := onnxruntime.GetInputOutputInfo(path)
	if err != nil {
		return err
	}
	options, err := onnxruntime.NewSessionOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(2); err != nil {
		return err
	}
	session, err := onnxruntime.NewDynamicAdvancedSession(path, names(inputs), names(outputs), options)
	if err != nil {
		return err
	}
	defer session.Destroy()
	input, err := onnxruntime.NewEmptyTensor[float32](onnxruntime.NewShape(1, 3, 640, 640))
	if err != nil {
		return err
	}
	defer input.Destroy()
	return session.Run([]onnxruntime.Value{input}, make([]onnxruntime.Value, len(outputs)))
}

func names(tensors []onnxruntime.InputOutputInfo) []string {
	list := make([]string, len(tensors))
	for i, t := range tensors {
		list[i] = t.Name
	}
	return list
}

func buildSynced(library, path string) error {
	if err := build(library, path); err != nil {
		return err
	}
	f, err := os.Open(path + ".plan")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// build makes a plan for one picture of 640 x 640 pixels and writes it beside
// the model.
func build(library, path string) error {
	l, err := trt.Load(trt.RTX, library)
	if err != nil {
		return err
	}
	defer l.Close()
	b, err := l.NewBuilder(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	n, err := b.ParseONNX(path)
	if err != nil {
		return err
	}
	defer n.Close()
	shape := []int{1, 3, 640, 640}
	profile := trt.Profile{n.Inputs()[0].Name: trt.ProfileShape{Min: shape, Opt: shape, Max: shape}}
	plan, err := b.Build(context.Background(), n, trt.BuildConfig{Profiles: []trt.Profile{profile}}, nil)
	if err != nil {
		return err
	}
	defer plan.Close()
	return os.WriteFile(path+".plan", plan.Bytes(), 0o644)
}
