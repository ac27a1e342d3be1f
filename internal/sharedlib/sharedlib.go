// Package sharedlib finds shared libraries that are loaded when the program
// runs. It looks only; it opens nothing and knows no library by name.
package sharedlib

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Place is a file that may be the library, and where the search came upon it.
type Place struct {
	Path string
	// Source is one of "given" (the user named it), "binary" (beside the
	// program), "deps" (the checkout's build/deps), "loader" (the dynamic
	// loader's path), "python" (a Python's site-packages).
	Source string
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

// Find yields the places that exist, in the order in which they are to be
// tried, each file once (links resolved). A place is only searched once those
// before it have been turned down: asking the loader and Python takes time.
func Find(q Query) iter.Seq[Place] {
	return func(yield func(Place) bool) {
		seen := map[string]bool{}
		offer := func(path, source string) bool {
			real, err := filepath.EvalSymlinks(path)
			if err != nil || seen[real] {
				return true
			}
			if info, err := os.Stat(real); err != nil || info.IsDir() {
				return true
			}
			seen[real] = true
			return yield(Place{Path: path, Source: source})
		}
		if info, err := os.Stat(q.Given); err == nil && !info.IsDir() {
			offer(q.Given, "given")
			return
		}
		for f := range folders(q) {
			for _, pattern := range q.Patterns {
				matches, _ := filepath.Glob(filepath.Join(f.Path, pattern))
				slices.Sort(matches)
				for _, m := range slices.Backward(matches) { // the newest version first
					if !offer(m, f.Source) {
						return
					}
				}
			}
		}
	}
}

// folders yields the folders to search.
func folders(q Query) iter.Seq[Place] {
	return func(yield func(Place) bool) {
		each := func(source string, paths ...string) bool {
			for _, p := range paths {
				if !yield(Place{p, source}) {
					return false
				}
			}
			return true
		}
		if q.Given != "" {
			each("given", q.Given, filepath.Join(q.Given, "lib"))
			return
		}
		if exe, err := os.Executable(); err == nil {
			if exe, err = filepath.EvalSymlinks(exe); err == nil {
				dir := filepath.Dir(exe)
				if !each("binary", dir, filepath.Join(dir, "..", "lib")) {
					return
				}
			}
		}
		if deps, ok := depsFolder(); ok && !each("deps", under([]string{deps}, q.Deps)...) {
			return
		}
		if !each("loader", loaderFolders()...) {
			return
		}
		if len(q.Python) > 0 {
			each("python", under(sitePackages(), q.Python)...)
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

// depsFolder returns build/deps of the checkout that the program belongs to.
// Only a test, whose program lies in a temporary folder, goes by the folder it
// runs in: a program that did would load what a stranger's folder holds.
func depsFolder() (string, bool) {
	var starts []string
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil && testing.Testing() {
		starts = append(starts, wd)
	}
	for _, dir := range starts {
		for range 8 {
			deps := filepath.Join(dir, "build", "deps")
			// go.mod keeps a stranger's folder of that name from being searched
			mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err == nil && bytes.HasPrefix(mod, []byte("module github.com/trtdet/trtdet\n")) {
				return deps, true
			}
			dir = filepath.Dir(dir)
		}
	}
	return "", false
}

// loaderFolders returns LD_LIBRARY_PATH's folders, then those of the loader's
// cache, then the usual ones.
var loaderFolders = sync.OnceValue(func() []string {
	var folders []string
	for _, f := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		if f != "" {
			folders = append(folders, f)
		}
	}
	for _, name := range []string{"ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"} {
		out, err := exec.Command(name, "-p").Output()
		if err != nil {
			continue
		}
		seen := map[string]bool{}
		for line := range strings.SplitSeq(string(out), "\n") {
			if _, path, ok := strings.Cut(line, " => "); ok {
				if dir := filepath.Dir(path); !seen[dir] {
					seen[dir] = true
					folders = append(folders, dir)
				}
			}
		}
		break
	}
	folders = append(folders, "/usr/lib/"+multiarch(), "/usr/lib64", "/usr/lib", "/usr/local/lib",
		"/usr/local/cuda/lib64", "/usr/local/tensorrt/lib", "/opt/tensorrt/lib")
	return folders
})

// multiarch returns Debian's name for the machine the program was built for.
func multiarch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// pythonTimeout is far more than Python takes to say where its packages are.
const pythonTimeout = 10 * time.Second

// sitePackages returns the package folders of the active virtual environment
// and of the python3 on the PATH.
var sitePackages = sync.OnceValue(func() []string {
	var sites []string
	if venv := os.Getenv("VIRTUAL_ENV"); venv != "" {
		m, _ := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages"))
		sites = append(sites, m...)
	}
	python, err := exec.LookPath("python3")
	if errors.Is(err, exec.ErrNotFound) {
		return sites
	}
	ctx, cancel := context.WithTimeout(context.Background(), pythonTimeout)
	defer cancel()
	// -I: a module in the folder we happen to be in is not Python's own
	out, err := exec.CommandContext(ctx, python, "-I", "-c",
		"import site,sysconfig;print(sysconfig.get_path('purelib'));print(site.getusersitepackages())").Output()
	if err != nil {
		return sites
	}
	return append(sites, strings.Split(strings.TrimSpace(string(out)), "\n")...)
})
