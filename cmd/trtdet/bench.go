package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/bench"
	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/pipeline"
	"github.com/trtdet/trtdet/report"
)

const (
	categoryLoad = "The load: each combination is measured"
	// mostBenched is how many pictures are held in memory.
	mostBenched = 64
	// sampleInterval is how often NVML is asked; it answers for the last 100 ms or more.
	sampleInterval = 100 * time.Millisecond
	// fewestCalls is how many have to be measured for figures to mean something.
	fewestCalls = 20
	// singlyBatch is the default of --batch with --singly.
	singlyBatch = 8
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure how many pictures a second a model takes, and how long they wait",
		ArgsUsage: "MODEL",
		Description: "Each combination of --batch, --slots, --graphs, --max-delay and --concurrency or --rate is measured for\n" +
			"--duration, beside what the network alone does on the same slots. Calls that wait in the queue at its end are\n" +
			"canceled. Without --rate, --concurrency callers each wait for their answer before they hand in the next batch;\n" +
			"with it batches arrive at random, so many pictures a second, whether or not the model keeps up. With --singly\n" +
			"callers hand in one picture at a time, as those of a server do, and what waits shares batches. Pictures are in\n" +
			"memory already, as pixels or, with --encoded, as the files that they were; reading from the disk is not\n" +
			"measured. What was measured before an error or Ctrl+C is printed. docs/library.md says how to read the tables.\n\n" +
			"Examples:\n" +
			"  trtdet bench best.engine --batch 1,8,32 --slots 1,2 --graphs on,off\n" +
			"  trtdet bench best.engine --batch 8 --rate 500,1000,2000 --duration 30s\n" +
			"  trtdet bench best.engine --batch 8 --singly --concurrency 1,8,64,256 --max-delay 0s,1500us\n" +
			"  trtdet bench best.engine --batch 8 --singly --concurrency 64 --encoded --pictures photographs/\n" +
			"  trtdet bench best.onnx --pictures photographs/ --format json > bench.json",
		Flags: slices.Concat(deviceFlags(), []cli.Flag{
			&cli.StringFlag{Category: categoryLoad, Name: "batch", Usage: "pictures at once, as `LIST`: 1,8,32", DefaultText: "1, with --singly 8"},
			&cli.StringFlag{Category: categoryLoad, Name: "slots", Usage: "batches in the network at once, as `LIST`: 1,2,4", DefaultText: "2 of each GPU, 1 on the CPU"},
			&cli.StringFlag{Category: categoryLoad, Name: "graphs", Usage: "whether a GPU gets a batch as one CUDA graph, as `LIST`: on, off or on,off", Value: "on"},
			&cli.StringFlag{Category: categoryLoad, Name: "concurrency", Usage: "callers in a closed loop, as `LIST`: 1,8,64", DefaultText: "two batches for each slot"},
			&cli.StringFlag{Category: categoryLoad, Name: "rate", Usage: "pictures a second that arrive in an open loop, as `LIST`", DefaultText: "a closed loop"},
			&cli.BoolFlag{Category: categoryLoad, Name: "singly", Usage: "callers hand in one picture at a time, and share batches"},
			&cli.StringFlag{Category: categoryLoad, Name: "max-delay", Usage: "how long pictures are held for others to fill their batch, as `LIST`: 0s,500us", Value: "0s"},
			&cli.DurationFlag{Category: categoryLoad, Name: "duration", Usage: "`TIME` of each measurement", Value: 5 * time.Second},
			&cli.DurationFlag{Category: categoryLoad, Name: "warmup", Usage: "`TIME` before each", Value: time.Second},
			&cli.StringFlag{Category: categoryLoad, Name: "pictures", Usage: "`PICTURES` to detect in: a file, folder or pattern; the first 64",
				DefaultText: "8 of 1280x720, made of noise"},
			&cli.BoolFlag{Category: categoryLoad, Name: "encoded", Usage: "hand in --pictures as they are in their files, JPEG and so on, to be decoded"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT`: table, json or md", Value: "table"},
			truncatedFlag(),
		}, thresholdFlags(), headFlags()),
		Action: benchmark,
	}
}

// loads are what bench's flags ask for.
type loads struct {
	batches, slots   []int
	graphs           []bool
	anyBatch         bool // batches is what nobody asked for
	delays           []time.Duration
	demands          []bench.Load // each a Concurrency, where 0 is two batches for each slot, or a Rate
	singly           bool
	warmup, duration time.Duration
	pictures         []imaging.Source
	picturesInWords  string
	console          *console
}

func benchmark(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("bench: want one MODEL, got %d arguments; see trtdet bench --help", c.NArg())
	}
	if !slices.Contains(report.BenchmarkFormats, c.String("format")) {
		return usagef("--format %s: want %s", c.String("format"), strings.Join(report.BenchmarkFormats, ", "))
	}
	l, err := parseLoads(c)
	if err != nil {
		return err
	}
	options, err := deviceOptions(c)
	if err != nil {
		return err
	}
	if err := l.read(c.String("pictures"), c.Bool("encoded"), limits(c)); err != nil {
		return err
	}
	r := &report.Benchmark{
		Model: c.Args().First(), Threads: cmp.Or(options.Threads, runtime.GOMAXPROCS(0)), Pictures: l.picturesInWords, Singly: l.singly,
		JPEG: jpegDecoder(), Encoded: c.Bool("encoded"),
	}
	err = l.measureAll(c.Context, r, options)
	l.console.show("")
	if len(r.Runs) == 0 {
		return err
	}
	// what was measured is not lost with what was not
	if unwritten := r.Write(c.String("format"), c.App.Writer); err == nil {
		err = unwritten
	}
	return err
}

// measureAll measures each load on the model opened in each way, up to the first
// that fails; r.Missing are that one and those behind it.
func (l *loads) measureAll(ctx context.Context, r *report.Benchmark, options *engine.Options) error {
	var failed error
	for _, o := range l.ways(options) {
		if r.Device == "cpu" && o.NoGraphs == l.graphs[0] {
			continue // it has no graphs: this is an earlier one again
		}
		before := len(r.Runs)
		if failed == nil {
			failed = l.measureModel(ctx, r, o)
		}
		if failed != nil {
			for _, demand := range l.demands[len(r.Runs)-before:] {
				r.Missing = append(r.Missing, loadName(newRun(r, o, demand)))
			}
		}
	}
	return failed
}

// ways are the options that the model is opened with.
func (l *loads) ways(options *engine.Options) []engine.Options {
	var ways []engine.Options
	for _, slots := range l.slots {
		for _, graphs := range l.graphs {
			for _, batch := range l.batches {
				for _, delay := range l.delays {
					o := *options
					o.Slots, o.NoGraphs, o.MaxDelay = slots, !graphs, delay
					o.Batch = batch // calls of as many do not share one
					o.QueueLimit = bench.MaxWaiting * batch
					ways = append(ways, o)
				}
			}
		}
	}
	return ways
}

func parseLoads(c *cli.Context) (*loads, error) {
	l := &loads{
		singly: c.Bool("singly"), warmup: c.Duration("warmup"), duration: c.Duration("duration"), console: c.App.ErrWriter.(*console),
	}
	if c.Bool("encoded") && !c.IsSet("pictures") {
		return nil, usagef("--encoded takes the files of --pictures: say which")
	}
	if c.IsSet("concurrency") && c.IsSet("rate") {
		return nil, usagef("--concurrency is of a closed loop, --rate of an open one: say one of them")
	}
	if l.duration <= 0 || l.warmup < 0 {
		return nil, usagef("--duration %s, --warmup %s: want times such as 5s", l.duration, l.warmup)
	}
	var err error
	l.batches = []int{1}
	if l.singly {
		l.batches[0] = singlyBatch
	}
	if l.anyBatch = !c.IsSet("batch"); !l.anyBatch {
		if l.batches, err = parseCounts("batch", c.String("batch"), maxBatch); err != nil {
			return nil, err
		}
	}
	for word := range strings.SplitSeq(c.String("max-delay"), ",") {
		delay, err := time.ParseDuration(strings.TrimSpace(word))
		if err != nil || delay < 0 {
			return nil, usagef("--max-delay %s: want times such as 300us or 0s,1ms", c.String("max-delay"))
		}
		l.delays = append(l.delays, delay)
	}
	l.slots = []int{0}
	if c.IsSet("slots") {
		if l.slots, err = parseCounts("slots", c.String("slots"), mostThreads()); err != nil {
			return nil, err
		}
	}
	for _, word := range strings.Split(c.String("graphs"), ",") {
		if word != "on" && word != "off" {
			return nil, usagef("--graphs %s: want on, off or on,off", c.String("graphs"))
		}
		l.graphs = append(l.graphs, word == "on")
	}
	if c.IsSet("rate") {
		for _, word := range strings.Split(c.String("rate"), ",") {
			rate, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
			if err != nil || !(rate > 0 && rate <= 1e6) {
				return nil, usagef("--rate %s: want pictures a second such as 100 or 100,200", c.String("rate"))
			}
			l.demands = append(l.demands, bench.Load{Rate: rate})
		}
		return l, nil
	}
	callers := []int{0}
	if c.IsSet("concurrency") {
		if callers, err = parseCounts("concurrency", c.String("concurrency"), bench.MaxWaiting); err != nil {
			return nil, err
		}
	}
	for _, n := range callers {
		l.demands = append(l.demands, bench.Load{Concurrency: n})
	}
	return l, nil
}

// parseCounts reads "1,8,32".
func parseCounts(flag, text string, most int) ([]int, error) {
	var counts []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > most {
			return nil, usagef("--%s %s: want numbers from 1 to %d such as 1,8", flag, text, most)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// read gets the pictures into memory.
func (l *loads) read(source string, encoded bool, limits imaging.Limits) error {
	if source == "" {
		rng := rand.New(rand.NewPCG(1, 1))
		for range 8 {
			p := &imaging.Picture{Width: 1280, Height: 720, Pix: make([]byte, 3*1280*720)}
			for i := range p.Pix {
				p.Pix[i] = byte(rng.Uint32())
			}
			l.pictures = append(l.pictures, p)
		}
		l.picturesInWords = "pictures of 1280x720 made of noise"
		return nil
	}
	read := func(path string) (imaging.Source, error) { return imaging.Open(path, limits) }
	if encoded {
		read = func(path string) (imaging.Source, error) { return readEncoded(path, limits) }
	}
	var err error
	if l.pictures, err = readFirst(source, mostBenched, read); err != nil {
		return fmt.Errorf("--pictures: %w", err)
	}
	l.picturesInWords = fmt.Sprintf("%s of %s", count(len(l.pictures), "picture"), source)
	return nil
}

// jpegDecoder names what reads JPEG files.
func jpegDecoder() string {
	library, err := imaging.TurboJPEG()
	if err != nil {
		return "Go"
	}
	return "libjpeg-turbo (" + library + ")"
}

// readFirst reads the first few pictures of a source.
func readFirst[T any](source string, most int, read func(path string) (T, error)) ([]T, error) {
	var pictures []T
	for path, err := range pipeline.Sources([]string{source}, nil) {
		if err != nil {
			return nil, err
		}
		p, err := read(path)
		if err != nil {
			return nil, err
		}
		if pictures = append(pictures, p); len(pictures) == most {
			break
		}
	}
	if len(pictures) == 0 {
		return nil, fmt.Errorf("there are no pictures in %s", source)
	}
	return pictures, nil
}

// readEncoded returns a file as it is, once it is known to be a picture.
func readEncoded(path string, limits imaging.Limits) (imaging.Encoded, error) {
	if _, err := imaging.Open(path, limits); err != nil {
		return imaging.Encoded{}, err
	}
	data, err := os.ReadFile(path)
	return imaging.Encoded{Data: data, Limits: limits}, err
}

// measureModel opens the model one way and measures each rate on it.
func (l *loads) measureModel(ctx context.Context, r *report.Benchmark, o engine.Options) error {
	d, err := engine.Open(ctx, r.Model, &o)
	if err != nil {
		return err
	}
	defer d.Close()
	r.Device = d.Device()
	r.Height, r.Width = d.InputSize()
	timed := d
	if r.Device != "cpu" { // its stages are timed apart, for the events cost time themselves
		o.StageTimes = true
		if timed, err = engine.Open(ctx, r.Model, &o); err != nil {
			return err
		}
		defer timed.Close()
	}
	most := d.MaxBatch()
	if l.anyBatch {
		o.Batch = min(o.Batch, most)
	}
	if o.Batch > most {
		return usagef("--batch %d: the model takes %s at most", o.Batch, count(most, "picture"))
	}
	load := bench.Load{Pictures: l.pictures, Batch: o.Batch, Running: d.Slots(), Warmup: l.warmup, Duration: l.duration}
	if l.singly {
		load.Batch, load.Running = 1, load.Running*o.Batch
	}
	callers := 2 * load.Running
	for _, demand := range l.demands {
		load.Rate, load.Concurrency = demand.Rate, demand.Concurrency
		if load.Rate == 0 {
			load.Concurrency = cmp.Or(load.Concurrency, callers)
		}
		run := newRun(r, o, load)
		run.Slots = d.Slots()
		if err := l.measure(ctx, d, timed, load, run); err != nil {
			return err
		}
		run.SetMemory(d.Stats())
		r.Runs = append(r.Runs, *run)
	}
	return nil
}

// newRun is a load on a model that is opened in one way. What nobody asked for is
// 0.
func newRun(r *report.Benchmark, o engine.Options, load bench.Load) *report.BenchmarkRun {
	run := &report.BenchmarkRun{
		Batch: o.Batch, Slots: o.Slots, Rate: load.Rate, Concurrency: load.Concurrency,
		MaxDelay: float64(o.MaxDelay) / float64(time.Millisecond),
	}
	if r.Device != "cpu" {
		graphs := !o.NoGraphs
		run.Graphs = &graphs
	}
	return run
}

// loadName is a run in the words of bench's flags.
func loadName(run *report.BenchmarkRun) string {
	name := fmt.Sprintf("batch %d", run.Batch)
	if run.Slots > 0 {
		name += fmt.Sprintf(", slots %d", run.Slots)
	}
	if run.Concurrency > 0 {
		name += ", " + count(run.Concurrency, "caller")
	}
	if run.Graphs != nil {
		name += map[bool]string{true: ", graphs", false: ", no graphs"}[*run.Graphs]
	}
	if run.Rate > 0 {
		name += fmt.Sprintf(", %g/s", run.Rate)
	}
	if run.MaxDelay > 0 {
		name += fmt.Sprintf(", held %g ms", run.MaxDelay)
	}
	return name
}

// measure puts one load on a model. The network's own rate is measured before
// and after, so that a machine which slows down does so for both.
func (l *loads) measure(ctx context.Context, d, timed *engine.Detector, load bench.Load, run *report.BenchmarkRun) error {
	what := loadName(run)
	l.say(what)
	before, err := d.NetworkRate(ctx, run.Batch, load.Duration/4)
	if err != nil {
		return err
	}
	sampled := d.SampleGPUs(sampleInterval)
	result, err := bench.Run(ctx, d, load)
	run.GPUs = sampled()
	if err != nil {
		return err
	}
	after, err := d.NetworkRate(ctx, run.Batch, load.Duration/4)
	if err != nil {
		return err
	}
	run.Set(result, before, after)
	if result.Calls < fewestCalls {
		fmt.Fprintf(l.console, "trtdet: warning: %s: %s in %s are too few to tell much: a longer --duration has more\n", what, count(result.Calls, "call"), load.Duration)
	}
	if timed == d {
		return nil
	}
	load.Warmup, load.Duration = load.Warmup/2, load.Duration/4
	if result, err = bench.Run(ctx, timed, load); err != nil {
		return err
	}
	run.SetStages(result.Stages)
	return nil
}

// say shows what is being measured.
func (l *loads) say(what string) {
	if l.console.terminal {
		l.console.show("measuring " + what)
	} else {
		fmt.Fprintln(l.console, "measuring "+what)
	}
}
