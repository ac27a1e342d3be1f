package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

func Example() {
	detector, err := engine.Open(context.Background(), "../models/emoji/decoupled-base.onnx", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer detector.Close()
	picture, err := imaging.Open("../models/emoji/images/meadow.jpg", imaging.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	result, err := detector.Detect(context.Background(), picture)
	if err != nil {
		log.Fatal(err)
	}
	best := result.Detections[0]
	fmt.Printf("%s in a picture of %dx%d\n", best.Class, picture.Width, picture.Height)
	// Output: car in a picture of 960x640
}

// A program that builds engines starts itself as the process that TensorRT runs
// in: main looks for that first.
func ExampleBuildChild() {
	const child = "build-child" // an argument that nobody would type
	if len(os.Args) == 2 && os.Args[1] == child {
		os.Exit(engine.BuildChild())
	}
	program, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	manifest, err := engine.Build(context.Background(), "model.onnx", "model.engine", &engine.BuildOptions{
		Child: []string{program, child}, Half: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("an engine of", manifest.Plan.Bytes, "bytes")
}
