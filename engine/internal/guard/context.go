package guard

import (
	"context"
	"time"
)

// Context is a caller's context, of which everything is known beforehand but when
// it ends and why. Its methods do not panic, and only Err and Value call the
// caller's.
type Context struct {
	inner    context.Context
	done     <-chan struct{}
	deadline time.Time
	bounded  bool
}

// Set makes it another context's. The error is a *PanicError.
func (c *Context) Set(inner context.Context) (err error) {
	defer Recover("the context", &err)
	*c = Context{inner: inner, done: inner.Done()}
	c.deadline, c.bounded = inner.Deadline()
	return nil
}

// Deadline implements context.Context.
func (c *Context) Deadline() (time.Time, bool) { return c.deadline, c.bounded }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} { return c.done }

// Err implements context.Context. A context that has ended and does not say why
// is canceled.
func (c *Context) Err() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	var why error
	if err := Call("the context", func() error { why = c.inner.Err(); return nil }); err != nil || why == nil {
		return context.Canceled
	}
	return why
}

// Value implements context.Context; nil where the caller's panics.
func (c *Context) Value(key any) (value any) {
	defer func() {
		if recover() != nil {
			value = nil
		}
	}()
	return c.inner.Value(key)
}
