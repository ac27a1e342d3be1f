// Command served measures a Detector as a server has it: callers that each hand
// in one picture at a time. It prints one JSON object for each number of callers.
//
//	served MODEL --callers 1,8,64 --seconds 2
//	served MODEL --rate 1000,2000 --seconds 2     pictures arrive at random
//
// With SIMGPU_NETWORK_US set it runs on the simulated GPU, whose network takes
// that long.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trtdet/trtdet/bench"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/tests/simgpu"
)

func main() {
	callers := flag.String("callers", "", "how many callers there are, one number or several")
	rates := flag.String("rate", "", "pictures a second that arrive, one number or several")
	seconds := flag.Float64("seconds", 2, "of each measurement")
	batch := flag.Int("batch", 8, "the most pictures of a batch")
	slots := flag.Int("slots", 2, "batches in the network at once")
	size := flag.Int("size", 32, "of the pictures")
	imgsz := flag.Int("imgsz", 64, "of the network's input")
	flag.Parse()
	err := run(flag.Arg(0), *imgsz, *size, *batch, *slots, func(d *engine.Detector, picture *imaging.Picture) error {
		for _, load := range loads(*callers, *rates) {
			load.Pictures, load.Batch = []*imaging.Picture{picture}, 1
			load.Duration = time.Duration(*seconds * float64(time.Second))
			load.Warmup = load.Duration / 4
			if err := measure(d, load); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "served:", err)
		os.Exit(1)
	}
}

// loads are closed loops of so many callers, and open loops of such rates.
func loads(callers, rates string) []bench.Load {
	var all []bench.Load
	for _, text := range strings.FieldsFunc(callers, func(r rune) bool { return r == ',' }) {
		n, _ := strconv.Atoi(text) //nolint:errcheck // 0 is refused
		all = append(all, bench.Load{Concurrency: n})
	}
	for _, text := range strings.FieldsFunc(rates, func(r rune) bool { return r == ',' }) {
		rate, _ := strconv.ParseFloat(text, 64) //nolint:errcheck // 0 is refused
		all = append(all, bench.Load{Rate: rate})
	}
	return all
}

// run opens the model, on the simulated GPU where there is one, and warms it up.
func run(model string, imgsz, size, batch, slots int, use func(*engine.Detector, *imaging.Picture) error) error {
	o := engine.Options{Height: imgsz, Width: imgsz, Batch: batch, Slots: slots, QueueLimit: 1 << 16}
	if os.Getenv("SIMGPU_NETWORK_US") != "" {
		if err := simgpu.Use(1); err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "served-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		plan := filepath.Join(dir, "model.engine")
		b := engine.BuildOptions{InProcess: true, Height: imgsz, Width: imgsz, Batch: engine.BatchRange{Min: 1, Opt: batch, Max: batch}}
		if _, err := engine.Build(context.Background(), model, plan, &b); err != nil {
			return err
		}
		model, o.Device, o.Height, o.Width = plan, engine.Device{Auto: true}, 0, 0
	}
	d, err := engine.Open(model, &o)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Warmup(context.Background()); err != nil {
		return err
	}
	return use(d, imaging.NewPicture(size, size))
}

// measured is one line of output; times are in seconds.
type measured struct {
	Callers           int     `json:"callers,omitempty"`
	Rate              float64 `json:"rate,omitempty"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	P50               float64 `json:"p50"`
	P99               float64 `json:"p99"`
	// CPU is what the process computed for each picture.
	CPU float64 `json:"cpu"`
	// Batch is the mean number of pictures of a batch.
	Batch float64 `json:"batch"`
}

func measure(d *engine.Detector, load bench.Load) error {
	before, cpu := d.Stats(), cpuTime()
	r, err := bench.Run(context.Background(), d, load)
	if err != nil {
		return err
	}
	after := d.Stats()
	pictures := float64(after.Answered - before.Answered)
	// warm-up counts in both, as it does the same
	return json.NewEncoder(os.Stdout).Encode(measured{
		Callers: load.Concurrency, Rate: load.Rate, PicturesPerSecond: r.PicturesPerSecond,
		P50: r.Latency.At(0.5).Seconds(), P99: r.Latency.At(0.99).Seconds(),
		CPU: (cpuTime() - cpu).Seconds() / pictures, Batch: pictures / float64(after.Batches-before.Batches),
	})
}

// cpuTime is what this process has computed so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
