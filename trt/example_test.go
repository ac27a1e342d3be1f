package trt_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/trtdet/trtdet/trt"
)

// A plan for pictures of 640x640, one to eight at a time.
func ExampleBuilder_Build() {
	library, err := trt.Load(trt.Auto, "")
	if err != nil {
		log.Fatal(err)
	}
	defer library.Close()
	builder, err := library.NewBuilder(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer builder.Close()
	network, err := builder.ParseONNX("model.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer network.Close()
	plan, err := builder.Build(context.Background(), network, trt.BuildConfig{
		Profiles: []trt.Profile{{
			"images": {Min: []int{1, 3, 640, 640}, Opt: []int{4, 3, 640, 640}, Max: []int{8, 3, 640, 640}},
		}},
	}, func(p trt.Progress) { fmt.Println(p.Elapsed, p.Phase) })
	if err != nil {
		log.Fatal(err)
	}
	defer plan.Close()
	if err := os.WriteFile("model.engine", plan.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}

func ExampleParseComputeCapability() {
	for _, name := range []string{"sm_75", "8.9", "120"} {
		c, err := trt.ParseComputeCapability(name)
		fmt.Println(c, c.Target(), err)
	}
	// Output:
	// 7.5 sm_75 <nil>
	// 8.9 sm_89 <nil>
	// 12.0 sm_120 <nil>
}
