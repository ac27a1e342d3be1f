package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// What a Detector is measured as a server's with.
const (
	servedBatch   = 8
	servedThreads = 2
	servedCallers = 64
	simulatedTime = time.Millisecond // of a batch on the simulated GPU
	servedSize    = "64"             // of a network's input and of the picture
)

var servingSuites = []suite{
	{
		name: "serve-simulated", measure: measureSimulated,
		rows: []row{
			{"64 callers, simulated GPU with a network of 1 ms a batch of 8, against the ideal", "64 rate", "ideal", more, "0.97 or more"},
			{"p99 of 64 callers on that simulated GPU against 3 batches", "64 p99", "three", faster, "1 or more, which [cannot be](#under-load)"},
			{"p99 of 16 callers on that simulated GPU against 3 batches", "16 p99", "three", faster, ""},
			{"one caller's answer on that simulated GPU against a batch", "1 p50", "one", onTop, "+60 us or less"},
		},
	},
	plainSuite("yolov5s", (*bench).yolov5s, 640, 5), plainSuite("the small net", (*bench).small, 640, 2),
	batcherSuite(stubNet, "2 or more", "1 or more", "5 or more"), batcherSuite(smallNet, "", "", ""),
	tritonSuite(stubNet, "2 or more", "1 or more", "5 or more"), tritonSuite(smallNet, "", "", ""),
	{name: "curve-simulated", table: func(b *bench) error {
		const title, rates = "A simulated GPU whose network takes 1 ms for a batch of up to 8", "1000,2000,4000,6000,7000,7500"
		return errors.Join(
			printCurve(title, func(load ...string) program { return b.simulated(load...) }, rates),
			printCurve(title+", with a MaxDelay of 1.5 ms", func(load ...string) program { return b.simulated(append(load, "-max-delay", "1500us")...) }, rates))
	}},
	{name: "curve-small-net", table: func(b *bench) error {
		return printCurve("The small net at 256x256 on the CPU, 2 slots of a thread, batches of up to 8", func(load ...string) program {
			return b.served(b.small(), append(load, "-imgsz", "256", "-slots", strconv.Itoa(servedThreads), "-picture", b.pictures(1)[0])...)
		}, "50,100,200,300")
	}},
}

// printCurve has one caller to 256, and pictures arrive at rates.
func printCurve(title string, served func(load ...string) program, rates string) error {
	fmt.Printf("\n%s:\n\n| load | pictures a second | p50 | p99 | pictures of a batch | computed for a picture |\n|---|---|---|---|---|---|\n", title)
	for _, load := range [][]string{{"-callers", "1,2,4,8,16,32,64,128,256"}, {"-rate", rates}} {
		all, err := loads(served(load...))
		if err != nil {
			return err
		}
		for _, a := range all {
			words := fmt.Sprintf("%d callers", a.Callers)
			switch {
			case a.Rate > 0:
				words = fmt.Sprintf("%g/s arrive", a.Rate)
			case a.Callers == 1:
				words = "1 caller"
			}
			fmt.Printf("| %s | %.0f | %.2f ms | %.2f ms | %.1f | %.0f us |\n", words, a.PicturesPerSecond, a.P50*1e3, a.P99*1e3, a.Batch, a.CPU*1e6)
		}
	}
	return nil
}

// servedNet is a net that servers run, at servedSize.
type servedNet struct {
	name, words string
	path        func(*bench) string
	conf        string // its own threshold
}

var (
	stubNet  = servedNet{"stub", "a net of three convolutions", (*bench).stub, "0.25"}
	smallNet = servedNet{"small", "the small net", (*bench).small, "0.5"}
)

func batcherSuite(n servedNet, rate, p99, own string) suite {
	return suite{
		name: "serve-batcher-" + n.name, measure: func(b *bench, _ any) (figures, error) { return b.measureBatcher(n) },
		rows: []row{
			{"64 callers, " + n.words + " at 64x64 on the CPU, against an asyncio batcher in Python", "rate", "batcher rate", more, rate},
			{"p99 of 64 callers, " + n.words + ", against the asyncio batcher", "p99", "batcher p99", faster, p99},
			{"computed for a picture beside the network, " + n.words + ", against the asyncio batcher", "own", "batcher own", faster, own},
		},
	}
}

func tritonSuite(n servedNet, rate, p99, own string) suite {
	return suite{
		name: "serve-triton-" + n.name, prepare: func(b *bench) (any, func(), error) { return b.prepareTriton(n) },
		measure: func(b *bench, both any) (figures, error) { return b.measureTriton(n, both.(*bothServers)) },
		rows: []row{
			{"64 callers with JPEGs, " + n.words + ": `Detect` in the program against Triton's python backend over HTTP", "rate", "triton rate", more, rate},
			{"p99 of `Detect` in the program, " + n.words + ", against Triton", "p99", "triton p99", faster, p99},
			{"computed for a picture beside the network: `Detect` in the program, " + n.words + ", against Triton", "own", "triton own", faster, own},
			{"64 callers with JPEGs, " + n.words + ": examples/server over HTTP against Triton's python backend", "http rate", "triton rate", more, ""},
			{"p99 of examples/server, " + n.words + ", against Triton", "http p99", "triton p99", faster, ""},
			{"computed for a picture beside the network: examples/server, " + n.words + ", against Triton", "http own", "triton own", faster, ""},
		},
	}
}

// plainSuite holds Detect, called by 8 goroutines, to loops over ONNX Runtime.
func plainSuite(name string, model func(*bench) string, imgsz int, seconds float64) suite {
	return suite{
		name: "detect-" + strings.ReplaceAll(strings.TrimPrefix(name, "the "), " ", "-"),
		measure: func(b *bench, _ any) (figures, error) {
			return b.measurePlain(model(b), imgsz, seconds)
		},
		rows: []row{
			{"`Detect` from 8 goroutines, " + name + " on 1080p pictures, against the best plain loop over ONNX Runtime", "rate", "loop", more, "1 or more"},
			{"`Detect` from 8 goroutines, " + name + " on 1080p pictures, against two such loops at once, one thread each", "rate", "two loops", more, ""},
		},
	}
}

// answered is what tests/bench/served and batcher.py print of one load.
type answered struct {
	Callers           int     `json:"callers"`
	Rate              float64 `json:"rate"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	P50               float64 `json:"p50"`
	P99               float64 `json:"p99"`
	CPU               float64 `json:"cpu"`
	Network           float64 `json:"network_cpu"`
	Batch             float64 `json:"batch"`
	Objects           int     `json:"objects"`
}

// loads runs a program that prints a line for each load.
func loads(p program) ([]answered, error) {
	out, err := p.output()
	if err != nil {
		return nil, err
	}
	var all []answered
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var a answered
		switch err := d.Decode(&a); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, a)
	}
}

// ours is a program of ours that runs a Detector.
func (b *bench) ours(name string, arguments ...string) program {
	c := b.command(b.programs(name), arguments...)
	c.Env = append(os.Environ(), "TRTDET_ONNXRUNTIME="+b.onnxruntime())
	return program{c}
}

// served runs tests/bench/served on the CPU.
func (b *bench) served(model string, arguments ...string) program {
	return b.ours("served", append(arguments, model)...)
}

// simulated runs it on the simulated GPU, whose network takes simulatedTime.
func (b *bench) simulated(arguments ...string) program {
	p := b.served(b.small(), append([]string{"-simulated", "-batch", strconv.Itoa(servedBatch)}, arguments...)...)
	p.Env = append(p.Env, fmt.Sprint("SIMGPU_NETWORK_US=", simulatedTime.Microseconds()))
	return p
}

func measureSimulated(b *bench, _ any) (figures, error) {
	all, err := loads(b.simulated("-callers", "1,16,64"))
	if err != nil {
		return nil, err
	}
	f := figures{
		"one": simulatedTime.Seconds(), "three": 3 * simulatedTime.Seconds(), "ideal": servedBatch / simulatedTime.Seconds(),
	}
	for _, a := range all {
		f[fmt.Sprint(a.Callers, " rate")] = a.PicturesPerSecond
		f[fmt.Sprint(a.Callers, " p50")] = a.P50
		f[fmt.Sprint(a.Callers, " p99")] = a.P99
	}
	return f, nil
}

func (b *bench) measurePlain(model string, imgsz int, seconds float64) (figures, error) {
	each := []string{"-imgsz", strconv.Itoa(imgsz), "-seconds", fmt.Sprint(seconds)}
	picture := b.pictures(1)[0]
	all, err := loads(b.served(model, append(each, "-callers", "8", "-batch", "1", "-slots", strconv.Itoa(servedThreads), "-picture", picture)...))
	if err != nil {
		return nil, err
	}
	f := figures{"rate": all[0].PicturesPerSecond}
	for _, way := range []struct {
		name                  string
		loops, threads, batch int
	}{{"loop", 1, servedThreads, 1}, {"loop", 1, servedThreads, servedBatch}, {"two loops", servedThreads, 1, 1}} {
		out, err := program{b.command(b.programs("plain"), append(each, "-loops", strconv.Itoa(way.loops), "-threads", strconv.Itoa(way.threads),
			"-batch", strconv.Itoa(way.batch), b.onnxruntime(), model, picture)...)}.output()
		if err != nil {
			return nil, err
		}
		rate, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
		if err != nil {
			return nil, err
		}
		f[way.name] = max(f[way.name], rate)
	}
	return f, nil
}

// servedAlone measures a net with one picture from 64 callers.
func (b *bench) servedAlone(n servedNet, more ...string) (answered, error) {
	all, err := loads(b.served(n.path(b), append(more, "-callers", strconv.Itoa(servedCallers), "-imgsz", servedSize, "-batch", strconv.Itoa(servedBatch),
		"-slots", strconv.Itoa(servedThreads), "-picture", b.smallPicture(), "-network")...))
	if err != nil {
		return answered{}, err
	}
	return all[0], nil
}

func (b *bench) measureBatcher(n servedNet) (figures, error) {
	ours, err := b.servedAlone(n)
	if err != nil {
		return nil, err
	}
	all, err := loads(program{b.pythonScript("batcher.py", n.path(b), b.smallPicture(), "--size", servedSize, "--conf", n.conf,
		"--batch", strconv.Itoa(servedBatch), "--workers", strconv.Itoa(servedThreads), "--callers", strconv.Itoa(servedCallers))})
	if err != nil {
		return nil, err
	}
	theirs := all[0]
	if ours.Objects != theirs.Objects || ours.Objects == 0 {
		return nil, fmt.Errorf("ours has %d objects in %s, theirs %d: that is not the same work", ours.Objects, b.smallPicture(), theirs.Objects)
	}
	return figures{
		"rate": ours.PicturesPerSecond, "batcher rate": theirs.PicturesPerSecond, "p99": ours.P99, "batcher p99": theirs.P99,
		"own": ours.CPU - ours.Network, "batcher own": theirs.CPU - ours.Network,
	}, nil
}
