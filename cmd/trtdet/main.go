// Command trtdet builds TensorRT engines from detectors with decoupled heads
// and finds objects in pictures with them. See trtdet --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtdet/trtdet/report"
)

// Exit statuses.
const (
	exitFailed = 1 // something could not be read, built or run
	exitUsage  = 2 // the command line is wrong
	// exitSignal and a signal's number are the status of a command that the signal
	// ended, as a shell counts it: 130 after Ctrl+C, 143 after SIGTERM, 129 after
	// SIGHUP, 141 where nobody reads standard output any more.
	exitSignal = 128
)

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a command whose errors have been printed already.
var errReported = errors.New("")

// grace is how long a command may take to end once it is told to.
const grace = 5 * time.Second

// interruption is the signal that a command ends by.
type interruption syscall.Signal

func (interruption) Error() string { return "interrupted" }

func (i interruption) status() int { return exitSignal + int(i) }

func main() {
	ctx := untilSignal(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// a reader that goes away is an error of the write, not the end of the program in the middle of saving a picture
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// untilSignal returns a context that the first of the signals cancels, with an
// interruption as its cause. The program ends some time later whatever it does,
// and a second signal ends it at once.
func untilSignal(signals ...os.Signal) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	come := make(chan os.Signal, 1)
	signal.Notify(come, signals...)
	go func() {
		by := interruption((<-come).(syscall.Signal))
		signal.Stop(come)
		cancel(by)
		// some calls cannot be interrupted: ONNX Runtime taking a network in, a read from a dead disk
		time.Sleep(grace)
		fmt.Fprintf(os.Stderr, "trtdet: interrupted: what it waited for did not end within %s\n", grace)
		os.Exit(by.status())
	}()
	return ctx
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out, console := &checkedWriter{w: stdout}, newConsole(stderr)
	app := newApp(stdin, out, console)
	ordered, err := reorder(app, args)
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	if err != nil && forShell(args) {
		fmt.Fprintln(out, "false") // eval "$(trtdet env)" knows no status of ours
	}
	by, interrupted := context.Cause(ctx).(interruption)
	switch {
	case interrupted && (err != nil || out.err != nil):
		err = by
	case errors.Is(out.err, syscall.EPIPE) && (err == nil || errors.Is(err, syscall.EPIPE)):
		return interruption(syscall.SIGPIPE).status() // its reader has read enough, as head has: no error
	case out.err != nil:
		err = fmt.Errorf("writing to standard output: %w", whyUnwritten(out.err))
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(console, "trtdet: "+errorText(err))
	}
	return status(err)
}

// status is the exit status that an error has.
func status(err error) int {
	if by := interruption(0); errors.As(err, &by) {
		return by.status()
	}
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// whyUnwritten words what a write to standard output ended in.
func whyUnwritten(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// errorText is an error as a person reads it: a file that cannot be opened is
// "FILE: no such file or directory", whichever call found that out, nothing in
// it commands the terminal, and it is one line, whatever libraries say.
func errorText(err error) string {
	text := err.Error()
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		text = strings.Replace(text, path.Error(), path.Path+": "+path.Err.Error(), 1)
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return report.Printable(strings.Join(lines, " "))
}

// checkedWriter remembers that a write failed, for those who print and do not
// look: what did not arrive was not done.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

func newApp(stdin io.Reader, stdout io.Writer, stderr *console) *cli.App {
	app := &cli.App{
		Name:  "trtdet",
		Usage: "YOLOv5 detectors with decoupled heads, from ONNX to TensorRT, served from Go",
		Description: "Examples:\n" +
			"  trtdet build model.onnx                  write model.engine and its manifest\n" +
			"  trtdet run model.onnx pictures/          find objects, save annotated pictures\n" +
			"  trtdet eval model.onnx --data data.yaml  measure a model on labelled pictures\n" +
			"  trtdet bench model.engine                measure how many pictures a second it takes\n" +
			"  trtdet info                              what this machine has to work with\n" +
			"  trtdet info model.onnx                   what trtdet knows of a model\n" +
			"  eval \"$(trtdet env)\"                    what a Go module of your own is built with",
		Version:                version,
		Reader:                 stdin,
		Writer:                 stdout,
		ErrWriter:              stderr,
		UseShortOptionHandling: false,
		Commands:               []*cli.Command{buildCommand(), runCommand(), evalCommand(), benchCommand(), infoCommand(), envCommand(), completionCommand(), buildChildCommand()},
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Usage: "print TensorRT's own log too"},
		},
		Before: func(c *cli.Context) error {
			level := slog.LevelWarn
			if c.Bool("verbose") {
				level = slog.LevelDebug
			}
			slog.SetDefault(slog.New(&lineHandler{w: stderr, level: level}))
			return nil
		},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return unknownCommand(c.App, name)
			}
			return cli.ShowAppHelp(c)
		},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		// exit statuses are run's business
		ExitErrHandler: func(*cli.Context, error) {},
	}
	for _, c := range app.Commands {
		c.HideHelpCommand = true // a picture may be called help
		c.OnUsageError = func(c *cli.Context, err error, _ bool) error {
			return usagef("%s: %w; see trtdet %[1]s --help", c.Command.Name, wrongValue(c.Command, err))
		}
	}
	cli.VersionPrinter = func(c *cli.Context) { printVersion(c.App.Writer) }
	return app
}
