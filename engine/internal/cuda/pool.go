package cuda

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/trtdet/trtdet/engine/internal/backend"
)

// pool is pinned memory that images are read into before their batch. To pin takes
// milliseconds, so what is given back is kept for the next; what nobody has needed
// for idleTime is freed, and so is what stands in the way of the limit. Nothing is
// pinned or freed under the lock.
type pool struct {
	// devices all reach it, whichever made it. They are held apart from those
	// that engines run on, which come and go.
	devices []*Device
	explain func(ordinal int) string // see Config
	limit   int64                    // of bytes; 0 is none

	mu      sync.Mutex
	idle    []pooled // what was given back last at the end
	total   int64    // bytes, idle and in use
	timer   *time.Timer
	closed  bool
	freeing sync.WaitGroup
	errs    []error // of freeing
}

type pooled struct {
	memory *Pinned
	since  time.Time
}

// idleTime is how long memory is kept that nobody needs.
const idleTime = 30 * time.Second

// get returns memory of at least size bytes.
func (p *pool) get(size int) (*Pinned, error) {
	size = backend.RoundUp(size)
	p.mu.Lock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if m := p.idle[i].memory; len(m.Bytes()) == size {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.mu.Unlock()
			return m, nil
		}
	}
	p.total += int64(size)
	n := 0 // the ones that nobody has needed for longest
	for over := p.total - p.limit; p.limit > 0 && over > 0 && n < len(p.idle); n++ {
		over -= int64(len(p.idle[n].memory.Bytes()))
	}
	victims := p.take(n)
	p.mu.Unlock()
	p.free(victims)
	m, err := p.pin(size)
	if isOutOfMemory(err) { // there is less than the limit
		p.mu.Lock()
		victims = p.take(len(p.idle))
		p.mu.Unlock()
		if len(victims) > 0 {
			p.free(victims)
			m, err = p.pin(size)
		}
	}
	if err != nil {
		p.mu.Lock()
		p.total -= int64(size)
		p.mu.Unlock()
	}
	return m, err
}

// pin makes memory.
func (p *pool) pin(size int) (*Pinned, error) {
	var errs []error
	for _, d := range p.devices { // the first may be lost
		m, err := d.AllocPinned(size)
		if err == nil {
			return m, nil
		}
		errs = append(errs, lossOf(d, err, p.explain))
	}
	return nil, errors.Join(errs...)
}

// put gives memory back.
func (p *pool) put(m *Pinned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, pooled{m, time.Now()})
	if p.timer == nil {
		p.timer = time.AfterFunc(idleTime, p.shrink)
	}
}

// take takes out the first of what is idle, for free.
func (p *pool) take(n int) []pooled {
	if n == 0 {
		return nil
	}
	victims := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	for _, v := range victims {
		p.total -= int64(len(v.memory.Bytes()))
	}
	p.freeing.Add(1)
	return victims
}

// free frees what take has taken out.
func (p *pool) free(victims []pooled) {
	if len(victims) == 0 {
		return
	}
	defer p.freeing.Done()
	var errs []error
	for _, v := range victims {
		if err := unlessLost(v.memory.Close()); err != nil {
			errs = append(errs, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, errs...)
}

// shrink frees what has not been needed for idleTime.
func (p *pool) shrink() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.timer = nil
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= idleTime {
		n++
	}
	victims := p.take(n)
	if len(p.idle) > 0 {
		p.timer = time.AfterFunc(idleTime-time.Since(p.idle[0].since), p.shrink)
	}
	p.mu.Unlock()
	p.free(victims)
}

// bytes is how much memory there is, idle and in use.
func (p *pool) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Close frees it; nothing may be in use. It is safe to call twice.
func (p *pool) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	victims := p.take(len(p.idle))
	p.mu.Unlock()
	p.free(victims)
	p.freeing.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := p.errs
	p.errs = nil
	for _, d := range p.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
