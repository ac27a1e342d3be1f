// Command gpus has several GPUs work on one stream of pictures, and says which of
// them did how much:
//
//	go run ./examples/gpus model.engine cuda:0,1 dog.jpg
//
// Pictures go to the GPU that is expected to be done first. One that is lost
// hands what it had to the others, and is tried again now and then.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("want a model, devices such as cuda:0,1, and a picture")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(model, devices, path string) error {
	device, err := engine.ParseDevice(devices)
	if err != nil {
		return err
	}
	picture, err := imaging.Open(path, imaging.Limits{})
	if err != nil {
		return err
	}
	detector, err := engine.Open(context.Background(), model, &engine.Options{Device: device, Slots: 2})
	if err != nil {
		return err
	}
	defer detector.Close()
	if err := detector.Warmup(context.Background()); err != nil {
		return err
	}
	const pictures = 200
	var cameras sync.WaitGroup
	errs := make(chan error, pictures)
	for range 8 * detector.Slots() {
		cameras.Go(func() {
			for range pictures / (8 * detector.Slots()) {
				if _, err := detector.Detect(context.Background(), picture); err != nil {
					errs <- err
				}
			}
		})
	}
	cameras.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	stats := detector.Stats()
	fmt.Printf("%d pictures in %d batches on %s\n", stats.Answered, stats.Batches, detector.Device())
	for _, d := range stats.Devices {
		fmt.Printf("%s: %d pictures\n", d.Device, d.Answered)
	}
	return nil
}
