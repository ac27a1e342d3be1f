package sharedlib

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/trtdet/trtdet/internal/trust"
)

// pythonTimeout is far more than Python takes to say where its packages are.
const pythonTimeout = 10 * time.Second

// sitePackages yields the package folders of the active virtual environment and
// of the first python3 on the PATH that can be believed; the others come with
// the reason.
func sitePackages() iter.Seq[folder] {
	return func(yield func(folder) bool) {
		each := func(paths []string) bool {
			for _, p := range paths {
				if !yield(folder{path: p, source: "python"}) {
					return false
				}
			}
			return true
		}
		if venv := os.Getenv("VIRTUAL_ENV"); venv != "" && !each(venvSites(venv)) {
			return
		}
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			python := filepath.Join(dir, "python3")
			if !filepath.IsAbs(python) || unix.Access(python, unix.X_OK) != nil {
				continue
			}
			if err := untrustedPython(python); err != nil {
				if !yield(folder{path: python, source: "python", err: err}) {
					return
				}
				continue
			}
			// a virtual environment that is on the PATH and not activated
			if venv := filepath.Dir(dir); isFile(filepath.Join(venv, "pyvenv.cfg")) {
				each(venvSites(venv))
				return
			}
			each(askPython(python))
			return
		}
	}
}

// untrustedPython returns why a Python may not be what its owner put there.
func untrustedPython(python string) error {
	if err := trust.File(python); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(python)
	if err != nil {
		return err
	}
	lib := filepath.Join(filepath.Dir(real), "..", "lib") // its own modules, which run as it starts
	for _, name := range Matching(lib, []string{"python3*"}) {
		folder := filepath.Join(lib, name)
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			continue
		}
		if err := trust.Folder(folder); err != nil {
			return err
		}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// venvSites returns the package folders of a virtual environment.
func venvSites(venv string) []string {
	lib := filepath.Join(venv, "lib")
	var sites []string
	for _, name := range Matching(lib, []string{"python3*"}) {
		sites = append(sites, filepath.Join(lib, name, "site-packages"))
	}
	return sites
}

// believedPath is the PATH without the folders that others can write.
func believedPath() string {
	return strings.Join(slices.DeleteFunc(filepath.SplitList(os.Getenv("PATH")), func(dir string) bool {
		return !filepath.IsAbs(dir) || trust.Folder(dir) != nil
	}), string(filepath.ListSeparator))
}

var asked sync.Map // of a python3's path to what it answered

// askPython returns the package folders of a Python.
func askPython(python string) []string {
	answer, _ := asked.LoadOrStore(python, sync.OnceValue(func() []string {
		ctx, cancel := context.WithTimeout(context.Background(), pythonTimeout)
		defer cancel()
		// -I and a folder of root's: neither a module nor a setting of the folder we happen to be in is Python's own.
		// -S: what lies in its packages, which are looked at later, starts with it otherwise.
		c := exec.CommandContext(ctx, python, "-I", "-S", "-c",
			"import site,sysconfig;print(sysconfig.get_path('purelib'));print(site.getusersitepackages())")
		c.Dir = "/"
		c.Env = append(os.Environ(), "PATH="+believedPath()) // python3 may be a script that looks for more
		out, err := c.Output()
		if err != nil {
			return nil
		}
		var sites []string
		for line := range strings.Lines(string(out)) {
			if site := strings.TrimSpace(line); filepath.IsAbs(site) {
				sites = append(sites, site)
			}
		}
		return sites
	}))
	return answer.(func() []string)()
}
