package main

import (
	"math"
	"runtime"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
)

const (
	categoryRun = "The run"
	// maxBatch is the most pictures at once: a few batches are held in memory.
	maxBatch = 1024
	// manySlots is how many batches the network works on at once where there is
	// more than one picture: nobody waits for a single one, and threads that
	// work apart do not wait for each other. Each slot holds a network's memory.
	manySlots = 4
)

// deviceFlags say what a network runs on; run, eval and bench share them.
func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Category: categoryRun, Name: "device", Usage: "`DEVICE`: auto, cpu, cuda:0, cuda:0,1, or 0,1", Value: "auto"},
		&cli.StringFlag{Category: categoryRun, Name: "imgsz", Aliases: []string{"img", "img-size"}, Usage: "input `SIZE` in pixels, or HEIGHT,WIDTH",
			DefaultText: "the model's, 640 where it is dynamic"},
		&cli.IntFlag{Category: categoryRun, Name: "threads", Usage: "`N` threads on the CPU", DefaultText: "one per core"},
		&cli.StringFlag{Category: categoryRun, Name: "host-memory", Usage: "maximum memory of images that are read and computed, as `SIZE`: 512MiB, 4GiB",
			DefaultText: "a quarter of what the process may use"},
		&cli.StringFlag{Category: categoryRun, Name: "device-memory", Usage: "maximum memory of each GPU beside TensorRT's own, as `SIZE`",
			DefaultText: "what batch and slots need, and half of what is free for images"},
	}
}

// networkFlags say how a network is run; run and eval share them.
func networkFlags() []cli.Flag {
	return append(deviceFlags(),
		&cli.IntFlag{Category: categoryRun, Name: "batch", Usage: "`N` pictures at once", Value: 1},
		&cli.IntFlag{Category: categoryRun, Name: "slots", Usage: "`N` batches in the network at once, each with its share of the threads: more pictures a second, each later",
			DefaultText: "1 for one picture, up to 4 for more"},
		truncatedFlag())
}

// truncatedFlag is of every command that reads images.
func truncatedFlag() cli.Flag {
	return &cli.BoolFlag{Category: categoryRun, Name: "allow-truncated", Usage: "read JPEG files that end early as far as they go"}
}

// limits reads truncatedFlag.
func limits(c *cli.Context) imaging.Limits {
	return imaging.Limits{AllowTruncated: c.Bool("allow-truncated")}
}

// networkOptions reads networkFlags, --max-det and hints.
func networkOptions(c *cli.Context) (*engine.Options, error) {
	for flag, most := range map[string]int{"batch": maxBatch, "max-det": math.MaxInt32} {
		if n := c.Int(flag); n < 1 || n > most {
			return nil, usagef("--%s %d: want 1 to %d", flag, n, most)
		}
	}
	if n := c.Int("slots"); c.IsSet("slots") && (n < 1 || n > mostThreads()) {
		return nil, usagef("--slots %d: want 1 to %d", n, mostThreads())
	}
	o, err := deviceOptions(c)
	if err != nil {
		return nil, err
	}
	o.Batch, o.MaxDet, o.Slots = c.Int("batch"), c.Int("max-det"), c.Int("slots")
	return o, nil
}

// mostThreads bounds threads and slots. ONNX Runtime's threads spin: many more
// than cores stand in each other's way for minutes.
func mostThreads() int { return max(64, runtime.NumCPU()) }

// deviceOptions reads deviceFlags and hints.
func deviceOptions(c *cli.Context) (*engine.Options, error) {
	o := &engine.Options{Threads: c.Int("threads")}
	if n := o.Threads; c.IsSet("threads") && (n < 1 || n > mostThreads()) {
		return nil, usagef("--threads %d: want 1 to %d", n, mostThreads())
	}
	var err error
	if o.Device, err = engine.ParseDevice(c.String("device")); err != nil {
		return nil, usagef("--device: %w", err)
	}
	if o.Height, o.Width, err = parseImgSize(c.String("imgsz")); err != nil {
		return nil, err
	}
	for flag, to := range map[string]*int64{"host-memory": &o.HostMemory, "device-memory": &o.DeviceMemory} {
		if *to, err = parseSize(flag, c.String(flag)); err != nil {
			return nil, err
		}
	}
	o.Head, err = hints(c)
	return o, err
}
