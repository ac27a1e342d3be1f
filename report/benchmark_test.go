package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/trtdet/trtdet/bench"
	"github.com/trtdet/trtdet/engine"
)

func TestBenchmark(t *testing.T) {
	b := &Benchmark{
		Model: "m.engine", Device: "cuda:0", Height: 640, Width: 640, Pictures: "8 pictures",
		JPEG: "libjpeg-turbo (libturbojpeg.so.0)", Encoded: true,
	}
	on := true
	run := BenchmarkRun{Batch: 8, Slots: 2, Graphs: &on, Concurrency: 4, GPUs: []engine.GPUUse{{Device: "cuda:0", Utilization: 97.4, MemoryBytes: 3 << 30}}}
	latency := make(bench.Latency, 1000)
	for i := range latency {
		latency[i] = time.Duration(i+1) * time.Microsecond
	}
	run.Set(&bench.Result{
		Calls: 1000, PicturesPerSecond: 1900, Filled: 7.5, Latency: latency,
		Stages: engine.Timing{Queue: time.Millisecond, Network: 4 * time.Millisecond, Decode: 8 * time.Microsecond},
	}, engine.Throughput{ImagesPerSecond: 1990, Low: 1980, High: 2000, Windows: 6, Steady: true},
		engine.Throughput{ImagesPerSecond: 2010, Low: 2000, High: 2020, Windows: 5, Steady: true})
	b.Runs = append(b.Runs, run)
	for _, format := range []string{"table", "md"} {
		var out strings.Builder
		if err := b.Write(format, &out); err != nil {
			t.Fatal(err)
		}
		for _, words := range []string{"m.engine on cuda:0, input 640x640, 8 pictures", "4 callers", "1900", "2000", "2.0 %", "0.950", "CUDA events", "encoded; JPEG is decoded by libjpeg-turbo (libturbojpeg.so.0)", "0.50", "0.99", "97 %", "3.0 GiB", "4.000", "0.008", "7.50", "each about a batch"} {
			if !strings.Contains(out.String(), words) {
				t.Errorf("%s does not say %q:\n%s", format, words, out.String())
			}
		}
		for _, words := range []string{"refused", "canceled", "missed", "max delay", "copy in"} { // of which there was nothing
			if strings.Contains(out.String(), words) {
				t.Errorf("%s has a column %q:\n%s", format, words, out.String())
			}
		}
	}
	b.Runs[0].Set(&bench.Result{Calls: 1000, Refused: 70, Canceled: 4096, Missed: 33},
		engine.Throughput{ImagesPerSecond: 2000, Steady: true}, engine.Throughput{ImagesPerSecond: 2000})
	var unanswered strings.Builder
	if err := b.Write("table", &unanswered); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{", not warm", "70", "4096 others", "33", "refused", "canceled", "missed"} {
		if !strings.Contains(unanswered.String(), words) {
			t.Errorf("the table does not say %q:\n%s", words, unanswered.String())
		}
	}
	b.Runs[0] = run
	var out strings.Builder
	if err := b.Write("json", &out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		JPEG string `json:"jpeg_decoder"`
		Runs []map[string]any
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.JPEG != b.JPEG {
		t.Errorf("JPEG is read by %q", got.JPEG)
	}
	r := got.Runs[0]
	if r["limit_low"] != 1980.0 || r["limit_windows"] != 11.0 || r["limit_steady"] != true {
		t.Errorf("%v", r)
	}
	if r["share_of_limit"] != 0.95 || r["graphs"] != true || r["latency_ms"].(map[string]any)["p99_9"] != 0.999 || r["stages_ms"].(map[string]any)["network"] != 4.0 {
		t.Errorf("%v", r)
	}
}
