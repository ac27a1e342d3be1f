package guard

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic of a caller's code.
type PanicError struct {
	// In names what was called, such as "the image".
	In string
	// Value is what it panicked with, Stack where.
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("%s panicked: %v", e.In, e.Value) }

// Unwrap returns the value, where that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Call returns f's error, or a *PanicError.
func Call(in string, f func() error) (err error) {
	defer Recover(in, &err)
	return f()
}

// Recover is deferred; it turns a panic into an error.
func Recover(in string, err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{In: in, Value: v, Stack: debug.Stack()}
	}
}
