#!/usr/bin/env bash
# build/gpu/pack.sh [GO FLAGS]   after `make build`: all that tests and benchmarks on a GPU machine need, which has a driver,
#                                 Python with PyTorch and nothing else. build/out/gpu/tree is it, laid out as a checkout;
#                                 build/out/gpu/pack is the same in pieces of at most 55 MB, with run.sh, which joins them.
# build/gpu/pack.sh --tree [GO FLAGS]   the tree alone, for the machine that it is made on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

only_tree=
if [[ ${1:-} == --tree ]]; then
	only_tree=yes
	shift
fi
out=build/out/gpu
tree=$out/tree
pack=$out/pack

say() { echo "gpu-pack: $*" >&2; }

# A folder made anew: what an older pack left would be packed too.
rm -rf "$tree" "$pack"
mkdir -p "$tree"/{build/out/bin,build/out/gpu,build/deps/onnxruntime/lib,build/gpu,engine/internal/cuda,tests/gpu}

say "programs and tests"
cp build/out/bin/trtdet "$tree/build/out/bin/"
for package in engine/internal/cuda tests/gpu; do
	# -s -w: nobody debugs there, and the symbols are half of it
	go test -c "$@" -ldflags '-s -w' -o "$tree/$package/$(basename "$package").test" "./$package"
done
cp build/gpu/{run.sh,beside.py,table.py} "$tree/build/gpu/"
cp -L build/deps/onnxruntime/lib/libonnxruntime.so "$tree/build/deps/onnxruntime/lib/"
# JPEG files are read with this machine's libjpeg-turbo, which trtdet finds beside itself: the GPU machine may have none, and Go's
# own decoder takes some times longer. Its licenses (BSD, IJG, zlib) want their text beside it.
turbo=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p | awk '$1 == "libturbojpeg.so.0" && !found && /x86-64|AArch64/ { found = $NF } END { print found }')
[[ -n $turbo ]] || { say "no libturbojpeg.so.0 here: make setup-test installs it" && exit 1; }
cp -L "$turbo" "$tree/build/out/bin/libturbojpeg.so.0"
licenses=(/usr/share/doc/libturbojpeg*/copyright)
cp "${licenses[0]}" "$tree/build/out/bin/libturbojpeg.copyright"
git describe --always --dirty --abbrev=12 >"$tree/commit"

say "models and pictures"
cp -r models "$tree/"
cp -r build/out/nets "$tree/build/out/"
mkdir "$tree/training"
cp training/*.py "$tree/training/"
/usr/bin/python3 build/gpu/make_inputs.py "$out/inputs"
cp -r "$out/inputs" "$tree/build/out/gpu/"

[[ -z $only_tree ]] || exit 0

# split_xz NAME FOLDER... packs folders into NAME.tar.xz.00, .01 ...
mkdir -p "$pack"
split_xz() {
	local name=$1
	shift
	tar -c "$@" | xz -T0 -3 | split -b 55000000 -d - "$pack/$name.tar.xz."
}
say "pieces (some minutes)"
split_xz trtdet -C "$out" tree
split_xz tensorrt -C build/deps tensorrt10
cp build/gpu/run.sh "$pack/"
(cd "$pack" && sha256sum ./*.tar.xz.* >SHA256SUMS)
say "$(du -sh "$pack" | cut -f 1) in $(find "$pack" -name '*.xz.*' | wc -l) pieces: copy $pack, and run run.sh there"
