package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// program is a command that is run once, as a whole.
type program struct{ *exec.Cmd }

// spent is what a run of a program took.
type spent struct {
	seconds float64
	memory  float64 // bytes, at its peak
}

func (p program) spend() (spent, error) {
	var said bytes.Buffer
	p.Stderr = &said
	start := time.Now()
	err := p.Run()
	s := spent{seconds: time.Since(start).Seconds()}
	if err != nil {
		return s, fmt.Errorf("%s: %w\n%s", p.Path, err, said.String())
	}
	if usage, ok := p.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.memory = float64(usage.Maxrss) * 1024 // Linux counts in KiB
	}
	return s, nil
}

// output runs it and returns what it prints.
func (p program) output() (string, error) {
	var said bytes.Buffer
	p.Stderr = &said
	out, err := p.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", p.Path, err, said.String())
	}
	return string(out), nil
}

// server is peer.py's serve: it stays, so that its start is in no figure.
type server struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	said    bytes.Buffer
}

func serve(c *exec.Cmd) (*server, error) {
	s := &server{command: c}
	c.Stderr = &s.said
	var err error
	if s.in, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		return nil, err
	}
	if !s.out.Scan() {
		return nil, s.died()
	}
	return s, nil
}

// ask has the work repeated and returns the median seconds of one, and what
// it came to.
func (s *server) ask(repetitions int) (seconds float64, result int, err error) {
	if _, err := fmt.Fprintln(s.in, repetitions); err != nil {
		return 0, 0, s.died()
	}
	if !s.out.Scan() {
		return 0, 0, s.died()
	}
	var answer struct {
		Seconds float64
		Result  int
	}
	err = json.Unmarshal(s.out.Bytes(), &answer)
	return answer.Seconds, answer.Result, err
}

func (s *server) died() error {
	return fmt.Errorf("%s: %v\n%s", s.command.Path, s.command.Wait(), s.said.String())
}

func (s *server) close() {
	s.in.Close()
	s.command.Wait() //nolint:errcheck // its answers are all in
}
