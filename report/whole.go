package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/trtdet/trtdet/internal/trust"
	"github.com/trtdet/trtdet/internal/wholefile"
)

// WriteWhole writes a file that the user named whole or not at all: beside its
// place, synced and renamed. A link keeps pointing at what is written, and a pipe
// or a device (/dev/null, /dev/stdout) is written to, not replaced; but not those
// that another user has put there. The error names the file, not the temporary
// one.
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
	place, at, err := meant(path)
	switch {
	case err != nil:
	case at != nil && at.IsDir():
		err = syscall.EISDIR
	case at != nil && !at.Mode().IsRegular():
		err = unix.Access(place, unix.W_OK)
	default:
		err = unix.Access(filepath.Dir(place), unix.W_OK|unix.X_OK)
	}
	if err := withoutPath(err); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// errPlanted is about a link or a pipe that the user has not put there.
var errPlanted = errors.New("it is another user's: remove it")

// maxLinks is how many links the kernel follows in one path.
const maxLinks = 40

// meant returns the file that a name stands for, links followed, and what it is,
// nil where there is none. A link that leads nowhere stands for itself.
func meant(name string) (place string, at fs.FileInfo, err error) {
	path := name
	for range maxLinks {
		folder, base := filepath.Split(path)
		if folder == "" {
			folder = "."
		}
		if folder, err = filepath.EvalSymlinks(folder); err == nil {
			path = filepath.Join(folder, base)
			at, err = os.Lstat(path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name, nil, nil
		case err != nil:
			return "", nil, err
		case at.Mode()&(fs.ModeSymlink|fs.ModeNamedPipe|fs.ModeSocket) != 0 && !trust.Owns(at):
			return "", nil, errPlanted
		case at.Mode()&fs.ModeSymlink == 0:
			return path, at, nil
		}
		target, err := os.Readlink(path)
		switch {
		case err != nil:
			return "", nil, err
		case strings.HasPrefix(folder, "/proc/"): // an open file, whose name may be another's by now
			at, err = os.Stat(path)
			return path, at, err
		case filepath.IsAbs(target):
			path = target
		default:
			path = folder + "/" + target
		}
	}
	return "", nil, syscall.ELOOP
}

func writeInPlace(path string, write func(io.Writer) error) error {
	place, at, err := meant(path)
	if err != nil {
		return err
	}
	if at == nil || at.Mode().IsRegular() || at.IsDir() {
		return wholefile.Write(place, write)
	}
	f, err := os.OpenFile(place, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(now, at) {
		return errors.Join(errPlanted, f.Close())
	}
	return errors.Join(write(f), f.Close())
}
