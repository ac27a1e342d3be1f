package schedule

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// picture is a number, of which a lane makes its double.
type picture struct{ number, double int }

var errLost = errors.New("lost")

// lane takes as long as it is told, and is lost when it is told.
type testLane struct {
	device string
	takes  func(n int) time.Duration
	lost   *atomic.Bool
	mu     sync.Mutex
	sizes  []int
}

func (l *testLane) Device() string { return l.device }

func (l *testLane) Run(items []*picture, interrupted func() context.Context) error {
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
	for _, p := range items {
		p.double = 2 * p.number
	}
	return nil
}

func fixed(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func lanes(all ...*testLane) []Lane[*picture] {
	var made []Lane[*picture]
	for _, l := range all {
		made = append(made, l)
	}
	return made
}

func start(t *testing.T, c Config[*picture], all ...*testLane) *Scheduler[*picture] {
	t.Helper()
	if c.Batch == 0 {
		c.Batch = 4
	}
	if c.Limit == 0 {
		c.Limit = 100
	}
	c.Lost = func(err error) bool { return errors.Is(err, errLost) }
	s := New(lanes(all...), c)
	t.Cleanup(s.Close)
	return s
}

// do takes pictures all the way.
func do(ctx context.Context, s *Scheduler[*picture], caller string, numbers ...int) ([]*picture, error) {
	c := NewCall[*picture]()
	c.Caller = caller
	for _, n := range numbers {
		c.Items = append(c.Items, &picture{number: n})
	}
	if err := s.Enter(ctx, c); err != nil {
		return nil, err
	}
	s.Ready(c)
	return c.Items, s.Wait(ctx, c)
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testLane{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*picture]{}, lane)
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
		s := start(t, Config[*picture]{}, &testLane{device: "a", takes: fixed(time.Second)})
		var all sync.WaitGroup
		for i := range 6 { // the last ones wait for their turn, too
			all.Go(func() {
				c := NewCall[*picture]()
				for range 4 {
					c.Items = append(c.Items, &picture{})
				}
				begin := time.Now()
				if err := s.Enter(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
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
		s := start(t, Config[*picture]{Batch: 1, Limit: 1000}, &testLane{device: "a", takes: fixed(time.Second)})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { do(t.Context(), s, "greedy", 1) }) //nolint:errcheck // see below
		}
		synctest.Wait()
		begin := time.Now()
		if _, err := do(t.Context(), s, "modest", 1); err != nil {
			t.Fatal(err)
		}
		// one runs, two are ready, one of the greedy has the turn before
		if took := time.Since(begin); took > 5*time.Second {
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
		lane := &testLane{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*picture]{Batch: 1, Limit: 2}, lane)
		var all sync.WaitGroup
		var refused atomic.Int32
		for range 10 {
			all.Go(func() {
				begin := time.Now()
				_, err := do(t.Context(), s, "", 1)
				if errors.Is(err, ErrOverloaded) && time.Since(begin) == 0 {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if refused.Load() != 5 || s.Stats().Overloaded != 5 { // one runs, two are ready, two wait
			t.Errorf("%d were refused, %+v", refused.Load(), s.Stats())
		}
	})
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := &testLane{device: "a", takes: fixed(time.Hour)}
		s := start(t, Config[*picture]{Batch: 1}, lane)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 10 { // one runs, two are ready, seven wait
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
		lane := &testLane{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*picture]{Batch: 1}, lane)
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, err := do(ctx, s, "", 1)
			return err
		}
		for range fewestMeasured {
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
		if err := within(2 * time.Second); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 0 {
			t.Errorf("a deadline that cannot be kept behind others: %v after %s", err, time.Since(begin))
		}
		all.Wait()
		// a lane that has become faster is found out about
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
		fast, slow := &testLane{device: "fast", takes: fixed(time.Second)}, &testLane{device: "slow", takes: fixed(10 * time.Second)}
		s := start(t, Config[*picture]{Batch: 1}, fast, slow)
		var all sync.WaitGroup
		for range 2 * fewestMeasured * 10 { // both are measured
			all.Go(func() { do(t.Context(), s, "", 1) }) //nolint:errcheck // see below
		}
		all.Wait()
		before := len(slow.sizes)
		if before < fewestMeasured {
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
		lane := &testLane{device: "a", takes: fixed(time.Second)}
		s := start(t, Config[*picture]{MaxDelay: time.Hour}, lane)
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
func TestProperties(t *testing.T) {
	const calls = 10_000
	before := runtime.NumGoroutine()
	var gone [3]atomic.Bool
	lane := func(device int) *testLane {
		return &testLane{device: fmt.Sprint(device), lost: &gone[device], takes: func(n int) time.Duration { return time.Duration(50+10*n) * time.Microsecond }}
	}
	s := New(lanes(lane(0), lane(0), lane(1), lane(2)), Config[*picture]{
		Batch: 8, Limit: 128, MaxDelay: 1100 * time.Microsecond, Nap: time.Sleep, Probe: time.Millisecond,
		Lost: func(err error) bool { return errors.Is(err, errLost) },
		Reopen: func(device string) ([]Lane[*picture], error) {
			var n int
			fmt.Sscan(device, &n)
			if gone[n].Load() {
				return nil, errLost
			}
			return lanes(lane(n)), nil
		},
	})
	var next, answered, failed, refused atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	go func() { // two devices come and go, the third stays
		rng := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil {
			time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
			n := rng.IntN(2)
			gone[n].Store(!gone[n].Load())
		}
	}()
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
				case errors.Is(err, ErrOverloaded):
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
	s.Close()
	if answered.Load() < calls/10 || failed.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d answered, %d failed, %d refused", answered.Load(), failed.Load(), refused.Load())
	}
	stats := s.Stats()
	if n := stats.Answered + stats.Failed + stats.Canceled + stats.Late; stats.Waiting != 0 || n < stats.Pictures {
		t.Errorf("%+v", stats)
	}
	if s.free != (4+aheadBatches)*8 || len(s.ready) != 0 || len(s.ring.callers) != 0 {
		t.Errorf("%d free, %d ready, %d callers", s.free, len(s.ready), len(s.ring.callers))
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before there were %d", runtime.NumGoroutine(), before)
		}
	}
}

// TestAllocatesNothing holds the scheduler to what it was made with.
func TestAllocatesNothing(t *testing.T) {
	s := start(t, Config[*picture]{}, &testLane{device: "a"})
	c := NewCall[*picture]()
	c.Items = []*picture{{number: 1}, {number: 2}}
	once := func() {
		if err := s.Enter(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s.Ready(c)
		if err := s.Wait(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	once()
	// the lane's list of sizes grows now and then
	if n := testing.AllocsPerRun(1000, once); n > 0 {
		t.Errorf("%g allocations a call", n)
	}
}

func BenchmarkCall(b *testing.B) {
	s := New(lanes(&testLane{device: "a"}), Config[*picture]{Batch: 8, Limit: 1000})
	defer s.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := NewCall[*picture]()
		c.Items = []*picture{{number: 1}}
		for pb.Next() {
			if err := s.Enter(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			s.Ready(c)
			if err := s.Wait(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
