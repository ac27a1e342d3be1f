#!/usr/bin/env bash
# build/install.sh PREFIX   after `make build`: all that trtdet runs with and that a Go module of your own is built with, so that
#                           the checkout can go:
#
#   bin/trtdet
#   lib/trtdet        ONNX Runtime and TensorRT-RTX, which trtdet loads, and the archives that Go links
#   include/trtdet    our headers, those that `trtdet env` puts before CUDA's, CUDA's own cuda.h (nvidia/)
#   share/trtdet      trtdet's Go code
#   share/doc/trtdet  the licenses
#
# DESTDIR is put before PREFIX, as packagers want. What is NVIDIA's is then left out: a machine's user may copy it, a package
# may not hold it (cuda.h is not among what CUDA's license lets anybody distribute).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${DESTDIR:-}${1:?want a PREFIX such as /usr/local}
deps=build/deps
packages=$(echo $deps/venv/lib/python3.*/site-packages)

# put MODE FOLDER FILE... copies files, links followed.
put() {
	install -d "$prefix/$2"
	install -m "$1" "${@:3}" "$prefix/$2/"
}
# license PACKAGE FILE copies a license as LICENSE.PACKAGE.
license() { install -D -m 644 "$2" "$prefix/share/doc/trtdet/LICENSE.$1"; }

put 755 bin build/out/bin/trtdet
put 644 include/trtdet csrc/include/*.h
# folders of their own: another program's -lcuda or cuda.h is not meant
put 644 include/trtdet/cuda csrc/driver/include/*.h
put 644 lib/trtdet build/out/lib/{libtrtdet,libcuda,libkernels}.a
put 644 lib/trtdet $deps/onnxruntime/lib/libonnxruntime.so
put 644 share/doc/trtdet LICENSE
license onnxruntime "$packages/onnxruntime/LICENSE"
license onnxruntime.third-party "$packages/onnxruntime/ThirdPartyNotices.txt"

# what a module proxy would have of the code, less its tests
rm -rf "$prefix/share/trtdet"
install -d "$prefix/share/trtdet"
find . \( -path ./build -o -path ./tests -o -path ./.git \) -prune -o \
	-type f \( -name '*.go' -o -name '*.[ch]' -o -name go.mod -o -name go.sum -o -name LICENSE \) ! -name '*_test.go' -print0 |
	xargs -0 cp --parents -t "$prefix/share/trtdet"

if [[ -n ${DESTDIR:-} ]]; then
	echo "left out of $DESTDIR, as it is NVIDIA's: TensorRT-RTX and cuda.h (trtdet env --cuda FOLDER takes any of CUDA 12 or newer)"
	exit
fi
put 644 include/trtdet/nvidia $deps/cuda/include/cuda.h
put 644 lib/trtdet $deps/tensorrt/lib/*.so.1
license cuda "$(echo "$packages"/nvidia_cuda_runtime_cu12-*.dist-info/License.txt)"
license TensorRT-RTX "$(echo "$packages"/tensorrt_rtx_cu13_libs-*.dist-info/licenses/LICENSE.txt)"
