package cuda

import (
	"errors"
	"fmt"
	"slices"
)

// ErrLost is wrapped by errors of work that has no GPU left to run on: each has
// failed in a way that ends everything on it.
var ErrLost = errors.New("the GPU is lost to this process")

// isLost reports whether an error is, or holds among others, the driver's that
// a GPU is lost.
func isLost(err error) bool { return anyError(err, (*Error).Lost) }

// Permanent reports whether an error is, or holds among others, the driver's
// that a GPU is lost until the process ends: opening it anew cannot help.
func Permanent(err error) bool { return anyError(err, (*Error).Permanent) }

// anyError reports whether is holds for one of the driver's errors in an error.
// errors.As would look at the first of them only.
func anyError(err error, is func(*Error) bool) bool {
	switch e := err.(type) {
	case *Error:
		return is(e)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(part error) bool { return anyError(part, is) })
	case interface{ Unwrap() error }:
		return anyError(e.Unwrap(), is)
	}
	return false
}

// isOutOfMemory reports whether an error is, or holds among others, the driver's
// that there is no more memory.
func isOutOfMemory(err error) bool { return anyError(err, (*Error).outOfMemory) }

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
