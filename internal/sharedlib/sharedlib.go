// Package sharedlib finds shared libraries that are loaded when the program
// runs, and passes over those that another user may have put there. It looks
// only; it opens nothing and knows no library by name.
package sharedlib

import (
	"fmt"
	"iter"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/trtdet/trtdet/internal/trust"
)

// Place is a file that may be the library, and where the search came upon it.
type Place struct {
	Path string
	// Source is one of "given" (the user named it), "binary" (beside the
	// program), "deps" (the checkout's build/deps), "linked" (where the
	// program's linker was told to look), "loader" (the dynamic loader's path),
	// "system" (where installers put libraries that the loader does not look
	// for), "python" (a Python's site-packages).
	Source string
	// Err is why the file is passed over: another user may have put it there.
	// What the user named, and what the loader looks for, is believed.
	Err error
}

// Query says what to look for.
type Query struct {
	// Given is a file or folder that the user named; "" looks everywhere. When
	// it is set nothing else is looked at.
	Given string
	// Patterns are file name globs, the best first, such as "libfoo.so.1".
	Patterns []string
	// Deps are folders below the checkout's build/deps to look in.
	Deps []string
	// Python are folders below a site-packages to look in.
	Python []string
}

// folder is one to search. A believed one may be anybody's; err keeps all of it
// from being searched.
type folder struct {
	path, source string
	believed     bool
	err          error
}

// Find yields the places that exist, in the order in which they are to be
// tried, each file once (links resolved), with absolute paths: to the loader a
// bare name is another file. A place is only searched once those before it have
// been turned down: asking the loader and Python takes time.
func Find(q Query) iter.Seq[Place] {
	return func(yield func(Place) bool) {
		seen := map[string]bool{}
		offer := func(path string, f folder) bool {
			real, err := filepath.EvalSymlinks(path)
			if err != nil || seen[real] {
				return true
			}
			if info, err := os.Stat(real); err != nil || !info.Mode().IsRegular() {
				return true
			}
			if path, err = filepath.Abs(path); err != nil {
				return true
			}
			place := Place{Path: path, Source: f.source}
			if !f.believed {
				place.Err = passedOver(trust.File(path))
			}
			seen[real] = place.Err == nil // another's link to a file does not hide it
			return yield(place)
		}
		if info, err := os.Stat(q.Given); err == nil && !info.IsDir() {
			offer(q.Given, folder{source: "given", believed: true})
			return
		}
		for f := range folders(q) {
			if f.err != nil {
				if !yield(Place{Path: f.path, Source: f.source, Err: passedOver(f.err)}) {
					return
				}
				continue
			}
			for _, name := range Matching(f.path, q.Patterns) {
				if !offer(filepath.Join(f.path, name), f) {
					return
				}
			}
		}
	}
}

func passedOver(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("passed over: %w", err)
}

// Matching returns the names in a folder that match one of patterns, those of
// the first pattern first, of each pattern the newest version first. Only the
// names are patterns: a folder may be called [old].
func Matching(folder string, patterns []string) []string {
	f, err := os.Open(folder)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []string
	for _, pattern := range patterns {
		var matches []string
		for _, name := range names {
			if ok, err := path.Match(pattern, name); err == nil && ok {
				matches = append(matches, name)
			}
		}
		slices.SortFunc(matches, func(a, b string) int { return CompareVersions(b, a) })
		all = append(all, matches...)
	}
	return all
}

// folders yields the folders to search.
func folders(q Query) iter.Seq[folder] {
	return func(yield func(folder) bool) {
		each := func(source string, believed bool, paths ...string) bool {
			for _, p := range paths {
				if !yield(folder{path: p, source: source, believed: believed}) {
					return false
				}
			}
			return true
		}
		if q.Given != "" {
			each("given", true, q.Given, filepath.Join(q.Given, "lib"))
			return
		}
		program := programFolder()
		if program != "" && !each("binary", false, program, filepath.Join(program, "..", "lib"), filepath.Join(program, "..", "lib/trtdet")) {
			return
		}
		if deps := depsFolder(program); deps != "" && !each("deps", false, under([]string{deps}, q.Deps)...) {
			return
		}
		if !each("linked", false, runPath()...) {
			return
		}
		if !each("loader", true, loaderFolders()...) || !each("system", false, systemFolders()...) || len(q.Python) == 0 {
			return
		}
		for site := range sitePackages() {
			if site.err != nil {
				if !yield(site) {
					return
				}
			} else if !each("python", false, under([]string{site.path}, q.Python)...) {
				return
			}
		}
	}
}

// under joins every root with every folder.
func under(roots, folders []string) []string {
	var paths []string
	for _, root := range roots {
		for _, f := range folders {
			paths = append(paths, filepath.Join(root, f))
		}
	}
	return paths
}

// programFolder returns the folder of the program, "" where that cannot be told.
func programFolder() string {
	exe, err := os.Executable()
	if err == nil {
		exe, err = filepath.EvalSymlinks(exe)
	}
	if err != nil {
		return ""
	}
	return filepath.Dir(exe)
}

// What the build records, by the linker's -X (see the Makefile): in which folder
// of its checkout the program lies, and where its libraries do. Other builds
// belong to no checkout.
var (
	builtInto string
	builtDeps string
)

// depsFolder returns build/deps of the checkout that a program was built in, ""
// for one that lies somewhere else. A test, whose program lies in a temporary
// folder, goes by the path that its compiler recorded of this file.
func depsFolder(program string) string {
	if top, ok := strings.CutSuffix(program, "/"+builtInto); ok && builtInto != "" {
		return filepath.Join(top, builtDeps)
	}
	if _, file, _, ok := runtime.Caller(0); ok && testing.Testing() && filepath.IsAbs(file) {
		return filepath.Join(filepath.Dir(file), "..", "..", "build", "deps")
	}
	return ""
}
