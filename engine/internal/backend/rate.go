package backend

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Rate has each of a number of slots run batches of as many pictures until d is
// over, and returns pictures a second. run runs batches until stop says so, and
// returns how many.
func Rate(ctx context.Context, slots, pictures int, d time.Duration, run func(ctx context.Context, stop func() bool) (runs int, err error)) (float64, error) {
	start := time.Now()
	stop := func() bool { return ctx.Err() != nil || time.Since(start) >= d }
	var all sync.WaitGroup
	runs, errs := make([]int, slots), make([]error, slots)
	for i := range slots {
		all.Go(func() { runs[i], errs[i] = run(ctx, stop) })
	}
	all.Wait()
	took := time.Since(start)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return 0, err
	}
	total := 0
	for _, n := range runs {
		total += n
	}
	return float64(total*pictures) / took.Seconds(), nil
}
