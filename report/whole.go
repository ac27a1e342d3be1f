package report

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// WriteWhole writes a file whole or not at all: beside its place, synced and
// renamed. The error names the file, not the temporary one.
func WriteWhole(path string, write func(io.Writer) error) error {
	err := writeBeside(path, write)
	if temporary := (*fs.PathError)(nil); errors.As(err, &temporary) {
		err = temporary.Err // its path is one that nobody asked for
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
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
