// Package wholefile writes files that are whole or not there, in folders that
// others may write in too: beside their place under a name that nobody can know
// before, synced and renamed. What lies in the place - a link, a pipe, a second
// name of another file - is replaced by the file and never written to.
package wholefile

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// permissions are those of a new file, less what the umask takes.
const permissions = 0o644

// Write writes the file at path. It stays as private as it was before.
func Write(path string, write func(io.Writer) error) error {
	return replace(path, write, os.Lstat, renameio.WithTempDir(filepath.Dir(path)))
}

// WriteIn writes the file with a name below root, from which no link leads away.
func WriteIn(root *os.Root, name string, write func(io.Writer) error) error {
	return replace(name, write, root.Lstat, renameio.WithRoot(root))
}

func replace(path string, write func(io.Writer) error, lstat func(string) (fs.FileInfo, error),
	place renameio.Option) error {
	mode := fs.FileMode(permissions)
	if there, err := lstat(path); err == nil && there.Mode().IsRegular() && isUsers(there) {
		mode &= there.Mode()
	}
	f, err := renameio.NewPendingFile(path, place, renameio.WithPermissions(mode))
	if err != nil {
		return err
	}
	defer f.Cleanup() //nolint:errcheck // nothing is left to clean up once the file stands
	if err := write(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

func isUsers(info fs.FileInfo) bool { return info.Sys().(*syscall.Stat_t).Uid == uint32(os.Geteuid()) }
