package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stranger is nobody's user: where the test is root, files are given to it.
const stranger = 65531

func touch(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{
		"own/lib.so", "open/lib.so", "sticky/lib.so", "open/deep/lib.so", "group/lib.so", "own/loose.so",
	} {
		touch(t, in(name))
	}
	mode := func(name string, mode fs.FileMode) {
		if err := os.Chmod(in(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		if err := os.Symlink(target, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	mode("open", 0o777)
	mode("sticky", 0o777|fs.ModeSticky)
	mode("own/loose.so", 0o666)
	link("../open/lib.so", "own/out.so")
	link(in("own/lib.so"), "open/in.so")
	link("lib.so", "own/beside.so")
	link("own", "folder")
	link("round", "round")
	type row struct{ path, want string } // want ends the reason, "" for none
	rows := []row{
		{"own/lib.so", ""}, {"own/beside.so", ""}, {"folder/lib.so", ""}, {"folder/../own/lib.so", ""},
		{"sticky/lib.so", ""}, // nobody else can take it away
		{"open/lib.so", "folder " + in("open") + " is writable by others"},
		{"open/deep/lib.so", "folder " + in("open") + " is writable by others"},
		{"own/out.so", "folder " + in("open") + " is writable by others"}, // the link's target
		{"open/in.so", "folder " + in("open") + " is writable by others"}, // the link's own folder
		{"folder/../open/lib.so", "folder " + in("open") + " is writable by others"},
		{"own/loose.so", in("own/loose.so") + " is writable by others"},
		{"own", "it is a folder"}, {"own/lib.so/x", "not a directory"}, {"round", "too many levels of symbolic links"},
		{"absent", "no such file or directory"},
	}
	if os.Getuid() == 0 {
		give := func(name string, uid, gid int) {
			if err := os.Lchown(in(name), uid, gid); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"theirs/lib.so", "sticky/theirs.so", "sticky/theirs/lib.so", "own/theirs.so"} {
			touch(t, in(name))
		}
		link(in("own/lib.so"), "sticky/their-link.so")
		for _, name := range []string{
			"theirs", "sticky/theirs.so", "sticky/theirs", "own/theirs.so", "sticky/their-link.so",
		} {
			give(name, stranger, stranger)
		}
		give("group", 0, stranger)
		mode("group", 0o775)
		const theirs = " belongs to user 65531, in a folder that is writable by others"
		rows = append(rows,
			row{"theirs/lib.so", "folder " + in("theirs") + " belongs to user 65531"},
			row{"own/theirs.so", in("own/theirs.so") + " belongs to user 65531"},
			row{"sticky/theirs.so", in("sticky/theirs.so") + theirs},
			row{"sticky/theirs/lib.so", in("sticky/theirs") + theirs},
			row{"sticky/their-link.so", in("sticky/their-link.so") + theirs},
			row{"group/lib.so", "folder " + in("group") + " is writable by group 65531"})
		if err := File(in("own/theirs.so"), stranger); err != nil {
			t.Errorf("another user who is believed: %v", err)
		}
	} else {
		t.Log("not root: what belongs to other users is not tried")
	}
	for _, c := range rows {
		got := ""
		if err := File(dir + "/" + c.path); err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
	t.Chdir(in("own"))
	if err := File("lib.so"); err != nil {
		t.Errorf("a path from here: %v", err)
	}
	if err := File("../open/lib.so"); err == nil {
		t.Error("a path from here that leads to an open folder is believed")
	}
	for path, safe := range map[string]bool{
		"own": true, "folder": true, "open": false, "sticky": false, "own/lib.so": false, "absent": false,
	} {
		if err := Folder(in(path)); (err == nil) != safe {
			t.Errorf("what appears in %s: %v", path, err)
		}
	}
	if err := File(in("absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}

func TestPrivateGroup(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n" +
		"you:x:1001:100::/home/you:/bin/sh\nsync:x:4:10:::\n"
	const groups = "root:x:0:\nsync:x:10:\nstaff:x:50:\nusers:x:100:\nme:x:1000:me\n" +
		"shared:x:1002:me,you\nyou:x:1001:me\n"
	for _, c := range []struct {
		gid   uint32
		users []string
		want  bool
	}{
		{1000, []string{"root", "me"}, true},
		{0, []string{"root", "me"}, true},
		{1000, []string{"root", "you"}, false}, // its member is another
		{1002, []string{"root", "me"}, false},
		{1001, []string{"root", "you"}, false}, // me is in it too
		{100, []string{"root", "me"}, false},   // you is, by passwd
		{50, []string{"root", "me"}, true},     // nobody is in it, as in Debian's group of /usr/local
		{7, []string{"root", "me"}, false},     // not in the file
	} {
		if got := privateGroup(c.gid, c.users, passwd, groups); got != c.want {
			t.Errorf("group %d of %v: %v", c.gid, c.users, got)
		}
	}
	if !privateGroup(0, []string{"root"}, passwd+"halt:x:7:0:::\n", groups) {
		t.Error("an account of the system's own shares root's group")
	}
	if privateGroup(0, []string{"root"}, passwd+"web:x:101:0:::\n", groups) {
		t.Error("another user's first group is root's own")
	}
}
