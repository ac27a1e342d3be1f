package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrBusy is wrapped when another process is writing the same output file.
var ErrBusy = errors.New("another build is writing it")

// partFile is the file beside the output that a build fills and then renames.
// Its lock is the output's lock; one left by a build that was killed is taken
// over by the next. Its name is known before, so what lies there may be anything
// that another user has planted: it is written to only where it is a file of ours
// without another name.
type partFile struct {
	file   *os.File
	target string
	sync   func() error // waits until the disk has the bytes; once
}

// openTries is how often what lies in a part's place is cleared away, or another
// build's is given up, before somebody is taken to put it there on purpose.
const openTries = 100

func openPart(target string) (*partFile, error) {
	path := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".part")
	for range openTries {
		f, made, err := openFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: there is no such folder", filepath.Dir(target))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Dir(target), pathless(err))
		}
		if f == nil {
			continue
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("%s: %w", target, ErrBusy)
			}
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		p := &partFile{f, target, sync.OnceValue(f.Sync)}
		// the build that held the lock may have renamed or removed the file
		there, held := p.stat()
		if there && (made || hasOneName(held) && owner(held) == os.Geteuid()) {
			return p, nil
		}
		if there { // nobody is at work on it
			err = os.Remove(path)
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is another user's: %w", path, pathless(err))
		}
	}
	return nil, fmt.Errorf("%s: somebody keeps putting another file there", path)
}

// openFile opens a part, made or left by a build that was killed, and one of
// another user for a look. Anything else of that name is cleared away, and
// nothing is returned.
func openFile(path string) (f *os.File, made bool, err error) {
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|flags, 0o644)
	if !errors.Is(err, fs.ErrExist) {
		return f, true, err
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().IsRegular():
		f, err = os.OpenFile(path, os.O_RDWR|flags, 0)
		if errors.Is(err, fs.ErrPermission) {
			f, err = os.OpenFile(path, os.O_RDONLY|flags, 0)
		}
	case err == nil:
		err = os.Remove(path) // the link, not what it leads to
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) { // it is another by now
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s is in the way: %w", path, pathless(err))
	}
	return f, false, nil
}

// hasOneName reports whether a file has no second name, under which it may be
// something else.
func hasOneName(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink <= 1
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// stat returns what is known of the file, and whether it still is the one of its name.
func (p *partFile) stat() (there bool, held fs.FileInfo) {
	held, err := p.file.Stat()
	if err != nil {
		return false, nil
	}
	named, err := os.Lstat(p.path())
	return err == nil && os.SameFile(held, named), held
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
	if there, _ := p.stat(); !there {
		return fmt.Errorf("%s: somebody took it away", p.path())
	}
	return os.Rename(p.path(), p.target)
}

// close removes the file, unless it was committed, and lets go of the lock.
func (p *partFile) close() {
	if there, _ := p.stat(); there {
		os.Remove(p.path())
	}
	p.file.Close()
}
