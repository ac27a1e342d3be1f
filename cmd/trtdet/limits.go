package main

// Go's runtime reserves address space and opens files before any Go code runs,
// and ends with a traceback and status 2 where it cannot have them, at once or
// at some later moment. So the limits are looked at before it starts, by a
// constructor.
//
// The needs were measured on 2 cores. In less than 2 GB of address space run
// fails at times, in less than 3 GB build, nearly all of it reserved by the
// runtimes and never touched. A build has 20 files open.

/*
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { needed_mib = 4096, needed_files = 32 };

__attribute__((constructor)) static void check_limits(void) {
	struct rlimit space, files;
	if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY && space.rlim_cur >> 20 < needed_mib) {
		dprintf(STDERR_FILENO,
			"trtdet: its address space is limited to %llu MiB and it needs %d MiB, most of which is never used: "
			"start it under ulimit -v unlimited\n",
			(unsigned long long)space.rlim_cur >> 20, needed_mib);
		_exit(1);
	}
	if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
		return;
	}
	// the soft limit is no obstacle: Go raises it to the hard one, but late
	if (files.rlim_max < needed_files) {
		dprintf(STDERR_FILENO, "trtdet: it may have %llu files open and needs %d: start it under ulimit -n %d\n",
			(unsigned long long)files.rlim_max, needed_files, 2 * needed_files);
		_exit(1);
	}
	if (files.rlim_cur < needed_files) {
		files.rlim_cur = needed_files;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}
*/
import "C"
