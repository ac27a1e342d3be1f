#!/usr/bin/env bash
# build/kernels.sh NVCC SOURCE FATBIN PTX: compiles the kernels for every GPU that trtdet knows into one fat binary,
# writes the PTX that all of it is compiled from, and prints how many registers each takes. Warnings, spilled registers
# among them, are errors.
set -euo pipefail

nvcc=$1 source=$2 fatbin=$3 ptx=$4
bin=${nvcc%/*}

# GPUs that have machine code, as docs/gpu.md lists them. The code of one runs on those of its generation with a higher
# number (103 runs that of 100, 121 that of 120), but not on Jetsons, which therefore have their own: 87 is Orin, 110 is
# Thor. Other GPUs have the PTX compiled when it is loaded.
targets=(75 80 86 87 89 90 100 110 120)
# nvcc writes PTX of its own version, which drivers older than it refuse. The kernels use nothing that this one, of CUDA
# 10.0, lacks; ptxas refuses what does.
version=6.3

log=$fatbin.log
: >"$log"
run() {
	"$@" >>"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
}

# No fused multiply-add: the host's arithmetic, to the bit.
run "$nvcc" -std=c++17 -O3 --fmad=false -Werror all-warnings -arch=compute_75 -ptx -o "$ptx.whole" "$source"
sed "s/^\.version .*/.version $version/" "$ptx.whole" >"$ptx"
rm "$ptx.whole"
# What has no rounding mode may be fused by whoever compiles the PTX.
if grep -nE '^\s*(@%p[0-9]+ )?(add|sub|mul|mad)\.(ftz\.)?(sat\.)?f(32|64)' "$ptx" >&2; then
	echo "kernels.sh: the PTX has arithmetic that may be fused" >&2
	exit 1
fi
images=("--image3=kind=ptx,sm=75,file=$ptx")
for sm in "${targets[@]}"; do
	run "$bin/ptxas" -v -arch="sm_$sm" --fmad false -warn-spills -Werror -o "$fatbin.$sm" "$ptx"
	images+=("--image3=kind=elf,sm=$sm,file=$fatbin.$sm")
done
run "$bin/fatbinary" --create="$fatbin" -64 "${images[@]}"
rm "${targets[@]/#/$fatbin.}"
awk '
	/Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; sm = quoted[4] }
	/Used [0-9]+ registers/ { match($0, /Used [0-9]+/); registers[kernel] = registers[kernel] " " sm ":" substr($0, RSTART + 5, RLENGTH - 5) }
	END { for (kernel in registers) print kernel ": registers" registers[kernel] }
' "$log"
