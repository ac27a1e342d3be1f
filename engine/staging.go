package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/trtdet/trtdet/engine/internal/guard"
	"github.com/trtdet/trtdet/imaging"
)

// PanicError is the error of a call whose image or context panicked.
type PanicError struct {
	// In names what was called, such as "the image".
	In string
	// Value is what it panicked with, Stack where.
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return (*guard.PanicError)(e).Error() }

// Unwrap returns the value, where that is an error.
func (e *PanicError) Unwrap() error { return (*guard.PanicError)(e).Unwrap() }

// runGuarded runs code of the caller's, a panic of which is a *PanicError.
func runGuarded(in string, f func() error) error { return panicked(guard.Call(in, f)) }

// panicked has guard's panic as a *PanicError, and any other error as it is.
func panicked(err error) error {
	if p, ok := err.(*guard.PanicError); ok { //nolint:errorlint // guard wraps nothing
		return (*PanicError)(p)
	}
	return err
}

// runsOtherCode reports whether an image is of a type that is its owner's, whose
// methods may panic or block.
func (in inputs) runsOtherCode() bool {
	for _, s := range in.sources {
		if imaging.RunsOtherCode(s) {
			return true
		}
	}
	return false
}

// withoutOtherCode returns the inputs with those images read that run code of their
// owner's.
func (in inputs) withoutOtherCode() (inputs, error) {
	read := make([]imaging.Source, len(in.sources))
	for i, s := range in.sources {
		read[i] = s
		if !imaging.RunsOtherCode(s) {
			continue
		}
		if err := runGuarded("the image", func() error {
			p, err := imaging.Load(s, nil)
			read[i] = p
			return err
		}); err != nil {
			return in, in.wrap(i, err)
		}
	}
	in.sources = read
	return in, nil
}

// wrap says which of several images an error is about.
func (in inputs) wrap(i int, err error) error {
	if n := max(in.count(), in.all); n > 1 {
		return fmt.Errorf("picture %d of %d: %w", in.first+i+1, n, err)
	}
	return err
}

// stage has the images read.
func (c *core) stage(r *request, in inputs) error {
	n := in.count()
	if n > 1 && runtime.GOMAXPROCS(0) > 1 && takesLong(in.sources) {
		return c.stageBeside(r, in)
	}
	for i := range n {
		if err := c.stageOne(r, in, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) stageOne(r *request, in inputs, i int) error {
	err := runGuarded("the image", func() error {
		if len(in.tensors) > 0 {
			return c.backend.StageTensor(r.pictures[i], in.tensors[i])
		}
		return c.backend.Stage(r.pictures[i], in.sources[i])
	})
	if err != nil {
		return in.wrap(i, err)
	}
	return nil
}

// stageBeside has several images read at once.
func (c *core) stageBeside(r *request, in inputs) error {
	n := in.count()
	errs := make([]error, n)
	var next atomic.Int32
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = c.stageOne(r, in, i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// takesLong reports whether images take longer to read than goroutines to start.
func takesLong(sources []imaging.Source) bool {
	const copied = 1 << 20 // bytes in some 100 us
	bytes := 0
	for _, s := range sources {
		switch s := s.(type) {
		case *imaging.Picture:
			bytes += len(s.Pix)
		case *imaging.Raw:
			bytes += len(s.Pix)
		default: // it has to be decoded, or looked at pixel by pixel
			return true
		}
	}
	return bytes > copied
}

func (c *core) unstage(r *request) {
	for _, p := range r.call.Items {
		c.backend.Unstage(p)
	}
}
