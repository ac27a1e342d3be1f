package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// rows returns what the rows of all suites say and want, the ones that matter most
// first, in the order in which they are printed.
func rows(t *testing.T) []string {
	t.Helper()
	var compared tables
	for _, s := range suites {
		for _, r := range s.rows {
			compared.add(r, r.what+" | "+r.wanted)
		}
	}
	all := append(compared.matters[:], compared.rest...)
	for i, line := range all {
		if line == "" {
			t.Errorf("no suite has the row %q", mattersMost[i])
		}
		what, _, _ := strings.Cut(line, " | ")
		if slices.ContainsFunc(all[:i], func(other string) bool { return strings.HasPrefix(other, what+" | ") }) {
			t.Errorf("two rows are called %q", what)
		}
	}
	return all
}

// docs/benchmarks.md has the rows that make bench prints, in its order.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	inTable := false
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), " |")
		switch {
		case strings.HasPrefix(line, "| what | ours |"):
			inTable = true
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case inTable && !strings.HasPrefix(line, "|-"):
			if len(cells) != 6 {
				t.Fatalf("%d cells: %s", len(cells)-1, line)
			}
			got = append(got, strings.TrimPrefix(cells[0], "| ")+" | "+strings.TrimSpace(cells[4]))
		}
	}
	want := rows(t)
	for i := range max(len(got), len(want)) {
		var printed, stands string
		if i < len(want) {
			printed = want[i]
		}
		if i < len(got) {
			stands = got[i]
		}
		if printed != stands {
			t.Fatalf("row %d of docs/benchmarks.md is %q, make bench prints %q", i+1, stands, printed)
		}
	}
}

// What was measured is printed, and no table where nothing was.
func TestTables(t *testing.T) {
	matters, other := row{what: mattersMost[4]}, row{what: "another"}
	const header = "| what | ours | theirs | ratio: median (least to greatest) of 5 rounds | wanted |\n|---|---|---|---|---|\n"
	for _, c := range []struct {
		name string
		rows []row
		want string
	}{
		{"nothing", nil, ""},
		{"the rest alone", []row{other}, header + "another\n\n"},
		{"the first ones first, in their order", []row{other, matters, {what: mattersMost[1]}},
			header + mattersMost[1] + "\n" + mattersMost[4] + "\n\n" + header + "another\n\n"},
	} {
		compared := tables{rounds: 5}
		for _, r := range c.rows {
			compared.add(r, r.what)
		}
		var out bytes.Buffer
		if compared.print(&out); out.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, out.String(), c.want)
		}
	}
}
