package sharedlib

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/trtdet/trtdet/internal/trust"
)

// loaderFolders returns the folders of the dynamic loader's path:
// LD_LIBRARY_PATH's, those of its cache, its default ones.
func loaderFolders() []string {
	var folders []string
	for _, f := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		if f != "" {
			folders = append(folders, f)
		}
	}
	folders = append(folders, cacheFolders()...)
	return append(folders, "/usr/lib/"+multiarch(), "/usr/lib64", "/usr/lib")
}

// OnLoaderPath reports whether the dynamic loader looks in a folder by itself.
func OnLoaderPath(folder string) bool { return slices.Contains(loaderFolders(), folder) }

// runPath returns the folders that the program was linked to look in, as
// `trtdet env` has it linked: what was installed for it lies there.
var runPath = sync.OnceValue(func() []string {
	program, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil
	}
	defer program.Close()
	paths, err := program.DynString(elf.DT_RUNPATH)
	if err != nil || len(paths) == 0 {
		paths, _ = program.DynString(elf.DT_RPATH) // an older linker's: none is no error
	}
	var folders []string
	for _, path := range paths {
		folders = append(folders, filepath.SplitList(path)...)
	}
	return slices.DeleteFunc(folders, func(folder string) bool { return !filepath.IsAbs(folder) })
})

// systemFolders are where administrators and NVIDIA's installers put libraries.
// The loader may know nothing of them.
func systemFolders() []string {
	return []string{"/usr/local/lib", "/usr/local/cuda/lib64", "/usr/local/tensorrt/lib", "/opt/tensorrt/lib"}
}

// cacheFolders returns the folders of the libraries in the loader's cache. No
// PATH leads to the program that prints it.
var cacheFolders = sync.OnceValue(func() []string {
	for _, ldconfig := range []string{"/sbin/ldconfig", "/usr/sbin/ldconfig"} {
		if trust.File(ldconfig) != nil {
			continue
		}
		out, err := exec.Command(ldconfig, "-p").Output()
		if err != nil {
			continue
		}
		var folders []string
		seen := map[string]bool{}
		for line := range strings.SplitSeq(string(out), "\n") {
			if _, path, ok := strings.Cut(line, " => "); ok {
				if dir := filepath.Dir(path); !seen[dir] {
					seen[dir] = true
					folders = append(folders, dir)
				}
			}
		}
		return folders
	}
	return nil
})

// multiarch returns Debian's name for the machine the program was built for.
func multiarch() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}
