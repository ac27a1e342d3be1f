package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/trtdet/trtdet/trt"
)

// isTerminal reports whether a person is looking at what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// buildProgress shows a build's phase and time: one line that is written over
// on a terminal, a line per phase elsewhere, the first time it comes. No
// percentage: most of a build is a single step of TensorRT's.
type buildProgress struct {
	w        io.Writer
	terminal bool
	start    time.Time
	stop     chan struct{}
	stopped  sync.WaitGroup

	mu    sync.Mutex
	phase string
	steps string
	seen  map[string]bool
}

func startBuildProgress(w io.Writer) *buildProgress {
	p := &buildProgress{w: w, terminal: isTerminal(w), start: time.Now(), stop: make(chan struct{}),
		phase: "reading the model", seen: map[string]bool{}}
	if p.terminal {
		p.stopped.Go(p.redraw)
	}
	return p
}

// update takes a step of TensorRT's progress.
func (p *buildProgress) update(step trt.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = ""
	if step.Steps > 1 {
		p.steps = fmt.Sprintf(" %d/%d", step.Step, step.Steps)
	}
	p.phase = step.Phase
	if !p.terminal && !p.seen[p.phase] {
		p.seen[p.phase] = true
		fmt.Fprintf(p.w, "%8s  %s\n", seconds(time.Since(p.start).Seconds()), p.phase)
	}
}

func (p *buildProgress) redraw() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		p.mu.Lock()
		fmt.Fprintf(p.w, "\r\x1b[K%8s  %s%s", seconds(time.Since(p.start).Seconds()), p.phase, p.steps)
		p.mu.Unlock()
		select {
		case <-ticker.C:
		case <-p.stop:
			fmt.Fprint(p.w, "\r\x1b[K")
			return
		}
	}
}

// finish clears the line.
func (p *buildProgress) finish() {
	close(p.stop)
	p.stopped.Wait()
}
