package eval

import (
	"cmp"
	"fmt"
	"slices"
)

// ProblemKind says what is wrong with a label or picture and what became of it.
type ProblemKind string

// The kinds of problems.
const (
	BadLine       ProblemKind = "bad line"                // not a label: left out
	ClassRange    ProblemKind = "class out of range"      // left out
	OutsideBox    ProblemKind = "box outside 0..1"        // left out
	NotANumber    ProblemKind = "not a finite number"     // left out
	Duplicate     ProblemKind = "duplicate label"         // left out, the first one stays
	NoPicture     ProblemKind = "label without picture"   // left out
	UnreadPicture ProblemKind = "unreadable picture"      // left out, with its labels
	NoLabels      ProblemKind = "picture without label"   // kept, as one with nothing in it
	EmptyBox      ProblemKind = "box without area"        // kept, as YOLOv5 and pycocotools do: it is never found
	OutsideFrame  ProblemKind = "box outside the picture" // kept, as pycocotools does
	WrongSize     ProblemKind = "picture of another size" // kept
	OtherName     ProblemKind = "class of another name"   // kept: a category is a class by its place
)

// Problem is one thing that is wrong with a dataset.
type Problem struct {
	Kind ProblemKind `json:"kind"`
	File string      `json:"file"`
	Line int         `json:"line,omitempty"` // from 1
	Text string      `json:"text,omitempty"`
}

// Error is the problem on one line.
func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s, line %d", p.File, p.Line)
	}
	text := where + ": " + string(p.Kind)
	if p.Text != "" {
		text += ": " + p.Text
	}
	return text
}

// keptProblems is how many problems of a kind are kept with their text: a
// dataset can have more of them than objects.
const keptProblems = 5

// Problems counts what is wrong with a dataset, by kind, and keeps the first few
// problems of each. The zero value has none.
type Problems struct {
	counts []ProblemCount
	total  int
}

// Add takes one more.
func (p *Problems) Add(problem Problem) {
	p.total++
	i, found := p.find(problem.Kind)
	if !found {
		p.counts = slices.Insert(p.counts, i, ProblemCount{Kind: problem.Kind, First: problem})
	}
	c := &p.counts[i]
	if c.Count++; len(c.Kept) < keptProblems {
		c.Kept = append(c.Kept, problem)
	}
}

func (p *Problems) find(kind ProblemKind) (int, bool) {
	return slices.BinarySearchFunc(p.counts, kind, func(c ProblemCount, k ProblemKind) int { return cmp.Compare(c.Kind, k) })
}

// Total is how many there are.
func (p *Problems) Total() int { return p.total }

// Counts returns how many problems there are of each kind, kinds by name. It is
// never nil, so that JSON has a list.
func (p *Problems) Counts() []ProblemCount { return append([]ProblemCount{}, p.counts...) }

// ProblemCount is how often a kind of problem was met.
type ProblemCount struct {
	Kind  ProblemKind `json:"kind"`
	Count int         `json:"count"`
	First Problem     `json:"first"`
	// Kept are the first few, in the order in which they were met.
	Kept []Problem `json:"-"`
}
