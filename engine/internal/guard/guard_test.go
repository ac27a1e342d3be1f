package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCall(t *testing.T) {
	if err := Call("the image", func() error { return io.EOF }); err != io.EOF { //nolint:errorlint // it is passed on as it is
		t.Error(err)
	}
	err := Call("the image", func() error { panic(io.ErrShortBuffer) })
	var panicked *PanicError
	if !errors.As(err, &panicked) || !errors.Is(err, io.ErrShortBuffer) || err.Error() != "the image panicked: short buffer" ||
		!strings.Contains(string(panicked.Stack), "TestCall") {
		t.Errorf("%v", err)
	}
}

// wild is a context that panics wherever it is told to.
type wild struct {
	context.Context
	done, deadline, err, value bool
}

func (w wild) Done() <-chan struct{} {
	if w.done {
		panic("done")
	}
	return w.Context.Done()
}

func (w wild) Deadline() (time.Time, bool) {
	if w.deadline {
		panic("deadline")
	}
	return w.Context.Deadline()
}

func (w wild) Err() error {
	if w.err {
		panic("err")
	}
	return w.Context.Err()
}

func (w wild) Value(key any) any {
	if w.value {
		panic("value")
	}
	return w.Context.Value(key)
}

func TestContext(t *testing.T) {
	inner, cancel := context.WithCancel(context.WithValue(t.Context(), wild{}, 1))
	defer cancel()
	for _, w := range []wild{{Context: inner, done: true}, {Context: inner, deadline: true}, {}} {
		if err := new(Context).Set(w); !errors.As(err, new(*PanicError)) {
			t.Errorf("%+v: %v", w, err)
		}
	}
	var calm, upset Context
	err := calm.Set(inner)
	if err != nil || calm.Err() != nil || calm.Value(wild{}) != 1 {
		t.Errorf("%v, %v, %v", err, calm.Err(), calm.Value(wild{}))
	}
	err = upset.Set(wild{Context: inner, err: true, value: true})
	if err != nil || upset.Err() != nil || upset.Value(wild{}) != nil {
		t.Errorf("%v, %v, %v", err, upset.Err(), upset.Value(wild{}))
	}
	child, stop := context.WithCancel(&upset) // has a goroutine of the standard library's call Err
	defer stop()
	cancel()
	<-child.Done()
	if !errors.Is(calm.Err(), context.Canceled) || !errors.Is(upset.Err(), context.Canceled) {
		t.Errorf("%v, %v", calm.Err(), upset.Err())
	}
}

func TestHandler(t *testing.T) {
	var written bytes.Buffer
	h := NewHandler(slog.NewTextHandler(&written, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log := slog.New(h)
	log.Info("one", "a", 1)
	log.With("b", 2).WithGroup("g").Warn("two", "c", 3)
	log.Debug("not enabled")
	h.Flush()
	if want := "level=INFO msg=one a=1\nlevel=WARN msg=two b=2 g.c=3\n"; written.String() != want {
		t.Errorf("%q, want %q", written.String(), want)
	}
}

// handler does with a record what a test wants.
type handler func(slog.Record) error

func (h handler) Enabled(context.Context, slog.Level) bool      { return true }
func (h handler) Handle(_ context.Context, r slog.Record) error { return h(r) }
func (h handler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handler) WithGroup(string) slog.Handler                 { return h }
func record(i int) slog.Record                                  { return slog.NewRecord(time.Time{}, 0, fmt.Sprint(i), 0) }
func hand(t *testing.T, h *Handler, i int)                      { t.Helper(); check(t, h.Handle(t.Context(), record(i))) }
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// A handler that panics loses that record, one that blocks holds up nobody and
// gets as much as is kept for it.
func TestHandlerThatMisbehaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		block := make(chan struct{})
		h := NewHandler(handler(func(r slog.Record) error {
			if r.Message == "1" {
				panic("a record it does not like")
			}
			if r.Message == "2" {
				<-block
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r.Message)
			return io.EOF
		}))
		for i := range 3 {
			hand(t, h, i)
			synctest.Wait()
		}
		for i := range maxRecords + 10 {
			hand(t, h, 3+i)
		}
		h.Flush() // in vain
		close(block)
		h.Flush()
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 2+maxRecords+1 || got[0] != "0" || got[1] != "2" || got[2] != "3" || got[len(got)-1] != "the log handler did not keep up" {
			t.Errorf("%d records: %v ... %v", len(got), got[:3], got[len(got)-1])
		}
	})
}
