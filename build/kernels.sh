#!/usr/bin/env bash
# build/kernels.sh NVCC SOURCE OUTPUT: compiles the kernels for every GPU that trtdet knows into one fat binary, and prints how
# many registers each takes. Warnings, spilled registers among them, are errors.
set -euo pipefail

nvcc=$1 source=$2 output=$3

gencode=()
for sm in 75 80 86 89 90 100 120; do
	gencode+=(-gencode "arch=compute_$sm,code=sm_$sm")
done
# newer GPUs compile the last one's PTX when it is loaded
gencode+=(-gencode "arch=compute_120,code=compute_120")

# No fused multiply-add: the host's arithmetic, to the bit.
"$nvcc" -std=c++17 -O3 --fmad=false -Werror all-warnings -Xptxas -v,-warn-spills "${gencode[@]}" \
	-fatbin -o "$output" "$source" >"$output.log" 2>&1 || {
	cat "$output.log" >&2
	exit 1
}
awk '
	/Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; sm = quoted[4] }
	/Used [0-9]+ registers/ { match($0, /Used [0-9]+/); registers[kernel] = registers[kernel] " " sm ":" substr($0, RSTART + 5, RLENGTH - 5) }
	END { for (kernel in registers) print kernel ": registers" registers[kernel] }
' "$output.log"
