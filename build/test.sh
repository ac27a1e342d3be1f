#!/usr/bin/env bash
# build/test.sh --nets makes the nets that tests run, and no more.
# build/test.sh [--full] [GO FLAGS]: every test, after `make test` has set up and built. --full leaves out -short and adds the
# race detector over every package, csrc under the sanitizers, and every file that training exports.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

full=
if [[ ${1:-} == --full ]]; then
	full=yes
	shift
fi
venv_python=build/deps/venv/bin/python
nets=build/out/nets
# -count=1: go cannot see that the program, a net or an oracle which a test runs has changed.
# -timeout: it ends what hangs, and nothing that works, on a slow and busy machine neither.
go_test=(build/progress.sh "Go's tests" go test -count=1 -timeout 3h "$@")

# begin NAME says which of the parts comes next; all of them are said before the first.
parts=("C++: csrc" "nets of every kind and layout" "go vet" "Go's tests")
if [[ -n $full ]]; then
	parts+=("every combination of kind, layout, activation, anchors and levels" "Go, race detector"
		"C++: csrc under the address and undefined-behaviour sanitizers"
		"the GPU path under the same, and with every pointer that goes to C checked")
else
	parts+=("Go, race detector, where goroutines meet")
fi
parts+=("Python: training")
begun=0
begin() {
	[[ ${parts[begun]} == "$1" ]] || {
		echo "build/test.sh: part $((begun + 1)) is called ${parts[begun]}, not $1" >&2
		exit 1
	}
	begun=$((begun + 1))
	echo "== part $begun of ${#parts[@]}: $1 ($SECONDS s)"
}

csrc() { # PRESET
	cmake --preset "$1" >build/out/cmake.log || { cat build/out/cmake.log && return 1; }
	cmake --build --preset "$1"
	ctest --preset "$1"
}

# Go, the wrapper, the simulated GPU and its TensorRT, all sanitized. The runtimes come first, as they want, then libstdc++,
# whose exceptions they watch and would not find. What Go still holds when it ends is no leak.
sanitized_gpu() { # PACKAGE...
	local preload
	preload=$(printf '%s:' "$(gcc -print-file-name=libasan.so)" "$(gcc -print-file-name=libubsan.so)" "$(gcc -print-file-name=libstdc++.so.6)")
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		TRTDET_SIMGPU=$PWD/build/out/cmake-asan/simgpu CGO_LDFLAGS="-L$PWD/build/out/cmake-asan/lib $CGO_LDFLAGS -lubsan" \
		"${go_test[@]}" -asan -short -exec "env LD_PRELOAD=$preload" "$@"
}

# The nets are made again when what makes them has changed.
make_nets() { # FOLDER SET
	local made
	made=$(cat tests/nets/*.py build/pins | sha256sum)
	[[ -f $1/.made && $(<"$1/.made") == "$made" ]] && return
	rm -rf "$1"
	"$venv_python" tests/nets/make.py --out "$1" --set "$2" --check
	echo "$made" >"$1/.made"
}

if [[ ${1:-} == --nets ]]; then
	make_nets "$nets" pairwise
	exit
fi
printf '== the tests have %d parts:\n' ${#parts[@]}
printf '     %s\n' "${parts[@]}"
begin "C++: csrc"
csrc test
begin "nets of every kind and layout"
make_nets "$nets" pairwise
begin "go vet"
build/progress.sh "go vet" go vet -v ./...
begin "Go's tests"
if [[ -n $full ]]; then
	"${go_test[@]}" ./...
	begin "every combination of kind, layout, activation, anchors and levels"
	make_nets "$nets-full" full
	TRTDET_NETS=$PWD/$nets-full "${go_test[@]}" -timeout 24h -run TestNets ./tests/e2e
	begin "Go, race detector"
	# tests/e2e runs the program as it ships; under the race detector sync.Pool forgets things, which tests/gpu/cost and one test
	# of imaging would count
	mapfile -t packages < <(go list ./... | grep -v -e tests/e2e -e tests/gpu/cost)
	TRTDET_REQUESTS=1000000 "${go_test[@]}" -race -timeout 24h -skip '^TestLetterboxAllocatesNothing$' "${packages[@]}"
	begin "C++: csrc under the address and undefined-behaviour sanitizers"
	csrc asan
	begin "the GPU path under the same, and with every pointer that goes to C checked"
	gpu=(./engine/internal/cuda ./tests/gpu)
	sanitized_gpu "${gpu[@]}"
	GOEXPERIMENT=cgocheck2 "${go_test[@]}" "${gpu[@]}"
else
	"${go_test[@]}" -short ./...
	begin "Go, race detector, where goroutines meet"
	"${go_test[@]}" -short -race ./pipeline/... ./engine/internal/schedule
	"${go_test[@]}" -short -race -run OnGPU ./tests/load
fi
begin "Python: training"
# Under the system's Python, whose PyTorch the article's heads are trained with.
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then
	# verbose, so that a test which is skipped says why
	OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive TRTDET_FULL=${full:+1} /usr/bin/python3 -m unittest discover --verbose \
		--top-level-directory . --start-directory training/tests
else
	echo "skipped: /usr/bin/python3 has no PyTorch here (install python3-torch)"
fi
echo "== done ($SECONDS s)"
