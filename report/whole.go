package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// WriteWhole writes a file whole or not at all: beside its place, synced and
// renamed. A link keeps pointing at what is written, and a pipe or a device
// (/dev/null, /dev/stdout) is written to, not replaced. The error names the
// file, not the temporary one.
func WriteWhole(path string, write func(io.Writer) error) error {
	// the paths in the error may be ones that nobody asked for
	if err := withoutPath(writeInPlace(path, write)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// withoutPath is what is wrong, without the paths that an error of a file has.
func withoutPath(err error) error {
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		return of.Err
	}
	if of := (*os.LinkError)(nil); errors.As(err, &of) {
		return of.Err
	}
	return err
}

// CheckFile finds what would keep WriteWhole from writing a file, as far as that
// shows without writing.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		err = syscall.EISDIR
	case err == nil && !info.Mode().IsRegular():
		err = unix.Access(path, unix.W_OK)
	case err == nil || errors.Is(err, fs.ErrNotExist):
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		err = unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK)
	}
	if err := withoutPath(err); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeInPlace(path string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() || info.IsDir() {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		return writeBeside(path, write)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func writeBeside(path string, write func(io.Writer) error) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer f.Cleanup() //nolint:errcheck // nothing is left to clean up once the file stands
	if err := write(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
