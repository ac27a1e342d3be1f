#!/usr/bin/env bash
# build/install.sh PREFIX   after `make build`: bin/trtdet, and in include/trtdet and lib/trtdet what a Go module of your own is
#                           built with, which `trtdet env` names. DESTDIR is put before PREFIX, as packagers want.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${DESTDIR:-}${1:?want a PREFIX such as /usr/local}
install -D -m 755 build/out/bin/trtdet "$prefix/bin/trtdet"
install -d "$prefix/include/trtdet/cuda" "$prefix/lib/trtdet"
install -m 644 csrc/include/*.h "$prefix/include/trtdet/"
# folders of their own: another program's -lcuda or cuda.h is not meant
install -m 644 csrc/driver/include/cuda.h "$prefix/include/trtdet/cuda/"
install -m 644 build/out/lib/{libtrtdet,libcuda,libkernels}.a "$prefix/lib/trtdet/"
