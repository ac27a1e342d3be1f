#!/usr/bin/env bash
# Mends what still names the folder that the checkout was in before it was moved or copied: CMake's folders, which would not
# configure again, are removed, and the programs of the virtual environments get their own Python back. build/setup.sh calls
# it; where nothing has moved it changes nothing.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

for cache in "$top"/build/out/*/CMakeCache.txt; do
	[[ -f $cache ]] || continue
	of=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$cache")
	[[ ! $of -ef $top ]] || continue
	echo "setup: $(dirname "$cache") is of $of: it is made again" >&2
	rm -rf "$(dirname "$cache")"
done

# Those that another checkout lends are its own.
[[ ! -L $top/build/deps ]] || exit 0
for program in "$top"/build/deps/.venvs/*/bin/*; do
	[[ -f $program && ! -L $program ]] || continue
	IFS= read -r -n 512 line <"$program" || true
	[[ $line =~ ^#!(.*/\.venvs/[^/]+/bin)/python[0-9.]*$ ]] || continue
	folder=${BASH_REMATCH[1]} own=${program%/*}
	[[ ! $folder -ef $own ]] || continue
	[[ ${said:=} == "$own" ]] || echo "setup: what lies in $own is of $folder: it gets its own Python" >&2
	said=$own
	sed -i "1s|^#!.*/|#!${own//[&|\\]/\\&}/|" "$program"
done
