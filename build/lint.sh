#!/usr/bin/env bash
# Runs every linter over every file that git knows or would add, and tells all that they say before it fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

deps=$PWD/build/deps
failed=()

# check NAME COMMAND... runs one linter.
check() {
	local name=$1 from=$SECONDS
	shift
	if "$@"; then
		echo "lint: $name is clean ($((SECONDS - from)) s)"
	else
		failed+=("$name")
	fi
}

# sources PATTERN... lists the files of the repository that match, one a line.
sources() {
	git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do
		[[ ! -e $file ]] || echo "$file"
	done
}

gofmt_clean() {
	local ugly
	ugly=$(gofmt -s -l "${go[@]}") || return 1
	[[ -z $ugly ]] || {
		echo "gofmt -s -w would change:"
		echo "$ugly"
		return 1
	}
}

tidy() {
	# The tests' files are in compile_commands.json only when tests are configured, and some include what is generated.
	{ cmake --preset test && cmake --build --preset test --target simgpu_stubs; } >build/out/cmake.log ||
		{ cat build/out/cmake.log && return 1; }
	printf '%s\n' "${cpp[@]}" | grep '\.cpp$' |
		xargs -P "$(nproc)" -n 1 "$deps/lint/bin/clang-tidy" -p build/out/cmake --quiet 2>build/out/clang-tidy.log || {
		grep -v '^\[\|warnings generated\|warnings treated as errors\|Suppressed\|Use -header-filter' build/out/clang-tidy.log
		return 1
	}
}

mapfile -t go < <(sources '*.go')
mapfile -t cpp < <(sources 'csrc/*.cpp' 'csrc/*.h' 'csrc/*.c' 'csrc/*.cu' 'tests/simgpu/*.cpp' 'tests/simgpu/*.h')
mapfile -t python < <(sources '*.py')
mapfile -t tests < <(sources '*_test.go' '*/test_*.py' '*_test.cpp')
mapfile -t shell < <(sources '*.sh' .ci/run)
for list in go cpp python tests shell; do
	declare -n found=$list
	# A linter that has nothing to look at would pass.
	((${#found[@]} > 0)) || {
		echo "lint: found no $list file: is this a git checkout?" >&2
		exit 1
	}
done

check gofmt gofmt_clean
check "go vet" go vet ./...
check staticcheck "$deps/bin/staticcheck" ./...
check clang-format "$deps/lint/bin/clang-format" --dry-run -Werror "${cpp[@]}"
check clang-tidy tidy
check ruff "$deps/lint/bin/ruff" check --quiet "${python[@]}"
check "tests without a clock" go run ./tests/clock "${tests[@]}"
check shellcheck "$deps/lint/bin/shellcheck" -x "${shell[@]}"

((${#failed[@]} == 0)) || {
	printf 'lint: not clean: %s\n' "${failed[@]}" >&2
	exit 1
}
