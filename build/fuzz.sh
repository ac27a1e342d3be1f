#!/usr/bin/env bash
# build/fuzz.sh TIME: runs every fuzz target of every package for that long, and fails if one finds something.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "looking for the fuzz targets: Go compiles the tests of each package"
package=
while read -r word rest; do
	case $word in
	Fuzz*) targets+=("$word") ;;
	ok) # "ok  	PACKAGE	0.1s" closes a package's list
		package=${rest%%[[:space:]]*}
		for target in ${targets[@]+"${targets[@]}"}; do
			echo "== $package $target"
			go test -run '^$' -fuzzminimizetime 1s -fuzz "^$target\$" -fuzztime "${1:?usage: build/fuzz.sh TIME, such as 30s}" "$package"
		done
		targets=()
		;;
	esac
done < <(go test -list '^Fuzz' ./...)
[[ -n $package ]] || {
	echo "no package was listed: go test -list '^Fuzz' ./... says why" >&2
	exit 1
}
