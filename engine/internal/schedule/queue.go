package schedule

import (
	"cmp"
	"container/heap"
	"math"
	"time"
)

// patience is the latest deadline that a call is treated as having: those with earlier
// ones never hold it up for longer.
const patience = 5 * time.Second

// first is the key of what has been run and has to be run again.
const first = time.Duration(math.MinInt64)

// queue is the calls that wait, in the order of their turns: round-robin among
// callers, and within a round the earliest deadline first.
type queue[T any] struct {
	calls order[T]
	named map[string]*caller // of those that have calls waiting
	round uint64             // of calls that come now
	last  uint64             // of the calls that wait
	left  int                // turns until the next round, where calls wait for it
	count uint64             // calls that have come
}

// caller is one with calls in the queue.
type caller struct {
	round   uint64 // of its last call
	waiting int
}

// place settles where a call stands. Each call of a named caller is a round later
// than the one before.
func (q *queue[T]) place(c *Call[T]) {
	c.round, c.order = q.round, q.count
	if o := q.named[c.Caller]; c.Caller != "" && o != nil {
		c.round = max(q.round, o.round+1)
	}
}

// push adds a call.
func (q *queue[T]) push(c *Call[T]) {
	q.place(c)
	q.count++
	q.last = max(q.last, c.round)
	if c.Caller != "" {
		o := q.named[c.Caller]
		if o == nil {
			o = &caller{}
			if q.named == nil {
				q.named = map[string]*caller{}
			}
			q.named[c.Caller] = o
		}
		o.round = c.round
		o.waiting++
		c.owner = o
	}
	heap.Push(&q.calls, c)
}

// first is the call whose turn it is, nil where none waits.
func (q *queue[T]) first() *Call[T] {
	if len(q.calls) == 0 {
		return nil
	}
	return q.calls[0]
}

// pop takes out the first call.
func (q *queue[T]) pop() {
	q.round = max(q.round, q.calls[0].round)
	q.remove(q.calls[0])
	// a round ends although new callers keep coming: others wait for the next
	if q.left--; q.left <= 0 {
		q.left = len(q.calls)
		if q.last > q.round {
			q.round++
		}
	}
}

// remove takes out a call.
func (q *queue[T]) remove(c *Call[T]) {
	heap.Remove(&q.calls, c.at)
	if c.owner == nil {
		return
	}
	if c.owner.waiting--; c.owner.waiting == 0 {
		delete(q.named, c.Caller)
	}
	c.owner = nil
}

// order is a heap of calls, see container/heap.
type order[T any] []*Call[T]

// before reports whether a call has its turn before another.
func (c *Call[T]) before(other *Call[T]) bool {
	return cmp.Or(cmp.Compare(c.round, other.round), cmp.Compare(c.key, other.key), cmp.Compare(c.order, other.order)) < 0
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (o order[T]) Len() int           { return len(o) }
func (o order[T]) Less(i, j int) bool { return o[i].before(o[j]) }
func (o order[T]) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].at, o[j].at = i, j
}

func (o *order[T]) Push(x any) {
	c := x.(*Call[T])
	c.at = len(*o)
	*o = append(*o, c)
}

func (o *order[T]) Pop() any {
	n := len(*o) - 1
	c := (*o)[n]
	(*o)[n] = nil
	*o = (*o)[:n]
	return c
}
