package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/trtdet/trtdet/trt"
)

// buildProgress shows a build's phase and time: the status line on a terminal,
// a line per phase elsewhere, the first time it comes. No percentage: most of a
// build is a single step of TensorRT's.
type buildProgress struct {
	console *console
	start   time.Time
	stop    chan struct{}
	stopped sync.WaitGroup

	mu    sync.Mutex
	phase string
	steps string
	seen  map[string]bool
}

func startBuildProgress(c *console) *buildProgress {
	p := &buildProgress{console: c, start: time.Now(), stop: make(chan struct{}), phase: "reading the model", seen: map[string]bool{}}
	if c.terminal {
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
	if !p.console.terminal && !p.seen[p.phase] {
		p.seen[p.phase] = true
		fmt.Fprintln(p.console, p.line())
	}
}

func (p *buildProgress) line() string {
	return fmt.Sprintf("%8s  %s", seconds(time.Since(p.start).Seconds()), p.phase)
}

func (p *buildProgress) redraw() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		p.mu.Lock()
		status := p.line() + p.steps
		p.mu.Unlock()
		p.console.show(status)
		select {
		case <-ticker.C:
		case <-p.stop:
			p.console.show("")
			return
		}
	}
}

// finish takes the status line away.
func (p *buildProgress) finish() {
	close(p.stop)
	p.stopped.Wait()
}

// runProgress shows how many pictures of a run are done, as a bar in the
// status line.
type runProgress struct {
	console *console
	bar     *progressbar.ProgressBar
}

// startRunProgress expects total pictures, -1 where nobody knows.
func startRunProgress(c *console, total int) runProgress {
	bar := progressbar.NewOptions(total, progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetDescription("pictures"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("pictures"), progressbar.OptionSetWidth(min(40, c.width()/4)),
		// drawn by step alone
		progressbar.OptionSetSpinnerChangeInterval(0))
	bar.StartWithoutRender() // the clock: it would start when the first picture is done
	return runProgress{c, bar}
}

// step draws the bar one picture on.
func (p runProgress) step() {
	if p.console.terminal {
		p.bar.Add(1) //nolint:errcheck // a bar that cannot be drawn is no loss
		p.console.show(p.bar.String())
	}
}

func (p runProgress) finish() { p.console.show("") }
