package report

import (
	"encoding/csv"
	"io"
	"strconv"
)

// csvWriter writes a header and one row a detection; box corners are in pixels
// of the picture.
type csvWriter struct {
	w      *csv.Writer
	header bool
}

func newCSV(w io.Writer) *csvWriter { return &csvWriter{w: csv.NewWriter(w)} }

func (c *csvWriter) Write(r *Record) error {
	c.head()
	if r.Err != nil {
		return nil
	}
	for _, d := range r.Detections {
		row := []string{r.Source, strconv.Itoa(d.ClassID), d.Class, number(d.Score),
			number(d.Box.X1), number(d.Box.Y1), number(d.Box.X2), number(d.Box.Y2)}
		if err := c.w.Write(row); err != nil {
			return err
		}
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvWriter) head() {
	if !c.header {
		c.header = true
		c.w.Write([]string{"source", "class_id", "class", "score", "x1", "y1", "x2", "y2"}) //nolint:errcheck // Flush reports it
	}
}

func (c *csvWriter) Close() error {
	c.head()
	c.w.Flush()
	return c.w.Error()
}

func number(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }
