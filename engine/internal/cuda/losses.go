package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

// losses are the GPUs that a Backend has lost, and why. Any goroutine may use
// it.
type losses struct {
	all     chan struct{} // closed when no GPU is left
	explain func(ordinal int) string
	log     *slog.Logger
	mu      sync.Mutex
	devices int
	reasons map[*Device]error
}

func newLosses(devices int, explain func(ordinal int) string, log *slog.Logger) *losses {
	if explain == nil {
		explain = func(int) string { return "" }
	}
	return &losses{all: make(chan struct{}), explain: explain, log: log, devices: devices, reasons: map[*Device]error{}}
}

// of returns why a device is lost, nil while it is not.
func (l *losses) of(d *Device) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reasons[d]
}

// add takes a device out.
func (l *losses) add(d *Device, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reasons[d] != nil {
		return
	}
	what := l.explain(d.Ordinal)
	if what == "" {
		what = "start the process again; if that fails too, nvidia-smi and the kernel's log (dmesg, Xid) say what the GPU needs"
	}
	l.reasons[d] = fmt.Errorf("%s: %w: %w: %s", d, ErrLost, err, what)
	l.log.Error("a GPU is lost", "GPUs left", l.devices-len(l.reasons), "reason", l.reasons[d])
	if len(l.reasons) == l.devices {
		close(l.all)
	}
}

// err is why all are lost.
func (l *losses) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, err := range l.reasons {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
