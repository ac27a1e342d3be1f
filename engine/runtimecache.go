package engine

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/trtdet/trtdet/internal/trust"
	"github.com/trtdet/trtdet/internal/wholefile"
)

// runtimeCache is a file beside a plan with the kernels that TensorRT-RTX has
// compiled for this machine's GPU: a start without them takes seconds more.
// Nothing that goes wrong with it keeps an engine from running. It is code, and
// unlike the plan nobody names it: it is believed where nobody but root, the user
// and the owner of the plan can have written it.
type runtimeCache struct {
	path string // empty for none
	plan string
	had  []byte // what was read
	log  *slog.Logger
}

// newRuntimeCache is the file of a plan that is one; what was opened from bytes has
// none.
func newRuntimeCache(s source, log *slog.Logger) runtimeCache {
	c := runtimeCache{plan: s.path, log: log}
	if s.path != "" {
		c.path = s.path + ".cache"
	}
	return c
}

// read returns what was kept, nil for nothing.
func (c *runtimeCache) read() []byte {
	if c.path == "" {
		return nil
	}
	had, err := c.believed()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("the kernels of earlier runs are not taken and are compiled again", "reason", err)
	}
	c.had = had
	return had
}

func (c *runtimeCache) believed() ([]byte, error) {
	owner, err := trust.Owner(c.plan)
	if err != nil {
		return nil, err
	}
	if err := trust.File(c.path, owner); err != nil {
		return nil, err
	}
	return os.ReadFile(c.path)
}

// keep writes what there is now, unless it is what was read.
func (c *runtimeCache) keep(now []byte, err error) {
	if c.path == "" {
		return
	}
	if err == nil && len(now) > 0 && !bytes.Equal(now, c.had) {
		err = wholefile.Write(c.path, func(w io.Writer) error {
			_, err := w.Write(now)
			return err
		})
	}
	if err != nil {
		c.log.Warn("the kernels that TensorRT-RTX compiled cannot be kept; the next start compiles them again", "reason", err)
	}
}
