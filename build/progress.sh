#!/usr/bin/env bash
# build/progress.sh WHAT go COMMAND...   runs a go command, which is silent while it compiles, for minutes the first time, and
# says how far it is: after ten seconds without a word, then more and more seldom. Of a command with -v the names of packages
# are counted and not shown; all else goes on as it is, and so does the exit status.
#
# build/progress.sh apt | pip   reads what apt-get or pip prints, and prints what tells how far it is.
set -euo pipefail

usage="usage: build/progress.sh WHAT go COMMAND..., or build/progress.sh apt | pip"
quiet=${TRTDET_PROGRESS:-10} # seconds
longest=60
count=0 total='' spoke=$SECONDS

# report WHAT COMMAND...: the last argument names the packages; as many as these need are compiled where Go's cache has none.
report() {
	if ((count > 0)); then
		[[ -n $total ]] || total=$(go list -deps "${@: -1}" 2>/dev/null | wc -l)
		echo "$1: $count packages compiled, at most $total to compile ($SECONDS s)"
	else
		echo "$1: at work ($SECONDS s)"
	fi
	spoke=$SECONDS
	quiet=$((quiet * 2 < longest ? quiet * 2 : longest))
}

go_progress() { # WHAT COMMAND...
	local line='' part status names=
	[[ " $* " != *" -v "* ]] || names='^[a-z0-9][A-Za-z0-9_.~/-]*$'
	while :; do
		status=0
		IFS= read -r -t 1 part || status=$?
		line+=$part # a line may come in parts
		if ((status == 0)) && [[ -n $names && $line =~ $names ]]; then
			count=$((count + 1)) line=
		elif ((status == 0)); then
			printf '%s\n' "$line"
			spoke=$SECONDS line=
		elif ((status <= 128)); then
			printf '%s' "$line"
			return
		fi
		((SECONDS - spoke < quiet)) || report "$@"
	done
}

apt_progress() {
	local line packages=some fetched=0 set_up=0
	while IFS= read -r line; do
		case $line in
		*" newly installed, "*)
			packages=${line% newly installed, *}
			packages=${packages##* }
			;;
		"Need to get "*) echo "$packages packages: ${line%.}" ;;
		"Get:"*) ((++fetched % 20)) || echo "$fetched of $packages packages fetched" ;;
		"Setting up "*) ((++set_up % 20)) || echo "$set_up of $packages packages set up" ;;
		esac
	done
}

pip_progress() {
	local line file
	while IFS= read -r line; do
		case $line in
		*"Downloading "*.whl*MB\) | *"Using cached "*.whl*MB\))
			file=${line%%-*}
			echo "${file##* }, ${line##*\(}"
			;;
		"Installing collected packages: "*) echo "unpacking" ;;
		esac
	done | sed -u 's/)$//; s/^/  /'
}

case ${1:?$usage} in
apt) apt_progress | sed -u 's/^/  /' ;;
pip) pip_progress ;;
*)
	[[ -n ${2:-} ]] || {
		echo "$usage" >&2
		exit 2
	}
	"${@:2}" 2>&1 | go_progress "$@"
	;;
esac
