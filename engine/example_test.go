package engine_test

import (
	"context"
	"fmt"
	"log"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

func Example() {
	detector, err := engine.Open("../models/emoji/decoupled-base.onnx", nil)
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
