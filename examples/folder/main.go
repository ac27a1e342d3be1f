// Command folder finds the objects in a folder's pictures, as fast as files can
// be read and the network computes, and prints a line for each in their order:
//
//	go run ./examples/folder model.engine pictures/
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/pipeline"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("want a model and a folder")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(model, folder string) error {
	detector, err := engine.Open(context.Background(), model, nil)
	if err != nil {
		return err
	}
	defer detector.Close()
	return pipeline.Run(context.Background(), detector, pipeline.Sources([]string{folder}, nil), pipeline.Options{
		Batch: detector.MaxBatch(),
		Emit: func(item *pipeline.Item) error {
			if item.Err != nil {
				log.Print(item.Err) // one picture; the others go on
				return nil
			}
			for _, d := range item.Result.Detections {
				fmt.Printf("%s\t%s\t%.2f\t%.0f,%.0f,%.0f,%.0f\n", item.Source, d.Class, d.Score, d.Box.X1, d.Box.Y1, d.Box.X2, d.Box.Y2)
			}
			return nil
		},
	})
}
