package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	pretty "github.com/jedib0t/go-pretty/v6/table"

	"github.com/trtdet/trtdet/bench"
	"github.com/trtdet/trtdet/engine"
)

// BenchmarkFormats are those of a benchmark.
var BenchmarkFormats = []string{"table", "json", "md"}

// Benchmark is what `bench` reports. Its JSON is the format's.
type Benchmark struct {
	Model   string `json:"model"`
	Device  string `json:"device"`
	Height  int    `json:"height"` // of the network's input
	Width   int    `json:"width"`
	Threads int    `json:"threads"` // of the CPU
	// Pictures says what was detected in.
	Pictures string `json:"pictures"`
	// Singly says that each call was about one picture, and that pictures of several
	// shared batches; otherwise each was about a whole batch.
	Singly bool `json:"singly"`
	// MaxDelay is how long pictures may have been held for others, in milliseconds.
	MaxDelay float64        `json:"max_delay_ms"`
	Runs     []BenchmarkRun `json:"runs"`
}

// BenchmarkRun is one load that was measured.
type BenchmarkRun struct {
	Batch int `json:"batch"`
	Slots int `json:"slots"`
	// Graphs says whether work went to a GPU as CUDA graphs; nil on the CPU.
	Graphs *bool `json:"graphs,omitempty"`
	// Concurrency is how many callers a closed loop had, Rate how many pictures
	// a second arrived in an open one.
	Concurrency int     `json:"concurrency,omitempty"`
	Rate        float64 `json:"rate,omitempty"`

	Batches           int     `json:"batches"`
	Refused           int     `json:"refused"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	// Limit is what the network alone does on the same slots, Share what part of
	// it was reached.
	Limit   float64          `json:"limit_pictures_per_second"`
	Share   float64          `json:"share_of_limit"`
	Latency BenchmarkLatency `json:"latency_ms"`
	Stages  BenchmarkStages  `json:"stages_ms"`
	// GPUs is how busy each was; empty on the CPU and without NVML.
	GPUs []engine.GPUUse `json:"gpus,omitempty"`
}

// BenchmarkLatency is how long callers waited for their answers, in milliseconds.
type BenchmarkLatency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
}

// BenchmarkStages is the mean time of a batch in each stage, in milliseconds.
type BenchmarkStages struct {
	Queue     float64 `json:"queue"`
	CopyIn    float64 `json:"copy_in"`
	Letterbox float64 `json:"letterbox"`
	Network   float64 `json:"network"`
	Decode    float64 `json:"decode"`
	CopyOut   float64 `json:"copy_out"`
	NMS       float64 `json:"nms"`
}

// Set takes what was measured, and the network's own rate beside it.
func (r *BenchmarkRun) Set(m *bench.Result, limit float64) {
	r.Batches, r.Refused, r.PicturesPerSecond, r.Limit = m.Batches, m.Refused, m.PicturesPerSecond, limit
	if limit > 0 {
		r.Share = m.PicturesPerSecond / limit
	}
	at := func(q float64) float64 { return milliseconds(m.Latency.At(q)) }
	r.Latency = BenchmarkLatency{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999)}
	r.SetStages(m.Stages)
}

// SetStages takes the times of the stages, which may be measured by themselves.
func (r *BenchmarkRun) SetStages(t engine.Timing) {
	r.Stages = BenchmarkStages{
		Queue: milliseconds(t.Queue), CopyIn: milliseconds(t.CopyIn), Letterbox: milliseconds(t.Letterbox), Network: milliseconds(t.Network),
		Decode: milliseconds(t.Decode), CopyOut: milliseconds(t.CopyOut), NMS: milliseconds(t.NMS),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Write writes the benchmark in one of BenchmarkFormats.
func (b *Benchmark) Write(format string, w io.Writer) error {
	var err error
	switch format {
	case "json":
		return writeJSON(w, b)
	case "md":
		_, err = fmt.Fprintf(w, "%s\n\n%s\n\n%s\n", b.about(), b.rates().RenderMarkdown(), b.stages().RenderMarkdown())
	case "table":
		_, err = fmt.Fprintf(w, "%s\n\n%s\n\nLimit is the network alone. Milliseconds of a batch, mean:\n\n%s\n", b.about(), b.rates().Render(), b.stages().Render())
	default:
		return fmt.Errorf("format %q is none of %s", format, strings.Join(BenchmarkFormats, ", "))
	}
	return err
}

func (b *Benchmark) about() string {
	about := fmt.Sprintf("%s on %s, input %dx%d, %s", Printable(b.Model), b.Device, b.Width, b.Height, b.Pictures)
	if b.Device == "cpu" {
		about += fmt.Sprintf(", %d threads", b.Threads)
	}
	if b.Singly {
		about += ", handed in one at a time"
	}
	if b.MaxDelay > 0 {
		about += fmt.Sprintf(", held up to %g ms", b.MaxDelay)
	}
	return about
}

// key are the columns that name a run.
func (b *Benchmark) key() (header pretty.Row, of func(*BenchmarkRun) pretty.Row) {
	return pretty.Row{"load", "batch", "slots", "graphs"}, func(r *BenchmarkRun) pretty.Row {
		load := fmt.Sprintf("%d callers", r.Concurrency)
		switch {
		case r.Rate > 0:
			load = decimals(r.Rate) + "/s arrive"
		case r.Concurrency == 1:
			load = "1 caller"
		}
		graphs := "-"
		if r.Graphs != nil {
			graphs = map[bool]string{true: "on", false: "off"}[*r.Graphs]
		}
		return pretty.Row{load, r.Batch, r.Slots, graphs}
	}
}

func (b *Benchmark) rates() pretty.Writer {
	header, key := b.key()
	t := plain(append(header, "pictures/s", "limit", "share", "p50 ms", "p90", "p99", "p99.9", "refused", "GPU use", "memory"))
	for i := range b.Runs {
		r := &b.Runs[i]
		row := append(key(r), decimals(r.PicturesPerSecond), decimals(r.Limit), fmt.Sprintf("%.3f", r.Share))
		for _, l := range []float64{r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.P999} {
			row = append(row, decimals(l))
		}
		use, memory := "-", "-"
		if len(r.GPUs) > 0 {
			var percent []string
			var bytes uint64
			for _, g := range r.GPUs {
				percent = append(percent, fmt.Sprintf("%.0f %%", g.Utilization))
				bytes += g.MemoryBytes
			}
			use, memory = strings.Join(percent, ", "), humanize.IBytes(bytes)
		}
		t.AppendRow(append(row, r.Refused, use, memory))
	}
	return t
}

func (b *Benchmark) stages() pretty.Writer {
	header, key := b.key()
	t := plain(append(header, "queue", "copy in", "letterbox", "network", "decode", "copy out", "NMS"))
	for i := range b.Runs {
		r := &b.Runs[i]
		row, s := key(r), r.Stages
		for _, stage := range []float64{s.Queue, s.CopyIn, s.Letterbox, s.Network, s.Decode, s.CopyOut, s.NMS} {
			row = append(row, fmt.Sprintf("%.3f", stage))
		}
		t.AppendRow(row)
	}
	return t
}

// decimals writes a figure with at least three digits.
func decimals(f float64) string {
	switch {
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}
