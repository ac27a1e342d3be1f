// Command video finds the objects in the frames that ffmpeg pipes to it:
//
//	ffmpeg -loglevel error -i street.mp4 -f rawvideo -pix_fmt bgr24 - | go run ./examples/video model.engine 1920x1080
//
// Frames are handed in while those before them are computed, and come out in
// their order. A live source that must not fall behind would drop frames
// instead of waiting: see the comment at the channel.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

func main() {
	var width, height int
	if len(os.Args) != 3 {
		log.Fatal("want a model and the frames' size, such as 1920x1080")
	}
	if _, err := fmt.Sscanf(os.Args[2], "%dx%d", &width, &height); err != nil || width < 1 || height < 1 {
		log.Fatalf("%s is no size, want one such as 1920x1080", os.Args[2])
	}
	if err := run(os.Args[1], os.Stdin, width, height); err != nil {
		log.Fatal(err)
	}
}

// frame is one on its way: its memory is used again when its answer is there.
type frame struct {
	picture *imaging.Raw
	answer  <-chan engine.Answer
}

func run(model string, video io.Reader, width, height int) error {
	detector, err := engine.Open(context.Background(), model, nil)
	if err != nil {
		return err
	}
	defer detector.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	// as many frames are under way as the detector computes, and one batch more
	room := detector.MaxBatch() * (detector.Slots() + 1)
	free, underWay := make(chan *imaging.Raw, room), make(chan frame, room)
	for range room {
		free <- &imaging.Raw{Width: width, Height: height, Pix: make([]byte, 3*width*height), Order: decode.BGR}
	}
	ended := make(chan error, 1)
	go func() {
		defer close(underWay)
		input := bufio.NewReaderSize(video, 1<<20)
		for picture := range free { // a live source would read on, and drop the frame, where none is free
			if _, err := io.ReadFull(input, picture.Pix); err != nil {
				ended <- err
				return
			}
			underWay <- frame{picture, detector.Submit(ctx, picture)}
		}
	}()
	for n := 0; ; n++ {
		f, more := <-underWay
		if !more {
			break
		}
		answer := <-f.answer
		if answer.Err != nil {
			return fmt.Errorf("frame %d: %w", n, answer.Err)
		}
		free <- f.picture
		fmt.Printf("frame %d:", n)
		for _, d := range answer.Result.Detections {
			fmt.Printf(" %s %.2f", d.Class, d.Score)
		}
		fmt.Println()
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the video: %w: is %dx%d its size?", err, width, height)
	}
	return nil
}
