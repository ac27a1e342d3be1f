package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// figures are what one round measured, by name.
type figures map[string]float64

// suite is measured as one: what its rows compare was run in turn. Where it has a
// table, that is all there is, in one run.
type suite struct {
	name    string
	measure func(b *bench, prepared any) (figures, error)
	// prepare, where set, makes what every round needs; done ends it.
	prepare func(b *bench) (prepared any, done func(), err error)
	rows    []row
	// turns is how many turns a round is the median of, where one is short and
	// its noise large; 0 means 1.
	turns int
	table func(b *bench) error
}

// row compares two figures. No two rows are called the same.
type row struct {
	what         string
	ours, theirs string // figures
	ratio        ratio
	wanted       string
}

// tables are the rows that were measured, as lines of Markdown: those that matter
// most, in mattersMost's order, and the rest.
type tables struct {
	rounds  int
	matters [len(mattersMost)]string
	rest    []string
}

func (t *tables) add(r row, line string) {
	if i := slices.Index(mattersMost[:], r.what); i >= 0 {
		t.matters[i] = line
	} else {
		t.rest = append(t.rest, line)
	}
}

// print leaves out what was not measured.
func (t *tables) print(w io.Writer) {
	measured := slices.DeleteFunc(slices.Clone(t.matters[:]), func(line string) bool { return line == "" })
	for _, lines := range [][]string{measured, t.rest} {
		if len(lines) > 0 {
			fmt.Fprintf(w, "| what | ours | theirs | ratio: median (least to greatest) of %d rounds | wanted |\n|---|---|---|---|---|\n%s\n\n",
				t.rounds, strings.Join(lines, "\n"))
		}
	}
}

// ratio is how a row's two figures are compared.
type ratio int

const (
	faster ratio = iota // theirs / ours, of seconds
	less                // theirs / ours, of bytes
	added               // ours / theirs - 1, of seconds, in percent
	onTop               // ours - theirs, in seconds
	more                // ours / theirs, of pictures a second
)

func (r ratio) of(ours, theirs float64) float64 {
	switch r {
	case added:
		return 100 * (ours/theirs - 1)
	case onTop:
		return ours - theirs
	case more:
		return ours / theirs
	}
	return theirs / ours
}

func (r ratio) text(v float64) string {
	switch r {
	case added:
		return fmt.Sprintf("%+.1f %%", v)
	case onTop:
		if math.Abs(v) < 1e-3 {
			return fmt.Sprintf("%+.0f us", v*1e6)
		}
		return fmt.Sprintf("%+.3f s", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r ratio) figure(v float64) string {
	switch {
	case r == less:
		return fmt.Sprintf("%.0f MB", v/1e6)
	case r == more && v >= 100:
		return fmt.Sprintf("%.0f/s", v)
	case r == more:
		return fmt.Sprintf("%.2f/s", v)
	case v < 1e-3:
		return fmt.Sprintf("%.1f us", v*1e6)
	case v < 1:
		return fmt.Sprintf("%.2f ms", v*1e3)
	}
	return fmt.Sprintf("%.2f s", v)
}

// run measures a suite round by round and adds its rows.
func (s suite) run(b *bench, t *tables) error {
	var prepared any
	if s.prepare != nil {
		made, done, err := s.prepare(b)
		if err != nil {
			return err
		}
		defer done()
		prepared = made
	}
	all := make([]figures, t.rounds)
	for i := range all {
		turns := map[string][]float64{}
		for range max(s.turns, 1) {
			f, err := s.measure(b, prepared)
			if err != nil {
				return err
			}
			for name, v := range f {
				turns[name] = append(turns[name], v)
			}
		}
		all[i] = figures{}
		for name, v := range turns {
			all[i][name] = median(v)
		}
	}
	for _, r := range s.rows {
		var ours, theirs, ratios []float64
		for _, f := range all {
			ours, theirs = append(ours, f[r.ours]), append(theirs, f[r.theirs])
			ratios = append(ratios, r.ratio.of(f[r.ours], f[r.theirs]))
		}
		t.add(r, fmt.Sprintf("| %s | %s | %s | **%s** (%s to %s) | %s |", r.what, r.ratio.figure(median(ours)), r.ratio.figure(median(theirs)),
			r.ratio.text(median(ratios)), r.ratio.text(slices.Min(ratios)), r.ratio.text(slices.Max(ratios)), r.wanted))
	}
	return nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
