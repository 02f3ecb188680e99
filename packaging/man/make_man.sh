#!/bin/sh
# Writes a man page from what a program says of itself.
#   make_man.sh SECTION PROGRAM PAGE     PROGRAM: path of an executable; PAGE: the file to write
# There is no second text to keep: what is not in --help is not in the page. A program with subcommands has a section for each.
set -eu
section=$1 program=$2 name=$(basename "$2")
here=$(cd "$(dirname "$0")" && pwd)
version=$("$program" --version 2>/dev/null || "$program" version)

# The subcommands that a help text lists.
subcommands() { awk '/^Subcommands:/ {on = 1; next} /^[^ ]/ || /^$/ {on = 0} on && /^  [a-z]/ {sub(/,$/, "", $1); print $1}'; }

about() {  # ARGUMENTS of the subcommand, or none
  "$program" "$@" --help | awk -v name="$name" -v command="$*" -v section="$section" -v version="${version##* }" -f "$here/make_man.awk"
  for sub in $("$program" "$@" --help | subcommands); do about "$@" "$sub"; done
}
about >"$3"
