// Command forgetful builds an engine in a child that is this same program, and
// has forgotten to call engine.BuildChild. Each of its processes adds a line to
// the file COUNT.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/trtdet/trtdet/engine"
)

// most is how many processes there may be where nothing else ends them.
const most = 8

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, engine.ErrNotChild) {
			os.Exit(3)
		}
		os.Exit(1)
	}
}

func run(count, onnx, plan string) error {
	f, err := os.OpenFile(count, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("\n"); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > most {
		return fmt.Errorf("more than %d processes", most)
	}
	plan = fmt.Sprint(os.Getpid(), plan) // an output of its own: the parent's is locked
	_, err = engine.Build(context.Background(), onnx, plan, &engine.BuildOptions{Child: os.Args})
	return err
}
