package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// console is standard error: lines, and on a terminal a status line below them
// that is written over. Any goroutine may use it.
type console struct {
	w        io.Writer
	terminal bool

	mu     sync.Mutex
	status string
}

func newConsole(w io.Writer) *console {
	f, ok := w.(*os.File)
	return &console{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// clear goes back to the start of the terminal's line and empties it.
const clear = "\r\x1b[K"

// Write prints whole lines, above the status line where there is one.
func (c *console) Write(p []byte) (n int, err error) {
	c.above(func() { n, err = c.w.Write(p) })
	return n, err
}

// above lets print write to the same terminal by another way.
func (c *console) above(print func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == "" {
		print()
		return
	}
	io.WriteString(c.w, clear) //nolint:errcheck // a status line that cannot be drawn is no loss
	print()
	io.WriteString(c.w, c.status) //nolint:errcheck // see above
}

// show replaces the status line, which is drawn on a terminal only; "" takes
// it away.
func (c *console) show(status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.terminal && (c.status != "" || status != "") {
		io.WriteString(c.w, clear+status) //nolint:errcheck // see above
		c.status = status
	}
}

// width is the terminal's in columns.
func (c *console) width() int {
	if width := columns(c.w); width > 0 {
		return width
	}
	return 80
}

// columns is the width of the terminal that is written to, 0 where it is none.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return max(width, 0)
		}
	}
	return 0
}

// isFile reports whether what is written stays in a file.
func isFile(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}
