#!/usr/bin/env bash
# build/env.sh COMMAND...   runs a command with the Go that trtdet is built with: the one on the PATH when it is at
#                           least go.mod's, the one that build/setup.sh fetched otherwise.
# build/env.sh go-is-new-enough   exits 0 when the Go on the PATH is.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

new_enough() {
	local want have
	want=$(awk '$1 == "go" { print $2 }' "$top/go.mod")
	have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
	[[ $(printf '%s\n' "$want" "${have#go}" | sort -V | head -n 1) == "$want" ]]
}

if [[ ${1:-} == go-is-new-enough ]]; then
	new_enough
	exit
fi
if ! new_enough; then
	[[ -x $top/build/deps/go/bin/go ]] || {
		echo "no Go $(awk '$1 == "go" { print $2 }' "$top/go.mod") or newer: run build/setup.sh" >&2
		exit 1
	}
	export PATH=$top/build/deps/go/bin:$PATH
fi
# What tests run in ONNX Runtime is not sent to its makers.
export ORT_DISABLE_TELEMETRY=1
# The Go chosen here is the one that works: no other is fetched behind its back.
export GOTOOLCHAIN=local
# gorgonia.org/cu looks for cuda.h, ours before CUDA's (csrc/driver/include says why), and links -lcuda, which is our libcuda.a:
# the flags here come before its own. NVIDIA's headers call some of their functions deprecated, which fills the screen on a
# first build.
export CGO_CFLAGS="${CGO_CFLAGS:--O2 -g} -Wno-deprecated-declarations -I$top/csrc/driver/include -I$top/build/deps/cuda/include"
export CGO_LDFLAGS="-L$top/build/out/lib ${CGO_LDFLAGS:--O2 -g}"
exec "$@"
