package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/trtdet/trtdet/tests/await"
)

// process is a run of the program that is looked at, and signaled, while it
// runs.
type process struct {
	*exec.Cmd
	stdout, stderr said
	ended          chan struct{}
}

// said is what a program has said so far.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newProcess is not started yet, so that its files can be others.
func newProcess(dir string, c *exec.Cmd) *process {
	p := &process{Cmd: c, ended: make(chan struct{})}
	p.Dir, p.Stdout, p.Stderr = dir, &p.stdout, &p.stderr
	return p
}

// begin starts the program, which the test's end kills.
func begin(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := newProcess(dir, exec.Command(trtdet, args...))
	p.start(t)
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait() //nolint:errcheck // the exit status is looked at
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill() //nolint:errcheck // most often it has ended
		<-p.ended
		if p.Dir != "" {
			noProcess(t, p.Dir) // before the folder is removed
		}
	})
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// until waits for something that happens while the program runs.
func (p *process) until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	await.Until(t, what, func() bool {
		ended := p.hasEnded() // before the look
		if happened() {
			return true
		}
		if ended {
			t.Fatalf("it ended (%s) before %s: %s", p.ProcessState, what, p.stderr.String())
		}
		return false
	})
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
}

// end waits until the program has ended.
func (p *process) end(t *testing.T) outcome {
	t.Helper()
	await.Until(t, "it ends", p.hasEnded)
	return outcome{p.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// killedBy tells whether a signal ended the program, which did nothing about it.
func (p *process) killedBy(s syscall.Signal) bool {
	status := p.ProcessState.Sys().(syscall.WaitStatus)
	return status.Signaled() && status.Signal() == s
}

// children are the processes that a program has started.
func (p *process) children(t *testing.T) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// after the name, in parentheses: the state, the parent
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err == nil && fields[1] == fmt.Sprint(p.Process.Pid) && fields[0] != "Z" {
			found = append(found, pid)
		}
	}
	return found
}

// living are the processes that run in a folder.
func living(dir string) []string {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(links, func(link string) bool {
		cwd, err := os.Readlink(link) // one that has ended has none
		return err != nil || cwd != dir
	})
}

// noProcess waits until none is left in a folder: a child notices that its
// parent has gone.
func noProcess(t *testing.T, dir string) {
	t.Helper()
	await.Until(t, "every process has ended", func() bool { return len(living(dir)) == 0 })
}

// loads tells whether a program has mapped a library, by the start of its name.
func (p *process) loads(library string) bool {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.Process.Pid))
	return err == nil && bytes.Contains(maps, []byte("/"+library))
}

// has tells whether a program has a file open.
func (p *process) has(path string) bool {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Process.Pid))
	if err != nil {
		return false
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == path {
			return true
		}
	}
	return false
}

// narrow makes a pipe that holds a page, so that a program which writes more
// waits for its reader.
func narrow(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err == nil {
		_, err = unix.FcntlInt(reader.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// firstLine reads no further.
func firstLine(t *testing.T, from *os.File) string {
	t.Helper()
	var line []byte
	for one := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); {
		if _, err := from.Read(one); err != nil { // a bufio.Reader takes 16 bytes at least
			t.Fatal(err)
		}
		line = append(line, one...)
	}
	return string(line)
}
