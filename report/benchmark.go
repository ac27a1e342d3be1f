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
	// Pictures says what was detected in, JPEG what reads JPEG files here: Go, or a
	// libjpeg-turbo. Encoded says that each call read its files.
	Pictures string `json:"pictures"`
	JPEG     string `json:"jpeg_decoder"`
	Encoded  bool   `json:"encoded"`
	// Singly says that each call was about one picture, and that pictures of several
	// shared batches; otherwise each was about a whole batch.
	Singly bool           `json:"singly"`
	Runs   []BenchmarkRun `json:"runs"`
	// Missing are the loads that were asked for and not measured, in words: an error
	// or a signal came before them.
	Missing []string `json:"missing,omitempty"`
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
	// MaxDelay is how long pictures might be held for others, in milliseconds.
	MaxDelay float64 `json:"max_delay_ms"`

	// Calls were answered. Of the others that arrived, Refused found
	// bench.MaxWaiting before them, Canceled still waited when the time was up, and
	// Missed the benchmark was too slow to make.
	Calls             int     `json:"calls"`
	Refused           int     `json:"refused"`
	Canceled          int     `json:"canceled"`
	Missed            int     `json:"missed"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	// Filled is how many pictures were computed at once, in the mean.
	Filled float64 `json:"pictures_of_a_batch"`
	// Limit is what the network alone does on as many streams at once with full
	// batches, before and after: a quarter of the windows that it was measured in
	// was slower than LimitLow, another faster than LimitHigh. LimitSteady says that
	// it had warmed up. Share is what part of it was reached.
	Limit        float64          `json:"limit_pictures_per_second"`
	LimitLow     float64          `json:"limit_low"`
	LimitHigh    float64          `json:"limit_high"`
	LimitWindows int              `json:"limit_windows"`
	LimitSteady  bool             `json:"limit_steady"`
	Share        float64          `json:"share_of_limit"`
	Latency      BenchmarkLatency `json:"latency_ms"`
	Stages       BenchmarkStages  `json:"stages_ms"`
	// GPUs is how busy each was; empty on the CPU and without NVML.
	GPUs   []engine.GPUUse `json:"gpus,omitempty"`
	Memory BenchmarkMemory `json:"memory"`
}

// BenchmarkMemory is what images might take and took when the load was over, in
// bytes: of the host, and of all GPUs together beside TensorRT's own.
type BenchmarkMemory struct {
	HostLimit   int64 `json:"host_limit"`
	Pinned      int64 `json:"pinned"`
	DeviceLimit int64 `json:"device_limit"`
	Device      int64 `json:"device"`
}

// BenchmarkLatency is how long callers waited for their answers, in milliseconds.
type BenchmarkLatency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
}

// BenchmarkStages is the mean time of a call in each stage, in milliseconds.
type BenchmarkStages struct {
	Read      float64 `json:"read"`
	Queue     float64 `json:"queue"`
	CopyIn    float64 `json:"copy_in"`
	Letterbox float64 `json:"letterbox"`
	Network   float64 `json:"network"`
	Decode    float64 `json:"decode"`
	CopyOut   float64 `json:"copy_out"`
	NMS       float64 `json:"nms"`
}

// Set takes what was measured, and what the network alone did before and after.
func (r *BenchmarkRun) Set(m *bench.Result, before, after engine.Throughput) {
	r.Calls, r.Refused, r.Canceled, r.Missed = m.Calls, m.Refused, m.Canceled, m.Missed
	r.PicturesPerSecond, r.Filled, r.Limit = m.PicturesPerSecond, m.Filled, (before.ImagesPerSecond+after.ImagesPerSecond)/2
	r.LimitLow, r.LimitHigh = min(before.Low, after.Low), max(before.High, after.High)
	r.LimitWindows, r.LimitSteady = before.Windows+after.Windows, before.Steady && after.Steady
	if r.Limit > 0 {
		r.Share = m.PicturesPerSecond / r.Limit
	}
	at := func(q float64) float64 { return milliseconds(m.Latency.At(q)) }
	r.Latency = BenchmarkLatency{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999)}
	r.SetStages(m.Stages)
}

// SetMemory takes what the Detector says of its memory.
func (r *BenchmarkRun) SetMemory(s engine.Stats) {
	r.Memory = BenchmarkMemory{HostLimit: s.Memory.HostLimit, Pinned: s.Memory.Pinned}
	for _, d := range s.Devices {
		r.Memory.DeviceLimit += d.MemoryLimit
		r.Memory.Device += d.Memory
	}
}

// SetStages takes the times of the stages, which may be measured by themselves.
func (r *BenchmarkRun) SetStages(t engine.Timing) {
	r.Stages = BenchmarkStages{
		Read: milliseconds(t.Read), Queue: milliseconds(t.Queue), CopyIn: milliseconds(t.CopyIn), Letterbox: milliseconds(t.Letterbox), Network: milliseconds(t.Network),
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
		_, err = fmt.Fprintf(w, "%s\n\n%s\n\n%s\n\n%s\n%s", b.about(), b.rates().RenderMarkdown(), b.words(), b.stages().RenderMarkdown(), b.missing())
	case "table":
		_, err = fmt.Fprintf(w, "%s\n\n%s\n\n%s\n\n%s\n%s", b.about(), b.rates().Render(), b.words(), b.stages().Render(), b.missing())
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
	if b.Encoded {
		about += ", encoded; JPEG is decoded by " + Printable(b.JPEG)
	}
	return about
}

// words say what the tables do not.
func (b *Benchmark) words() string {
	call := "a batch"
	if b.Singly {
		call = "one picture"
	}
	clock := "by the time of ONNX Runtime's runs"
	if b.Device != "cpu" {
		clock = "by CUDA events on these around TensorRT's enqueueV3, or its graph"
	}
	return "filled: pictures of a batch, mean. alone: pictures/s of the network alone with full batches on as many slots at\n" +
		"once, " + clock + ": median of windows before and after. spread: of the\n" +
		"middle half of these windows; not warm: it did not settle within 3 %. share: of alone, at most 1 with one slot.\n" +
		"p50 to p99.9: milliseconds of a call, each about " + call + ".\n" + b.unanswered() + b.memoryWords() +
		"Below, a call's mean milliseconds in each stage:"
}

// unanswered says what the columns of calls without an answer mean, where there
// are any.
func (b *Benchmark) unanswered() string {
	said := ""
	for _, r := range b.Runs {
		if r.Refused+r.Canceled+r.Missed > 0 {
			said = fmt.Sprintf("Calls without an answer: refused, as %d others were under way; canceled, as they still waited when the time\n"+
				"was up; missed, as the benchmark was too slow to make them.\n", bench.MaxWaiting)
		}
	}
	return said
}

// missing lists what the tables lack.
func (b *Benchmark) missing() string {
	if len(b.Missing) == 0 {
		return ""
	}
	return "\nNot measured: " + strings.Join(b.Missing, "; ") + ".\n"
}

// memoryWords say what images might take at most.
func (b *Benchmark) memoryWords() string {
	if len(b.Runs) == 0 || b.Runs[0].Memory.HostLimit == 0 {
		return ""
	}
	said := fmt.Sprintf("Images may take %s of the host's memory (--host-memory)", humanize.IBytes(uint64(b.Runs[0].Memory.HostLimit)))
	if b.Device != "cpu" {
		said += ", which is pinned;\n\"of it ours\" is GPU memory without TensorRT's own, and its limit (--device-memory)"
	}
	return said + ".\n"
}

// key are the columns that name a run.
func (b *Benchmark) key() (header pretty.Row, of func(*BenchmarkRun) pretty.Row) {
	return pretty.Row{"load", "batch", "slots", "graphs", "max delay"}, func(r *BenchmarkRun) pretty.Row {
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
		delay := "-"
		if r.MaxDelay > 0 {
			delay = strconv.FormatFloat(r.MaxDelay, 'g', 3, 64) + " ms"
		}
		return pretty.Row{load, r.Batch, r.Slots, graphs, delay}
	}
}

// table has a row for each run, without the columns that say nothing of any.
func (b *Benchmark) table(header pretty.Row, row func(*BenchmarkRun) pretty.Row) pretty.Writer {
	said := make([]bool, len(header))
	rows := []pretty.Row{header}
	for i := range b.Runs {
		r := row(&b.Runs[i])
		for column, cell := range r {
			said[column] = said[column] || cell != "-"
		}
		rows = append(rows, r)
	}
	for i, r := range rows {
		var kept pretty.Row
		for column, cell := range r {
			if said[column] {
				kept = append(kept, cell)
			}
		}
		rows[i] = kept
	}
	t := plain(rows[0])
	t.AppendRows(rows[1:])
	return t
}

func (b *Benchmark) rates() pretty.Writer {
	header, key := b.key()
	header = append(header, "pictures/s", "filled", "alone", "spread", "share", "p50", "p90", "p99", "p99.9",
		"refused", "canceled", "missed", "GPU use", "GPU memory", "of it ours", "pinned")
	return b.table(header, func(r *BenchmarkRun) pretty.Row {
		row := append(key(r), decimals(r.PicturesPerSecond), decimals(r.Filled),
			decimals(r.Limit), r.spread(), fmt.Sprintf("%.3f", r.Share))
		for _, l := range []float64{r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.P999} {
			row = append(row, decimals(l))
		}
		for _, calls := range []int{r.Refused, r.Canceled, r.Missed} {
			cell := "-"
			if calls > 0 {
				cell = strconv.Itoa(calls)
			}
			row = append(row, cell)
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
		of := func(taken, limit int64) string {
			if taken == 0 {
				return "-"
			}
			return humanize.IBytes(uint64(taken)) + " of " + humanize.IBytes(uint64(limit))
		}
		return append(row, use, memory, of(r.Memory.Device, r.Memory.DeviceLimit), of(r.Memory.Pinned, r.Memory.HostLimit))
	})
}

// spread is how far apart the middle half of the windows lies.
func (r *BenchmarkRun) spread() string {
	if r.Limit == 0 {
		return "-"
	}
	spread := fmt.Sprintf("%.1f %%", 100*(r.LimitHigh-r.LimitLow)/r.Limit)
	if !r.LimitSteady {
		spread += ", not warm"
	}
	return spread
}

func (b *Benchmark) stages() pretty.Writer {
	header, key := b.key()
	return b.table(append(header, "read", "queue", "copy in", "letterbox", "network", "decode", "copy out", "NMS"), func(r *BenchmarkRun) pretty.Row {
		row, s := key(r), r.Stages
		for _, stage := range []float64{s.Read, s.Queue, s.CopyIn, s.Letterbox, s.Network, s.Decode, s.CopyOut, s.NMS} {
			cell := "-"
			if stage > 0 {
				cell = fmt.Sprintf("%.3f", stage)
			}
			row = append(row, cell)
		}
		return row
	})
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
