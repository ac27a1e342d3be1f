// Package sharedlib finds shared libraries that are loaded when the program
// runs. It looks only; it opens nothing and knows no library by name.
package sharedlib

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
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

// Find returns the places that exist, in the order in which they are to be
// tried, each file once (links resolved).
func Find(q Query) []Place {
	var found []Place
	seen := map[string]bool{}
	add := func(path, source string) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil || seen[real] {
			return
		}
		if info, err := os.Stat(real); err != nil || info.IsDir() {
			return
		}
		seen[real] = true
		found = append(found, Place{Path: path, Source: source})
	}
	in := func(folder, source string) {
		for _, pattern := range q.Patterns {
			matches, _ := filepath.Glob(filepath.Join(folder, pattern))
			sort.Sort(sort.Reverse(sort.StringSlice(matches)))
			for _, m := range matches {
				add(m, source)
			}
		}
	}
	if q.Given != "" {
		if info, err := os.Stat(q.Given); err == nil && !info.IsDir() {
			add(q.Given, "given")
		} else {
			in(q.Given, "given")
			in(filepath.Join(q.Given, "lib"), "given")
		}
		return found
	}
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			in(filepath.Dir(exe), "binary")
			in(filepath.Join(filepath.Dir(exe), "..", "lib"), "binary")
		}
	}
	if deps, ok := depsFolder(); ok {
		for _, d := range q.Deps {
			in(filepath.Join(deps, d), "deps")
		}
	}
	for _, folder := range loaderFolders() {
		in(folder, "loader")
	}
	for _, site := range sitePackages() {
		for _, p := range q.Python {
			in(filepath.Join(site, p), "python")
		}
	}
	return found
}

// depsFolder returns build/deps of the checkout that the program, or the
// folder it runs in, belongs to.
func depsFolder() (string, bool) {
	var starts []string
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil {
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
	out, err := exec.Command(python, "-c",
		"import site,sysconfig;print(sysconfig.get_path('purelib'));print(site.getusersitepackages())").Output()
	if err != nil {
		return sites
	}
	return append(sites, strings.Fields(string(out))...)
})
