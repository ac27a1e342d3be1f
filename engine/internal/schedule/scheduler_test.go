package schedule

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// image is a number, of which a stream makes its double.
type image struct{ number, double int }

// What the streams of tests end in.
var (
	errLost        = errors.New("lost")
	errLostForGood = errors.New("lost for good")
	errRefused     = errors.New("refused")
	errFailed      = errors.New("failed")
)

// testStream takes as long as it is told, and is lost or fails when it is told.
type testStream struct {
	device string
	takes  func(n int) time.Duration
	lost   *atomic.Bool
	fails  func(items []*image) error // nil where none does
	mu     sync.Mutex
	sizes  []int
}

func (l *testStream) Device() string { return l.device }

func (l *testStream) Run(items []*image, interrupted func() context.Context) error {
	l.mu.Lock()
	l.sizes = append(l.sizes, len(items))
	l.mu.Unlock()
	if l.takes != nil {
		select {
		case <-time.After(l.takes(len(items))):
		case <-interrupted().Done():
			return interrupted().Err()
		}
	}
	if l.lost != nil && l.lost.Load() {
		return fmt.Errorf("%s: %w", l.device, errLost)
	}
	if l.fails != nil {
		if err := l.fails(items); err != nil {
			return err
		}
	}
	for _, p := range items {
		p.double = 2 * p.number
	}
	return nil
}

func fixed(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func streams(all ...*testStream) []Stream[*image] {
	var made []Stream[*image]
	for _, l := range all {
		made = append(made, l)
	}
	return made
}

func start(t *testing.T, c Config[*image], all ...*testStream) *Scheduler[*image] {
	t.Helper()
	if c.Batch == 0 {
		c.Batch = 4
	}
	if c.Limit == 0 {
		c.Limit = 100
	}
	if c.Readers == 0 {
		c.Readers = 1
	}
	c.Classify = classify
	s := New(streams(all...), c)
	t.Cleanup(s.Close)
	return s
}

func classify(err error) Failure {
	switch {
	case errors.Is(err, errLost):
		return DeviceLost
	case errors.Is(err, errLostForGood):
		return DeviceLostForGood
	case errors.Is(err, errRefused):
		return Refused
	}
	return Failed
}

// do takes images all the way.
func do(ctx context.Context, s *Scheduler[*image], caller string, numbers ...int) ([]*image, error) {
	c := NewCall[*image]()
	c.Caller = caller
	for _, n := range numbers {
		c.Items = append(c.Items, &image{number: n})
	}
	if err := s.Enter(ctx, c); err != nil {
		return nil, err
	}
	defer s.Exit(c, nil, nil)
	s.Ready(c)
	return c.Items, s.Wait(ctx, c)
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testStream{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*image]{}, lane)
		var all sync.WaitGroup
		for i := range 10 { // the first goes at once, the rest as they fit
			all.Go(func() {
				got, err := do(t.Context(), s, "", i)
				if err != nil || got[0].double != 2*i {
					t.Errorf("%d: %+v, %v", i, got, err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if !slices.Equal(lane.sizes, []int{1, 4, 4, 1}) {
			t.Errorf("batches of %v", lane.sizes)
		}
		stats := s.Stats()
		if stats.Pictures != 10 || stats.Answered != 10 || stats.Batches != 4 || stats.Waiting != 0 || len(stats.Devices) != 1 {
			t.Errorf("%+v", stats)
		}
		if _, err := do(t.Context(), s, "", 1, 2, 3, 4, 5); err == nil {
			t.Error("a call larger than a batch was taken")
		}
	})
}

// A call has waited for as long as the last of its pictures has, however many.
func TestWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{}, &testStream{device: "a", takes: fixed(time.Second)})
		var all sync.WaitGroup
		for i := range 6 { // the last ones wait for their turn, too
			all.Go(func() {
				c := NewCall[*image]()
				for range 4 {
					c.Items = append(c.Items, &image{})
				}
				begin := time.Now()
				if err := s.Enter(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
				defer s.Exit(c, nil, nil)
				s.Ready(c)
				if err := s.Wait(t.Context(), c); err != nil || c.Waited != time.Since(begin)-time.Second {
					t.Errorf("call %d waited %s of %s, %v", i, c.Waited, time.Since(begin), err)
				}
			})
		}
		all.Wait()
	})
}

// TestTurns has one caller put in far more than another, and a call at a time
// from many: the one that comes last is not behind all that came first.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Config[*image]{Batch: 1, Limit: 1000}, &testStream{device: "a", takes: fixed(time.Second)})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { do(t.Context(), s, "greedy", 1) }) //nolint:errcheck // see below
		}
		time.Sleep(10 * time.Second)
		begin := time.Now()
		if _, err := do(t.Context(), s, "modest", 1); err != nil {
			t.Fatal(err)
		}
		// one runs, three are ready, one of the greedy has the turn before
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("the modest caller waited %s behind the greedy", took)
		}
		all.Wait()
		if stats := s.Stats(); stats.Answered != 101 {
			t.Errorf("%+v", stats)
		}
	})
}

func TestOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testStream{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*image]{Batch: 1, Limit: 2}, lane)
		var all sync.WaitGroup
		var refused atomic.Int32
		for range 10 {
			all.Go(func() {
				begin := time.Now()
				_, err := do(t.Context(), s, "", 1)
				if errors.Is(err, ErrQueueFull) && time.Since(begin) == 0 {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if refused.Load() != 4 || s.Stats().Overloaded != 4 { // one runs, three are ready, two wait
			t.Errorf("%d were refused, %+v", refused.Load(), s.Stats())
		}
	})
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testStream{device: "a", takes: fixed(time.Hour)}
		s := start(t, Config[*image]{Batch: 1}, lane)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 10 { // one runs, three are ready, six wait
			all.Go(func() {
				if _, err := do(ctx, s, "", 1); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		begin := time.Now()
		all.Wait()
		if took := time.Since(begin); took != 0 || len(lane.sizes) != 1 {
			t.Errorf("canceled calls took %s, batches of %v", took, lane.sizes)
		}
		if _, err := do(ctx, s, "", 1); !errors.Is(err, context.Canceled) || len(lane.sizes) != 1 {
			t.Error(err)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testStream{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*image]{Batch: 1}, lane)
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, err := do(ctx, s, "", 1)
			return err
		}
		for range minMeasured {
			if err := within(time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		ran := len(lane.sizes)
		begin := time.Now()
		if err := within(500 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 0 || len(lane.sizes) != ran {
			t.Errorf("a deadline that cannot be kept: %v after %s", err, time.Since(begin))
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := within(time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		begin = time.Now()
		if err := within(1500 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 0 {
			t.Errorf("a deadline that cannot be kept behind the batch that runs: %v after %s", err, time.Since(begin))
		}
		if err := within(2 * time.Second); err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("the earliest deadline: %v after %s", err, time.Since(begin))
		}
		all.Wait()
		// a device that has become faster is found out about
		lane.takes = fixed(time.Millisecond)
		for tries := 0; within(100*time.Millisecond) != nil; tries++ {
			if tries > 50 {
				t.Fatal("nothing is run any more")
			}
		}
	})
}

// TestLeastWait has a slow device: one picture waits for the fast one, and when
// there are many both work.
func TestLeastWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := &testStream{device: "fast", takes: fixed(time.Second)}, &testStream{device: "slow", takes: fixed(10 * time.Second)}
		s := start(t, Config[*image]{Batch: 1}, fast, slow)
		var all sync.WaitGroup
		for range 2 * minMeasured * 10 { // both are measured
			all.Go(func() { do(t.Context(), s, "", 1) }) //nolint:errcheck // see below
		}
		all.Wait()
		before := len(slow.sizes)
		if before < minMeasured {
			t.Fatalf("the slow one had %d, the fast %d", before, len(fast.sizes))
		}
		begin := time.Now()
		for range 2 {
			all.Go(func() { do(t.Context(), s, "", 1) }) //nolint:errcheck // see below
			synctest.Wait()
		}
		all.Wait()
		if took := time.Since(begin); took != 2*time.Second || len(slow.sizes) != before {
			t.Errorf("two pictures took %s, %d of them the slow one", took, len(slow.sizes)-before)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testStream{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*image]{MaxDelay: time.Hour}, lane)
		var all sync.WaitGroup
		for i := range 7 {
			all.Go(func() {
				if got, err := do(t.Context(), s, "", i); err != nil || got[0].double != 2*i {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		s.Close()
		all.Wait()
		if _, err := do(t.Context(), s, "", 1); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		s.Close()
	})
}

// TestProperties puts random calls in, of which some are canceled, some have
// deadlines, and some find too many others, while devices are lost and come back:
// each is answered once, with its own picture's double or an error.
func TestProperties(t *testing.T) { synctest.Test(t, testProperties) } // at whose end no goroutine is left

func testProperties(t *testing.T) {
	const calls = 10_000
	var gone [3]atomic.Bool
	lane := func(device int) *testStream {
		return &testStream{device: fmt.Sprint(device), lost: &gone[device], takes: func(n int) time.Duration { return time.Duration(50+10*n) * time.Microsecond }}
	}
	s := New(streams(lane(0), lane(0), lane(1), lane(2)), Config[*image]{
		Batch: 8, Limit: 128, MaxDelay: 1100 * time.Microsecond, Nap: time.Sleep, Backoff: time.Millisecond,
		Classify: classify, Readers: 4,
		Reopen: func(device string) ([]Stream[*image], error) {
			var n int
			fmt.Sscan(device, &n)
			if gone[n].Load() {
				return nil, errLost
			}
			return streams(lane(n)), nil
		},
	})
	var next, answered, failed, refused atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var trouble sync.WaitGroup
	trouble.Go(func() { // two devices come and go, the third stays
		rng := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil {
			time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
			n := rng.IntN(2)
			gone[n].Store(!gone[n].Load())
		}
	})
	var callers sync.WaitGroup
	for caller := range 50 {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(caller), 2))
			for next.Add(1) <= calls {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				switch rng.IntN(4) {
				case 0:
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
				case 1:
					ctx, cancel = context.WithCancel(ctx)
					time.AfterFunc(time.Duration(rng.IntN(1000))*time.Microsecond, cancel)
				}
				numbers := make([]int, 1+rng.IntN(8))
				for i := range numbers {
					numbers[i] = rng.Int()
				}
				got, err := do(ctx, s, []string{"", "one", "two"}[rng.IntN(3)], numbers...)
				switch {
				case err == nil:
					answered.Add(1)
					for i, n := range numbers {
						if got[i].double != 2*n {
							t.Errorf("%d became %d", n, got[i].double)
						}
					}
				case errors.Is(err, ErrQueueFull):
					refused.Add(1)
					time.Sleep(time.Millisecond)
				case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errLost):
					failed.Add(1)
				default:
					t.Errorf("%v", err)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	stop()
	trouble.Wait()
	s.Close()
	if answered.Load() < calls/10 || failed.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d answered, %d failed, %d refused", answered.Load(), failed.Load(), refused.Load())
	}
	stats := s.Stats()
	if n := stats.Answered + stats.Failed + stats.Canceled + stats.Late; stats.Waiting != 0 || n < stats.Pictures {
		t.Errorf("%+v", stats)
	}
	if s.room != (4+aheadBatches)*8+4 || s.readers != 0 || len(s.ready) != 0 || len(s.queue.calls) != 0 || len(s.queue.named) != 0 {
		t.Errorf("room for %d, %d are read, %d ready, %d wait", s.room, s.readers, len(s.ready), len(s.queue.calls))
	}
}

// TestAllocatesNothing holds the scheduler to what it was made with.
func TestAllocatesNothing(t *testing.T) {
	s := start(t, Config[*image]{}, &testStream{device: "a"})
	c := NewCall[*image]()
	c.Items = []*image{{number: 1}, {number: 2}}
	once := func() {
		if err := s.Enter(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s.Ready(c)
		if err := s.Wait(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s.Exit(c, nil, nil)
	}
	once()
	// the stream's list of sizes grows now and then
	if n := testing.AllocsPerRun(1000, once); n > 0 {
		t.Errorf("%g allocations a call", n)
	}
}

func BenchmarkCall(b *testing.B) {
	s := New(streams(&testStream{device: "a"}), Config[*image]{Batch: 8, Limit: 1000})
	defer s.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := NewCall[*image]()
		c.Items = []*image{{number: 1}}
		for pb.Next() {
			if err := s.Enter(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			s.Ready(c)
			if err := s.Wait(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			s.Exit(c, nil, nil)
		}
	})
}
