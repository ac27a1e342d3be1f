// Command served measures a Detector as a server has it: callers that each hand
// in one picture at a time. It prints one JSON object for each load.
//
//	served -callers 1,8,64 -seconds 2 MODEL
//	served -rate 1000,2000 -seconds 2 MODEL     pictures arrive at random
//
// It runs on the CPU, or with -simulated on the simulated GPU, whose network
// takes SIMGPU_NETWORK_US.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
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
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "served:", err)
		os.Exit(1)
	}
}

func run() error {
	callers := flag.String("callers", "", "how many callers there are, one number or several")
	rates := flag.String("rate", "", "pictures a second that arrive, one number or several")
	seconds := flag.Float64("seconds", 2, "of each measurement")
	batch := flag.Int("batch", 8, "the most pictures of a batch")
	slots := flag.Int("slots", 2, "batches in the network at once")
	delay := flag.Duration("max-delay", 0, "how long a picture may be held for others to fill its batch")
	threads := flag.Int("threads", 2, "that the CPU computes with")
	file := flag.String("picture", "", "file of the picture that callers hand in; 32x32 black pixels where there is none")
	encoded := flag.Bool("encoded", false, "hand in the file's bytes, to be decoded")
	imgsz := flag.Int("imgsz", 64, "of the network's input")
	simulated := flag.Bool("simulated", false, "run on the simulated GPU")
	network := flag.Bool("network", false, "measure what the network alone computes, too")
	profile := flag.String("cpuprofile", "", "file to write a CPU profile to")
	flag.Parse()

	picture, err := source(*file, *encoded)
	if err != nil {
		return err
	}
	o := engine.Options{Height: *imgsz, Width: *imgsz, Batch: *batch, Slots: *slots, Threads: *threads, QueueLimit: 1 << 16, MaxDelay: *delay}
	model := flag.Arg(0)
	if *simulated {
		dir, err := os.MkdirTemp("", "served-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if model, err = simulatedPlan(model, dir, &o); err != nil {
			return err
		}
	}
	d, err := engine.Open(context.Background(), model, &o)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Warmup(context.Background()); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for _, load := range loads(*callers, *rates) {
		load.Pictures, load.Batch, load.Running = []imaging.Source{picture}, 1, d.Slots()*d.MaxBatch()
		load.Duration = time.Duration(*seconds * float64(time.Second))
		load.Warmup = load.Duration / 4
		m, err := measure(d, load)
		if err != nil {
			return err
		}
		if *network {
			if err := m.alone(d, load.Duration/4); err != nil {
				return err
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
			return err
		}
	}
	return nil
}

// source is what callers hand in.
func source(file string, encoded bool) (imaging.Source, error) {
	switch {
	case file == "":
		return imaging.NewPicture(32, 32), nil
	case encoded:
		data, err := os.ReadFile(file)
		return imaging.Encoded{Data: data}, err
	}
	return imaging.Open(file, imaging.Limits{})
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

// simulatedPlan builds the model on the simulated GPU and has the options open
// it there.
func simulatedPlan(model, dir string, o *engine.Options) (plan string, err error) {
	if err := simgpu.Use(1); err != nil {
		return "", err
	}
	plan = filepath.Join(dir, "model.engine")
	b := engine.BuildOptions{
		InProcess: true, Height: o.Height, Width: o.Width, Batch: engine.BatchRange{Min: 1, Opt: o.Batch, Max: o.Batch},
	}
	o.Height, o.Width = 0, 0
	_, err = engine.Build(context.Background(), model, plan, &b)
	return plan, err
}

// measured is one line of output; times are in seconds.
type measured struct {
	Callers           int     `json:"callers,omitempty"`
	Rate              float64 `json:"rate,omitempty"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	P50               float64 `json:"p50"`
	P99               float64 `json:"p99"`
	// CPU is what the process computed for each picture, Network what the network
	// alone needs of it.
	CPU     float64 `json:"cpu"`
	Network float64 `json:"network_cpu,omitempty"`
	// Batch is the mean number of pictures of a batch.
	Batch float64 `json:"batch"`
	// Objects are those of the picture.
	Objects int `json:"objects"`
}

func measure(d *engine.Detector, load bench.Load) (*measured, error) {
	once, err := d.Detect(context.Background(), load.Pictures[0])
	if err != nil {
		return nil, err
	}
	before, cpu := d.Stats(), cpuTime()
	r, err := bench.Run(context.Background(), d, load)
	if err != nil {
		return nil, err
	}
	after := d.Stats()
	pictures := float64(after.Answered - before.Answered)
	// warm-up counts in both, as it does the same
	return &measured{
		Callers: load.Concurrency, Rate: load.Rate, PicturesPerSecond: r.PicturesPerSecond,
		P50: r.Latency.At(0.5).Seconds(), P99: r.Latency.At(0.99).Seconds(),
		CPU: (cpuTime() - cpu).Seconds() / pictures, Batch: pictures / float64(after.Batches-before.Batches),
		Objects: len(once.Detections),
	}, nil
}

// alone measures what the network computes for a picture of a full batch: what the
// process does while nothing else runs, shared out among the runs.
func (m *measured) alone(d *engine.Detector, duration time.Duration) error {
	start, cpu := time.Now(), cpuTime()
	t, err := d.NetworkRate(context.Background(), d.MaxBatch(), duration)
	m.Network = (cpuTime() - cpu).Seconds() / (t.ImagesPerSecond * time.Since(start).Seconds())
	return err
}

// cpuTime is what this process has computed so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
