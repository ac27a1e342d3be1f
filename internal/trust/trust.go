// Package trust tells what nobody but root and the user can have put in a place.
// It says nothing of what a file holds.
package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links the kernel follows in one path.
const maxLinks = 40

// File returns why a file may not be what its owner put there, or nil: the file
// and every folder on the way to it, links followed, belong to root, to the
// user, to the owner of the program or to one of owners, and nobody else can
// write there. In a folder that others can write, such as /tmp, a sticky bit
// protects what belongs to one of these. The file is a regular one.
func File(path string, owners ...uint32) error {
	return walk(path, append(slices.Clone(believed()), owners...), false)
}

// Folder returns why files that appear in a folder may be another user's, or nil:
// as File has it, but a sticky bit does not help here.
func Folder(path string) error {
	return walk(path, believed(), true)
}

// Owner returns the user whose file it is, links followed.
func Owner(path string) (uint32, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return owner(info), nil
}

// Owns reports whether a file, a link or a folder belongs to root or the user, or
// to the owner of the program, whose code runs here anyway.
func Owns(info fs.FileInfo) bool { return slices.Contains(believed(), owner(info)) }

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// believed are the users whose code runs here anyway: root, the user, the owner
// of the program, and, where a test runs, that of the folder that it runs in.
var believed = sync.OnceValue(func() []uint32 {
	users := []uint32{0, uint32(os.Geteuid())}
	places := []string{"/proc/self/exe"}
	if testing.Testing() {
		places = append(places, ".")
	}
	for _, place := range places {
		if id, err := Owner(place); err == nil {
			users = append(users, id)
		}
	}
	if id, ok := unmappedRoot(); ok {
		users = append(users, id)
	}
	return users
})

// unmappedRoot is who root's files seem to belong to in a user namespace without
// root, as some containers are.
func unmappedRoot() (id uint32, ok bool) {
	mapped, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(mapped)) { // first inside, first outside, how many
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == "0" {
			return 0, false
		}
	}
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n), err == nil
}

// walk looks at a path the way the kernel resolves it, folder by folder. wholly
// asks for a folder that nobody else can write, sticky or not.
func walk(path string, owners []uint32, wholly bool) error {
	if !filepath.IsAbs(path) {
		wd, err := os.Getwd()
		if err != nil {
			return err
		}
		path = wd + "/" + path // not cleaned: behind a link, .. leads elsewhere
	}
	here := "/"
	at, err := os.Lstat(here)
	rest := strings.Split(path, "/")
	links := 0
	for err == nil && len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			here = filepath.Dir(here)
			at, err = os.Lstat(here)
			continue
		}
		entry := filepath.Join(here, name)
		info, statErr := os.Lstat(entry)
		if statErr != nil {
			return statErr
		}
		if err := safeFolder(here, at, entry, info, owners); err != nil {
			return err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return fmt.Errorf("%s: %w", path, syscall.ELOOP)
			}
			target, linkErr := os.Readlink(entry)
			if linkErr != nil {
				return linkErr
			}
			rest = append(strings.Split(target, "/"), rest...)
			if filepath.IsAbs(target) {
				here = "/"
				at, err = os.Lstat(here)
			}
		case info.IsDir():
			here, at = entry, info
		case wholly || len(rest) > 0:
			return fmt.Errorf("%s: %w", entry, syscall.ENOTDIR)
		default:
			return safeFile(entry, info, owners)
		}
	}
	if err != nil {
		return err
	}
	if !wholly {
		return errors.New("it is a folder")
	}
	return safeFolder(here, at, "", nil, owners)
}

// safeFolder reports a folder in which others could put something else in an
// entry's place. Without an entry it reports one in which others can write.
func safeFolder(path string, info fs.FileInfo, entry string, inside fs.FileInfo, owners []uint32) error {
	if !slices.Contains(owners, owner(info)) {
		return fmt.Errorf("folder %s belongs to %s", path, userName(owner(info)))
	}
	who := writers(path, info, owners)
	switch {
	case who == "":
		return nil
	case inside == nil || info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("folder %s is writable by %s", path, who)
	case !slices.Contains(owners, owner(inside)):
		return fmt.Errorf("%s belongs to %s, in a folder that is writable by %s", entry, userName(owner(inside)), who)
	}
	return nil
}

func safeFile(path string, info fs.FileInfo, owners []uint32) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if !slices.Contains(owners, owner(info)) {
		return fmt.Errorf("%s belongs to %s", path, userName(owner(info)))
	}
	if who := writers(path, info, owners); who != "" {
		return fmt.Errorf("%s is writable by %s", path, who)
	}
	return nil
}

// writers returns who beside the owner can write a file or folder, "" for nobody
// that matters.
func writers(path string, info fs.FileInfo, owners []uint32) string {
	mode := info.Mode().Perm()
	if mode&0o002 != 0 {
		return "others"
	}
	if mode&0o020 == 0 {
		return ""
	}
	// the group's bits are then the widest of the list's, whoever is on it
	if n, err := unix.Lgetxattr(path, "system.posix_acl_access", nil); err == nil && n > 0 {
		return "those on its access control list"
	}
	gid := info.Sys().(*syscall.Stat_t).Gid
	var names []string
	for _, id := range owners {
		names = append(names, userName(id))
	}
	passwd, err1 := os.ReadFile("/etc/passwd")
	groups, err2 := os.ReadFile("/etc/group")
	if err1 == nil && err2 == nil && privateGroup(gid, names, string(passwd), string(groups)) {
		return ""
	}
	name := strconv.Itoa(int(gid))
	if group, err := user.LookupGroupId(name); err == nil {
		name = group.Name
	}
	return "group " + name
}

// privateGroup reports whether users are all who are in a group: by groups and
// passwd, the texts of /etc/group and /etc/passwd. A group that is not in groups may
// have anybody in it. The accounts that a system makes for itself, such as sync and
// shutdown, whose group is root's in some, run nothing.
func privateGroup(gid uint32, users []string, passwd, groups string) bool {
	id := strconv.Itoa(int(gid))
	listed := false
	for line := range strings.Lines(groups) { // NAME:password:GID:member,member
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 || fields[2] != id {
			continue
		}
		for member := range strings.SplitSeq(fields[3], ",") {
			if member != "" && !slices.Contains(users, member) {
				return false
			}
		}
		listed = true
	}
	for line := range strings.Lines(passwd) { // NAME:password:UID:GID:...
		fields := strings.Split(line, ":")
		if len(fields) < 4 || fields[3] != id || slices.Contains(users, fields[0]) {
			continue
		}
		if uid, err := strconv.Atoi(fields[2]); err == nil && uid < firstService {
			continue
		}
		return false
	}
	return listed
}

// firstService is the first number of accounts that programs run as; those below are
// the system's own.
const firstService = 100

func userName(id uint32) string {
	text := strconv.Itoa(int(id))
	if u, err := user.LookupId(text); err == nil {
		return u.Username
	}
	return "user " + text
}
