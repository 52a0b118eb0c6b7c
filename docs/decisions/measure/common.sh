# Shared by the measuring scripts. ROUNDS, SECONDS_EACH and CLIENTS set the size of a run.
#
# Options alternate round by round, so that other load on the machine affects all of them. The result is the median of the
# rounds, with minimum and maximum.
set -euo pipefail

# Never an existing server, whatever PGHOST says.
if [ -z "${MEASURED_ALONE:-}" ]; then
  exec "$(dirname "${BASH_SOURCE[0]}")/with-cluster" "$(realpath "$0")" "$@"
fi

rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-5}
clients=${CLIENTS:-16}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sql() { psql -qAtX -v ON_ERROR_STOP=1 "$@"; }

# note NAME VALUE: keeps one figure of an option.
note() { echo "${2:?no figure for $1}" >>"$work/$1.figures"; }

# median NAME: "median (least to greatest)".
median() { sort -g "$work/$1.figures" | awk '{v[NR] = $1} END {printf "%.0f (%.0f to %.0f)", v[int((NR + 1) / 2)], v[1], v[NR]}'; }

# bench ARGUMENTS…: pgbench, quiet unless a script is wrong.
bench() {
  local errors
  errors=$(mktemp "$work/errors.XXXXXX")
  if ! pgbench -n -M prepared -T "$seconds" "$@" 2>"$errors" || grep -q aborted "$errors"; then
    cat "$errors" >&2
    return 1
  fi
}

# tps ARGUMENTS…: transactions a second.
tps() { bench -j 2 -c "$clients" "$@" | awk '/^tps/ {print $3}'; }
