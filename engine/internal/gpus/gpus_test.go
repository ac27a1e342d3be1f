package gpus

import (
	"context"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// machine is one with eight A100, each with a share of its memory free and a
// utilization, and the driver's view of them: in the reverse order.
func machine(t *testing.T, free []uint64, utilization []uint32) (*server.Server, []Device) {
	t.Helper()
	m := dgxa100.New()
	m.ShutdownFunc = func() nvml.Return { return nvml.SUCCESS }
	m.SystemGetCudaDriverVersion_v2Func = func() (int, nvml.Return) { return 13000, nvml.SUCCESS }
	var devices []Device
	for i := range free {
		d := m.Devices[i].(*server.Device)
		d.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) {
			return nvml.Memory{Total: 40 << 30, Free: free[i], Used: 40<<30 - free[i]}, nvml.SUCCESS
		}
		d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) {
			return nvml.Utilization{Gpu: utilization[i]}, nvml.SUCCESS
		}
		d.GetDeviceHandleFromMigDeviceHandleFunc = func() (nvml.Device, nvml.Return) { return nil, nvml.ERROR_INVALID_ARGUMENT }
		devices = append([]Device{{Ordinal: len(free) - 1 - i, UUID: uuidOf(t, d)}}, devices...)
	}
	return m, devices
}

func uuidOf(t *testing.T, d nvml.Device) (uuid [16]byte) {
	t.Helper()
	text, _ := d.GetUUID()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(text, "GPU-"), "MIG-"), "-", ""))
	if err != nil || len(b) != 16 {
		t.Fatalf("UUID %s: %v", text, err)
	}
	copy(uuid[:], b)
	return uuid
}

// none is a machine without a driver.
func none() *mock.Interface {
	return &mock.Interface{
		InitFunc:        func() nvml.Return { return nvml.ERROR_LIBRARY_NOT_FOUND },
		ErrorStringFunc: func(nvml.Return) string { return "not there" },
	}
}

func TestList(t *testing.T) {
	m, _ := machine(t, []uint64{30 << 30, 20 << 30}, []uint32{7, 0})
	divided := m.Devices[1].(*server.Device)
	divided.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 0, nvml.SUCCESS }
	divided.GetMaxMigDeviceCountFunc = func() (int, nvml.Return) { return 7, nvml.SUCCESS }
	divided.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED }
	divided.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i != 2 {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return &mock.Device{
			GetNameFunc:       func() (string, nvml.Return) { return "NVIDIA A100 MIG 3g.20gb", nvml.SUCCESS },
			GetUUIDFunc:       func() (string, nvml.Return) { return "MIG-1", nvml.SUCCESS },
			GetMemoryInfoFunc: func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 20 << 30, Free: 19 << 30}, nvml.SUCCESS },
		}, nvml.SUCCESS
	}
	for _, d := range m.Devices[2:] {
		d.(*server.Device).GetUtilizationRatesFunc = divided.GetUtilizationRatesFunc
		d.(*server.Device).GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_UNKNOWN }
	}
	driver, gpus := List(m)
	if len(gpus) != 8 || driver.Version == "" || driver.CUDA != "13.0" || driver.Reason != "" {
		t.Fatalf("driver %+v, %d GPUs", driver, len(gpus))
	}
	if g := gpus[0]; g.Index != 0 || !strings.Contains(g.Name, "A100") || g.ComputeCapability != "8.0" || g.FreeBytes != 30<<30 ||
		g.Utilization == nil || *g.Utilization != 7 || !strings.HasPrefix(g.UUID, "GPU-") || g.MIG != nil {
		t.Errorf("GPU %+v", g)
	}
	if g := gpus[1]; g.Utilization != nil || len(g.MIG) != 1 || g.MIG[0] != (MIG{"MIG-1", "NVIDIA A100 MIG 3g.20gb", 20 << 30, 19 << 30}) {
		t.Errorf("divided GPU %+v", g)
	}
	for ret, words := range map[nvml.Return]string{nvml.ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver", nvml.ERROR_DRIVER_NOT_LOADED: "not there"} {
		m := none()
		m.InitFunc = func() nvml.Return { return ret }
		if driver, gpus := List(m); !strings.Contains(driver.Reason, words) || len(gpus) != 0 {
			t.Errorf("driver %+v, GPUs %v, want a reason with %q", driver, gpus, words)
		}
	}
}

func TestLeastLoaded(t *testing.T) {
	const gb = 1 << 30
	for _, c := range []struct {
		name        string
		free        []uint64 // in NVML's order
		utilization []uint32
		need        uint64
		want        int // in the driver's, which is the other way round
		words       []string
	}{
		{"idle", []uint64{9 * gb, 9 * gb, 9 * gb}, []uint32{50, 0, 30}, gb, 1, nil},
		{"equally busy", []uint64{9 * gb, 3 * gb, 20 * gb}, []uint32{5, 5, 5}, gb, 0, nil},
		{"idle but full", []uint64{9 * gb, gb / 2, 9 * gb}, []uint32{50, 0, 30}, gb, 0, nil},
		{"all full", []uint64{gb / 2, gb / 4}, []uint32{0, 0}, gb, 0, []string{"no GPU has 1.0 GiB", "cuda:0 256 MiB", "cuda:1 512 MiB", "--device cuda:N"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, devices := machine(t, c.free, c.utilization)
			got, err := LeastLoaded(m, devices, c.need)
			if c.words != nil {
				for _, w := range c.words {
					if err == nil || !strings.Contains(err.Error(), w) {
						t.Errorf("%v does not say %q", err, w)
					}
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("cuda:%d, %v, want cuda:%d", got, err, c.want)
			}
		})
	}
	devices := []Device{{Ordinal: 4}, {Ordinal: 5}}
	if got, err := LeastLoaded(none(), devices, 1<<40); got != 4 || err != nil {
		t.Errorf("without NVML cuda:%d, %v", got, err)
	}
	m, _ := machine(t, []uint64{gb}, []uint32{0})
	if got, err := LeastLoaded(m, devices, gb); got != 4 || err != nil { // UUIDs of zeros
		t.Errorf("with devices that NVML does not know cuda:%d, %v", got, err)
	}
	if _, err := LeastLoaded(m, nil, gb); err == nil || !strings.Contains(err.Error(), "CUDA_VISIBLE_DEVICES") {
		t.Errorf("with no devices: %v", err)
	}
}

func TestWatch(t *testing.T) {
	m, devices := machine(t, []uint64{1, 1}, []uint32{0, 0})
	var events []nvml.EventData
	freed := 0
	m.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) {
		return &mock.EventSet{
			WaitFunc: func(uint32) (nvml.EventData, nvml.Return) {
				if len(events) == 0 {
					return nvml.EventData{}, nvml.ERROR_TIMEOUT
				}
				e := events[0]
				events = events[1:]
				return e, nvml.SUCCESS
			},
			FreeFunc: func() nvml.Return { freed++; return nvml.SUCCESS },
		}, nvml.SUCCESS
	}
	for _, d := range m.Devices {
		d.(*server.Device).RegisterEventsFunc = func(types uint64, _ nvml.EventSet) nvml.Return {
			if types != nvml.EventTypeXidCriticalError {
				return nvml.ERROR_INVALID_ARGUMENT
			}
			return nvml.SUCCESS
		}
	}
	w := NewWatch(m, devices)
	if words := w.Explain(0); words != "" {
		t.Errorf("of nothing it says %q", words)
	}
	// the driver's cuda:1 is NVML's first
	events = []nvml.EventData{{Device: m.Devices[0], EventData: 31}, {Device: m.Devices[0], EventData: 79}, {Device: m.Devices[5], EventData: 48}}
	if words := w.Explain(1); !strings.Contains(words, "Xid 79") || !strings.Contains(words, "fallen off the bus") || !strings.Contains(words, "restart the machine") {
		t.Errorf("of two errors it says %q", words)
	}
	if words := w.Explain(0); words != "" {
		t.Errorf("of another's error it says %q", words)
	}
	events = []nvml.EventData{{Device: m.Devices[1], EventData: 999}}
	if words := w.Explain(0); !strings.Contains(words, "Xid 999") {
		t.Errorf("of an error that nobody knows it says %q", words)
	}
	if err := w.Close(); err != nil || w.Close() != nil || freed != 1 {
		t.Errorf("close: %v, freed %d times", err, freed)
	}
	for _, m := range []nvml.Interface{none(), withoutEvents(t)} {
		w := NewWatch(m, devices)
		if words := w.Explain(0); words != "" {
			t.Errorf("without events it says %q", words)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Many ask at once what their devices were lost by, some of them while others
// wait already: none waits behind another, and each has an error that comes as
// late as one may.
func TestWatchManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, devices := machine(t, []uint64{1, 1}, []uint32{0, 0})
		events := make(chan nvml.EventData, 1)
		w := NewWatch(withEvents(m, events), devices)
		late := []time.Duration{0, settle / 2, settle - time.Millisecond}
		time.AfterFunc(late[len(late)-1]+settle-time.Millisecond, func() { events <- nvml.EventData{Device: m.Devices[0], EventData: 79} })
		begin := time.Now()
		var callers sync.WaitGroup
		for n := range 60 {
			callers.Go(func() {
				time.Sleep(late[n%len(late)])
				asked := time.Now()
				words := w.Explain(1)
				if took := time.Since(asked); took > 2*settle {
					t.Errorf("caller %d waited for %v", n, took)
				}
				if n%len(late) == len(late)-1 && !strings.Contains(words, "Xid 79") {
					t.Errorf("caller %d is told %q", n, words)
				}
			})
		}
		callers.Wait()
		if took := time.Since(begin); took > 4*settle {
			t.Errorf("all of them took %v", took)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if words := w.Explain(1); !strings.Contains(words, "Xid 79") {
			t.Errorf("closed, it says %q", words)
		}
	})
}

// A device that reports errors without end delays nobody for longer than one
// that reports none, and NVML is not called while the watch is closed.
func TestWatchOfAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, devices := machine(t, []uint64{1, 1}, []uint32{0, 0})
		events := make(chan nvml.EventData)
		storm, end := context.WithCancel(t.Context())
		defer end()
		go func() {
			for storm.Err() == nil {
				time.Sleep(time.Millisecond)
				select {
				case events <- nvml.EventData{Device: m.Devices[1], EventData: 13}:
				case <-storm.Done():
				}
			}
		}()
		w := NewWatch(withEvents(m, events), devices)
		asked, answered := time.Now(), make(chan struct{})
		go func() {
			defer close(answered)
			if words := w.Explain(0); !strings.Contains(words, "Xid 13") {
				t.Errorf("it says %q", words)
			}
			if took := time.Since(asked); took > 2*settle {
				t.Errorf("it took %v", took)
			}
		}()
		time.Sleep(settle / 2)
		if err := w.Close(); err != nil { // waits for the round
			t.Error(err)
		}
		<-answered
	})
}

// withEvents has a machine report events.
func withEvents(m *server.Server, events <-chan nvml.EventData) *server.Server {
	freed := false
	m.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) {
		return &mock.EventSet{
			WaitFunc: func(ms uint32) (nvml.EventData, nvml.Return) {
				if freed {
					panic("a wait on a set that is freed")
				}
				select {
				case e := <-events:
					return e, nvml.SUCCESS
				case <-time.After(time.Duration(ms) * time.Millisecond):
					return nvml.EventData{}, nvml.ERROR_TIMEOUT
				}
			},
			FreeFunc: func() nvml.Return { freed = true; return nvml.SUCCESS },
		}, nvml.SUCCESS
	}
	for _, d := range m.Devices {
		d.(*server.Device).RegisterEventsFunc = func(uint64, nvml.EventSet) nvml.Return { return nvml.SUCCESS }
	}
	return m
}

func withoutEvents(t *testing.T) nvml.Interface {
	t.Helper()
	m, _ := machine(t, nil, nil)
	m.EventSetCreateFunc = func() (nvml.EventSet, nvml.Return) { return nil, nvml.ERROR_NOT_SUPPORTED }
	return m
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, devices := machine(t, []uint64{30 << 30, 20 << 30}, []uint32{0, 80})
		var calls atomic.Uint32
		m.Devices[0].(*server.Device).GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) {
			return nvml.Utilization{Gpu: 20 * (calls.Add(1) % 2)}, nvml.SUCCESS // 20, 0, 20, 0
		}
		stop := Sample(m, devices, time.Second)
		time.Sleep(3500 * time.Millisecond)
		uses := stop()
		want := []Use{{"cuda:0", 80, 20 << 30}, {"cuda:1", 10, 10 << 30}}
		if len(uses) != 2 || uses[0] != want[0] || uses[1] != want[1] {
			t.Errorf("%+v, want %+v", uses, want)
		}
		if uses := Sample(none(), devices, time.Second)(); uses != nil {
			t.Errorf("without NVML %+v", uses)
		}
	})
}
