package schedule

import (
	"context"
	"slices"
	"time"
)

// Call is pictures, at most a Scheduler's Batch of them, that one caller wants
// computed. Each is a T, in which a Lane leaves what it finds. A Call may be used
// again once Wait, or Leave, has returned.
type Call[T any] struct {
	// Items are the pictures.
	Items []T
	// Caller names who takes turns with other callers; "" is a caller of its own.
	Caller string

	// Waited is how long the call waited for its turn, and then the last of its
	// pictures for a lane.
	Waited time.Duration

	ctx      context.Context // of Enter
	err      error
	state    state
	deadline time.Time     // zero where there is none
	since    time.Time     // when it came, or was ready
	turned   time.Duration // how long it waited for its turn
	left     int           // Items that are not done
	turn     chan struct{} // tells that the state has left waiting
	done     chan struct{} // tells that no Item is left
	owner    *caller[T]    // while it waits
}

// NewCall returns a Call of no pictures.
func NewCall[T any]() *Call[T] {
	return &Call[T]{turn: make(chan struct{}, 1), done: make(chan struct{}, 1)}
}

type state int

const (
	idle    state = iota
	waiting       // for its turn
	staging       // it has had its turn and makes its pictures ready
	ready         // some of its pictures may be computed already
)

// caller has the waiting calls of one caller, first come first. It stands in the
// ring of those that take turns while it has any.
type caller[T any] struct {
	name  string
	calls []*Call[T]
}

// ring is the callers that have calls waiting, in the order of their turns.
type ring[T any] struct {
	callers []*caller[T]
	named   map[string]*caller[T]
	spare   []*caller[T] // without calls
}

// push adds a call behind its caller's others.
func (r *ring[T]) push(c *Call[T]) {
	o := r.named[c.Caller]
	if c.Caller == "" || o == nil {
		o = r.add(c.Caller)
	}
	c.owner = o
	o.calls = append(o.calls, c)
}

func (r *ring[T]) add(name string) *caller[T] {
	var o *caller[T]
	if n := len(r.spare); n > 0 {
		o = r.spare[n-1]
		r.spare = r.spare[:n-1]
	} else {
		o = &caller[T]{}
	}
	o.name = name
	r.callers = append(r.callers, o)
	if name != "" {
		if r.named == nil {
			r.named = map[string]*caller[T]{}
		}
		r.named[name] = o
	}
	return o
}

// first is the call whose turn it is, nil where none waits.
func (r *ring[T]) first() *Call[T] {
	if len(r.callers) == 0 {
		return nil
	}
	return r.callers[0].calls[0]
}

// pop takes out the first call; its caller's next turn comes after all others'.
func (r *ring[T]) pop() {
	o := r.callers[0]
	copy(r.callers, r.callers[1:])
	r.callers[len(r.callers)-1] = o
	r.take(o, 0)
}

// remove takes out a call that waits.
func (r *ring[T]) remove(c *Call[T]) { r.take(c.owner, slices.Index(c.owner.calls, c)) }

// take takes the i-th call from a caller, and the caller from the ring where it
// was the only one.
func (r *ring[T]) take(o *caller[T], i int) {
	o.calls[i].owner = nil
	o.calls = slices.Delete(o.calls, i, i+1)
	if len(o.calls) > 0 {
		return
	}
	if o.name != "" {
		delete(r.named, o.name)
	}
	at := slices.Index(r.callers, o)
	r.callers = slices.Delete(r.callers, at, at+1)
	r.spare = append(r.spare, o)
}
