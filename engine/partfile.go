package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrBusy is wrapped when another process is writing the same output file.
var ErrBusy = errors.New("another build is writing it")

// partFile is the file beside the output that a build fills and then renames.
// Its lock is the output's lock; one left by a build that was killed is taken
// over by the next.
type partFile struct {
	file   *os.File
	target string
	sync   func() error // waits until the disk has the bytes; once
}

func openPart(target string) (*partFile, error) {
	path := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".part")
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: there is no such folder", filepath.Dir(target))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Dir(target), pathless(err))
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("%s: %w", target, ErrBusy)
			}
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		// the build that held the lock may have renamed or removed the file
		held, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, there) {
			return &partFile{f, target, sync.OnceValue(f.Sync)}, nil
		}
		f.Close()
	}
}

func (p *partFile) path() string { return p.file.Name() }

// empty reports whether nothing has been written to the file.
func (p *partFile) empty() bool {
	info, err := p.file.Stat()
	return err == nil && info.Size() == 0
}

// commit makes sure that the bytes are on the disk and makes the file the output.
func (p *partFile) commit() error {
	if err := p.sync(); err != nil {
		return pathless(err)
	}
	return os.Rename(p.path(), p.target)
}

// close removes the file, unless it was committed, and lets go of the lock.
func (p *partFile) close() {
	if there, err := os.Stat(p.path()); err == nil {
		if held, err := p.file.Stat(); err == nil && os.SameFile(held, there) {
			os.Remove(p.path())
		}
	}
	p.file.Close()
}
