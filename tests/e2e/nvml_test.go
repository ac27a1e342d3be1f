package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/report"
)

// The program finds NVML by its name, as on any machine: info lists the GPUs and
// what MIG made of them, and --device auto takes the least loaded.
func TestNVML(t *testing.T) {
	simulatedGPUs(t, "3")
	t.Setenv("LD_LIBRARY_PATH", filepath.Join(top, "build", "out", "simgpu"))
	t.Setenv("SIMGPU_UTILIZATION", "70,10,40")
	dir := t.TempDir()
	must(t, dir, "build", carried(), "-o", "m.engine", "--quiet", "--imgsz", "256")
	var b report.Benchmark
	o := must(t, dir, "bench", "m.engine", "--batch", "1", "--duration", "100ms", "--warmup", "0s", "--format", "json")
	if err := json.Unmarshal([]byte(o.stdout), &b); err != nil {
		t.Fatal(err)
	}
	if b.Device != "cuda:1" {
		t.Errorf("it ran on %s, and cuda:1 is the least loaded", b.Device)
	}
	t.Setenv("SIMGPU_MIG", "0:2")
	var m engine.Machine
	if err := json.Unmarshal([]byte(must(t, "", "info", "--format", "json").stdout), &m); err != nil {
		t.Fatal(err)
	}
	if m.Driver.Version != "580.0.simulated" || len(m.GPUs) != 3 || *m.GPUs[1].Utilization != 10 || len(m.GPUs[2].MIG) != 2 {
		t.Errorf("info has driver %+v, GPUs %+v", m.Driver, m.GPUs)
	}
	table := must(t, "", "info").stdout
	for _, words := range []string{"580.0.simulated, CUDA up to 13.0", "compute capability 8.9", "CUDA_VISIBLE_DEVICES=MIG-61616161-6161-6161-6161-616161616101"} {
		if !strings.Contains(table, words) {
			t.Errorf("info does not say %q:\n%s", words, table)
		}
	}
}
