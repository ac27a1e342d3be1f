package engine

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// runtimeCache is a file beside a plan with the kernels that TensorRT-RTX has
// compiled for this machine's GPU: a start without them takes seconds more.
// Nothing that goes wrong with it keeps an engine from running.
type runtimeCache struct {
	path string
	had  []byte // what was read
	log  *slog.Logger
}

// read returns what was kept, nil for nothing.
func (c *runtimeCache) read() []byte {
	had, err := os.ReadFile(c.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("the kernels of earlier runs cannot be read and are compiled again", "reason", err)
	}
	c.had = had
	return had
}

// keep writes what there is now, unless it is what was read.
func (c *runtimeCache) keep(now []byte, err error) {
	if err == nil && len(now) > 0 && !bytes.Equal(now, c.had) {
		err = renameio.WriteFile(c.path, now, 0o644, renameio.WithTempDir(filepath.Dir(c.path)))
	}
	if err != nil {
		c.log.Warn("the kernels that TensorRT-RTX compiled cannot be kept; the next start compiles them again", "reason", err)
	}
}
