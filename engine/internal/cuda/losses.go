package cuda

import (
	"errors"
	"fmt"
)

// ErrLost is wrapped by errors of work that has no GPU left to run on: each has
// failed in a way that ends everything on it.
var ErrLost = errors.New("the GPU is lost to this process")

// isLost reports whether an error is, or holds among others, the driver's that
// a GPU is lost.
func isLost(err error) bool {
	switch e := err.(type) {
	case *Error:
		return e.Lost()
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if isLost(part) {
				return true
			}
		}
	case interface{ Unwrap() error }:
		return isLost(e.Unwrap())
	}
	return false
}

// isOutOfMemory reports whether an error is, or holds among others, the driver's
// that there is no more memory.
func isOutOfMemory(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.outOfMemory()
}

// unlessLost returns an error of freeing, but none where the GPU is lost: what it
// had is gone with it.
func unlessLost(err error) error {
	if isLost(err) {
		return nil
	}
	return err
}

// lossOf returns an error as it is, but one that a GPU is lost by with ErrLost
// and what to do.
func lossOf(d *Device, err error, explain func(ordinal int) string) error {
	if !isLost(err) {
		return err
	}
	what := ""
	if explain != nil {
		what = explain(d.Ordinal)
	}
	if what == "" {
		what = "start the process again; if that fails too, nvidia-smi and the kernel's log (dmesg, Xid) say what the GPU needs"
	}
	return fmt.Errorf("%w: %w: %s", ErrLost, err, what)
}
