package guard

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Handler passes records on to a caller's handler, in order, from a goroutine of
// its own, so that whoever logs is neither held up nor called back. A handler that
// does not keep up loses records, and is told how many.
type Handler struct {
	queue *logQueue
	with  []func(slog.Handler) slog.Handler // WithAttrs and WithGroup, in order
}

// maxRecords is how many records wait for a handler.
const maxRecords = 1024

// logQueue is what Handlers that were made from each other share.
type logQueue struct {
	inner slog.Handler

	mu      sync.Mutex
	records []queued
	lost    int
	running bool          // a goroutine hands the records on
	empty   chan struct{} // closed when it has ended; nil where none waits for that
}

type queued struct {
	ctx    context.Context
	record slog.Record
	with   []func(slog.Handler) slog.Handler
}

// NewHandler returns a Handler of a caller's handler.
func NewHandler(inner slog.Handler) *Handler { return &Handler{queue: &logQueue{inner: inner}} }

// Enabled implements slog.Handler: whether the caller's handler is, is asked when
// its turn comes.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler. It returns at once.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	q := h.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.records) == maxRecords {
		q.lost++
		return nil
	}
	q.records = append(q.records, queued{context.WithoutCancel(ctx), r.Clone(), h.with})
	if !q.running {
		q.running = true
		go q.run()
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.then(func(inner slog.Handler) slog.Handler { return inner.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return h.then(func(inner slog.Handler) slog.Handler { return inner.WithGroup(name) })
}

func (h *Handler) then(f func(slog.Handler) slog.Handler) slog.Handler {
	return &Handler{queue: h.queue, with: append(h.with[:len(h.with):len(h.with)], f)}
}

// run hands records on until there are none.
func (q *logQueue) run() {
	for {
		q.mu.Lock()
		if len(q.records) == 0 && q.lost == 0 {
			q.records, q.running = nil, false
			if q.empty != nil {
				close(q.empty)
				q.empty = nil
			}
			q.mu.Unlock()
			return
		}
		records, lost := q.records, q.lost
		q.records, q.lost = nil, 0
		q.mu.Unlock()
		for _, r := range records {
			r.handOn(q.inner)
		}
		if lost > 0 {
			record := slog.NewRecord(time.Now(), slog.LevelWarn, "the log handler did not keep up", 0)
			record.AddAttrs(slog.Int("records lost", lost))
			queued{ctx: context.Background(), record: record}.handOn(q.inner)
		}
	}
}

// handOn calls the caller's handler; a record that it panics at is lost.
func (r queued) handOn(inner slog.Handler) {
	Call("the log handler", func() error { //nolint:errcheck // nobody is left to tell
		for _, f := range r.with {
			inner = f(inner)
		}
		if inner.Enabled(r.ctx, r.record.Level) {
			return inner.Handle(r.ctx, r.record)
		}
		return nil
	})
}

// Flush waits until all records have been handed on, for at most a second: a
// handler that blocks holds up nobody.
func (h *Handler) Flush() {
	q := h.queue
	q.mu.Lock()
	if !q.running {
		q.mu.Unlock()
		return
	}
	if q.empty == nil {
		q.empty = make(chan struct{})
	}
	empty := q.empty
	q.mu.Unlock()
	select {
	case <-empty:
	case <-time.After(time.Second):
	}
}
