package schedule

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestBytes bounds the memory of calls: what exceeds the limit by itself is
// refused, what fits waits until there is room, and others go on meanwhile.
func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{Batch: 4, Bytes: 100, Readers: 4}, &testStream{device: "a", takes: fixed(time.Second)})
		call := func(bytes int64) error {
			c := NewCall[*image]()
			c.Items, c.Bytes = []*image{{}}, bytes
			if err := s.Enter(t.Context(), c); err != nil {
				return err
			}
			defer s.Exit(c, nil, nil)
			if s.Stats().Bytes > 100 {
				t.Errorf("%d bytes are taken", s.Stats().Bytes)
			}
			s.Ready(c)
			return s.Wait(t.Context(), c)
		}
		if err := call(101); !errors.Is(err, ErrTooLarge) || s.Stats().TooLarge != 1 {
			t.Errorf("%v, %+v", err, s.Stats())
		}
		var all sync.WaitGroup
		for _, bytes := range []int64{60, 60, 60, 60, 10, 100, 10, 1} {
			all.Go(func() {
				if err := call(bytes); err != nil {
					t.Errorf("%d bytes: %v", bytes, err)
				}
			})
		}
		all.Wait()
		if stats := s.Stats(); stats.Answered != 8 || stats.Bytes != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

// TestBatchBytes bounds the memory of batches.
func TestBatchBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := &testStream{device: "a", takes: fixed(time.Second), fails: func(items []*image) error {
			size := 0
			for _, item := range items {
				size += item.number
			}
			if size > 100 {
				t.Errorf("a batch of %d bytes", size)
			}
			return nil
		}}
		s := start(t, Config[*image]{Batch: 4, BatchBytes: 100, Size: func(i *image) int64 { return int64(i.number) }}, stream)
		var all sync.WaitGroup
		for _, bytes := range []int{60, 60, 30, 30, 30, 100, 10, 1} {
			all.Go(func() {
				if _, err := do(t.Context(), s, "", bytes); err != nil {
					t.Errorf("%d bytes: %v", bytes, err)
				}
			})
		}
		all.Wait()
	})
}

// TestReaders has as many images read at once as there are readers, whatever the
// batch and the streams are.
func TestReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers = 16
		s := start(t, Config[*image]{Batch: 1, Readers: readers, Limit: 1000}, &testStream{device: "a", takes: fixed(500 * time.Microsecond)})
		begin := time.Now()
		var all sync.WaitGroup
		var mu sync.Mutex
		var reading, most int
		for range 10 * readers {
			all.Go(func() {
				c := NewCall[*image]()
				c.Items = []*image{{}}
				if err := s.Enter(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
				defer s.Exit(c, nil, nil)
				mu.Lock()
				reading++
				most = max(most, reading)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
				mu.Lock()
				reading--
				mu.Unlock()
				s.Ready(c)
				if err := s.Wait(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		// 160 images of 0.5 ms each, behind the first 10 ms of reading
		if took := time.Since(begin); most != readers || took > 120*time.Millisecond {
			t.Errorf("%d were read at once, all took %s", most, took)
		}
	})
}

// TestCopied has a caller go away while a device runs its images: it is let go at
// once, and what its images lie in is given back when the device is done.
func TestCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := false
		s := start(t, Config[*image]{Bytes: 10}, &testStream{device: "a", fails: func([]*image) error {
			time.Sleep(time.Hour) // and is not interrupted
			if failing {
				return errFailed
			}
			return nil
		}})
		for _, failing = range []bool{false, true} {
			c := NewCall[*image]()
			c.Items, c.Bytes, c.Copied = []*image{{}}, 10, true
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begin := time.Now()
			if err := s.Enter(ctx, c); err != nil {
				t.Fatal(err)
			}
			s.Ready(c)
			if err := s.Wait(ctx, c); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
				t.Errorf("%v after %s", err, time.Since(begin))
			}
			released := make(chan time.Duration, 1)
			s.Exit(c, nil, func() { released <- time.Since(begin) })
			if s.Stats().Bytes != 10 {
				t.Errorf("the memory of a running batch is given away: %+v", s.Stats())
			}
			if after := <-released; after != time.Hour {
				t.Errorf("released after %s", after)
			}
			synctest.Wait()
			if stats := s.Stats(); stats.Bytes != 0 || stats.Retried != 0 {
				t.Errorf("%+v", stats)
			}
		}
	})
}

// TestExitEarly leaves a call in each of its states, as a caller that panics does.
func TestExitEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{Batch: 1}, &testStream{device: "a", takes: fixed(time.Second)})
		for i := range 40 {
			c := NewCall[*image]()
			c.Items = []*image{{}}
			if err := s.Enter(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			left := false
			if i%4 > 0 {
				s.Ready(c)
			}
			if i%4 > 1 {
				synctest.Wait() // it runs
			}
			if i%4 > 2 {
				time.Sleep(time.Minute) // it is done
			}
			s.Exit(c, errFailed, func() { left = true })
			synctest.Wait()
			time.Sleep(time.Minute)
			if !left {
				t.Fatalf("%d: not released", i)
			}
		}
		if _, err := do(t.Context(), s, "", 1); err != nil {
			t.Error(err)
		}
		if stats := s.Stats(); stats.Bytes != 0 || s.calls != 0 || s.readers != 0 || s.room != 3*1+1 {
			t.Errorf("%+v, %d calls, %d readers, room for %d", stats, s.calls, s.readers, s.room)
		}
	})
}
