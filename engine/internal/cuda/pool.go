package cuda

import (
	"errors"
	"math/bits"
	"sync"
	"time"
)

// pool is pinned memory that pictures are read into before their batch. Making
// it takes milliseconds, so what is given back is kept for the next; what
// nobody has needed for idleTime is freed.
type pool struct {
	// devices all reach it, whichever made it. They are held apart from those
	// that engines run on, which come and go.
	devices []*Device
	explain func(ordinal int) string // see Config

	mu     sync.Mutex
	free   [64][]pooled // by the size's power of two
	timer  *time.Timer  // nil until something is free
	closed bool
	errs   []error // of freeing
}

type pooled struct {
	memory *Pinned
	since  time.Time
}

// idleTime is how long memory is kept that nobody needs.
const idleTime = 30 * time.Second

// smallest is the power of two of the least memory that is made.
const smallest = 12

func class(size int) int { return max(bits.Len(uint(size-1)), smallest) }

// get returns memory of at least size bytes.
func (p *pool) get(size int) (*Pinned, error) {
	c := class(size)
	p.mu.Lock()
	if n := len(p.free[c]); n > 0 {
		m := p.free[c][n-1].memory
		p.free[c] = p.free[c][:n-1]
		p.mu.Unlock()
		return m, nil
	}
	p.mu.Unlock()
	var errs []error
	for _, d := range p.devices { // the first may be lost
		m, err := d.AllocPinned(1 << c)
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
	c := class(len(m.Bytes()))
	p.free[c] = append(p.free[c], pooled{m, time.Now()})
	if p.timer == nil {
		p.timer = time.AfterFunc(idleTime, p.shrink)
	}
}

// shrink frees what has not been needed for idleTime. What was put last is taken
// first, so the rest stays at the front.
func (p *pool) shrink() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.timer = nil
	for c, free := range p.free {
		n := 0
		for n < len(free) && time.Since(free[n].since) >= idleTime {
			p.errs = append(p.errs, unlessLost(free[n].memory.Close()))
			n++
		}
		p.free[c] = append(free[:0], free[n:]...)
		clear(free[len(free)-n:])
		if len(free) > n && p.timer == nil {
			p.timer = time.AfterFunc(idleTime, p.shrink)
		}
	}
}

// Close frees it; nothing may be in use. It is safe to call twice.
func (p *pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	errs := p.errs
	p.errs = nil
	for c, free := range p.free {
		for _, f := range free {
			errs = append(errs, unlessLost(f.memory.Close()))
		}
		p.free[c] = nil
	}
	for _, d := range p.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
