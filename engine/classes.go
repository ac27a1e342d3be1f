package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trtdet/trtdet/model"
)

// UnknownClassError is about a class of Options.Classes or ClassNames that the
// model does not have.
type UnknownClassError struct {
	// Class is the index or the name that was asked for.
	Class string
	// Classes is how many the model has, Names are theirs; empty where it names
	// none.
	Classes int
	Names   []string
}

// listedNames are as many as an error lists: COCO's 80 and some.
const listedNames = 100

func (e *UnknownClassError) Error() string {
	if len(e.Names) == 0 {
		return fmt.Sprintf("class %s does not exist, the model has classes 0 to %d, without names", e.Class, e.Classes-1)
	}
	names, more := e.Names, ""
	if len(names) > listedNames {
		names, more = names[:listedNames], fmt.Sprintf(" and %d more", len(names)-listedNames)
	}
	return fmt.Sprintf("class %s does not exist, the model has classes 0 to %d: %s%s", e.Class, e.Classes-1, strings.Join(names, ", "), more)
}

// classIDs are the classes to keep, by index and by name; none keep all.
func classIDs(spec *model.Spec, ids []int, names []string) ([]int, error) {
	unknown := func(class string) error {
		return &UnknownClassError{Class: class, Classes: spec.Head.Classes, Names: spec.Names}
	}
	for _, id := range ids {
		if id < 0 || id >= spec.Head.Classes {
			return nil, unknown(fmt.Sprint(id))
		}
	}
	keep := slices.Clone(ids)
	for _, name := range names {
		of := idsOf(spec.Names, name)
		if len(of) == 0 {
			return nil, unknown(name)
		}
		keep = append(keep, of...)
	}
	return keep, nil
}

// idsOf are the classes of a name, which is taken as it is written, or else
// whatever its case.
func idsOf(names []string, name string) []int {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		var ids []int
		for id := range names {
			if same(names[id], name) {
				ids = append(ids, id)
			}
		}
		if len(ids) > 0 {
			return ids
		}
	}
	return nil
}
