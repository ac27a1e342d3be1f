package cuda

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/trtdet/trtdet/tests/simgpu"
)

// What is given back is taken again, what nobody has needed for idleTime is
// freed, and the rest by Close.
func TestPoolShrinks(t *testing.T) {
	simgpu.CheckClean(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := OpenDevice(0)
		if err != nil {
			t.Fatal(err)
		}
		p := &pool{devices: []*Device{d}}
		get := func(size int) *Pinned {
			t.Helper()
			m, err := p.get(size)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Bytes()) < size {
				t.Fatalf("%d bytes, want %d", len(m.Bytes()), size)
			}
			return m
		}
		kept := func() (n int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.idle)
		}
		gone := func(m *Pinned) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return m.Bytes() == nil
		}
		first, second, large := get(5000), get(5000), get(100_000)
		for _, m := range []*Pinned{first, second, large} {
			p.put(m)
		}
		time.Sleep(idleTime * 2 / 3)
		if again := get(4900); again != second {
			t.Error("memory that was there was not taken")
		}
		p.put(second)
		time.Sleep(idleTime * 2 / 3) // the first timer is over: two were idle, one was needed since
		if n := kept(); n != 1 {
			t.Errorf("%d pieces are kept, want the one that was needed", n)
		}
		if !gone(first) || !gone(large) || gone(second) {
			t.Error("the wrong memory was freed")
		}
		time.Sleep(2 * idleTime)
		if n := kept(); n != 0 {
			t.Errorf("%d pieces are kept, which nobody needs", n)
		}
		p.put(get(5000))
		p.put(get(100_000))
		if !simgpu.Real() { // one is freed on a lost GPU while it is idle, one by Close
			p.mu.Lock()
			p.idle[0].since = time.Now().Add(-idleTime)
			p.mu.Unlock()
			simgpu.Lose(0, illegalAddress)
			defer simgpu.Lose(0, 0)
			p.shrink()
			if n := kept(); n != 1 {
				t.Errorf("%d pieces are kept, want one", n)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * idleTime) // the timer of what was freed
	})
}

// A limit is kept by freeing what is idle, and memory is at most an eighth more
// than was asked for.
func TestPoolLimit(t *testing.T) {
	simgpu.CheckClean(t)
	d, err := OpenDevice(0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pool{devices: []*Device{d}, limit: 1 << 20}
	for _, size := range []int{100_000, 200_000, 500_000, 300_001, 1 << 20, 77, 900_000, 4096} {
		m, err := p.get(size)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(m.Bytes()); n < size || n > max(size+size/8, 4096) {
			t.Errorf("%d bytes for %d", n, size)
		}
		p.put(m)
		if n := p.bytes(); n > p.limit {
			t.Errorf("%d bytes are pinned, the limit is %d", n, p.limit)
		}
	}
	if !simgpu.Real() { // there is less than the limit: what is idle is given up
		simgpu.Fail("cuMemHostAlloc", 1, outOfMemory)
		m, err := p.get(50_000)
		if err != nil {
			t.Fatal(err)
		}
		if p.bytes() != int64(len(m.Bytes())) {
			t.Errorf("%d bytes are pinned, %d in use", p.bytes(), len(m.Bytes()))
		}
		simgpu.Fail("cuMemHostAlloc", 1, outOfMemory)
		if _, err := p.get(50_000); err == nil {
			t.Error("memory where there is none")
		}
		if p.bytes() != int64(len(m.Bytes())) {
			t.Errorf("%d bytes are pinned, %d in use", p.bytes(), len(m.Bytes()))
		}
		p.put(m)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
