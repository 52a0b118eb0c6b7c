#!/usr/bin/env bash
# Measures the columns of docs/operations/dispatch-quality.md and prints them as a Markdown table:
#
#   docs/operations/dispatch-quality.sh SCENARIO OUTPUT [COLUMN...]
#
# SCENARIO is a folder in the input format of NREL HIVE, OUTPUT a folder for the reports. Without names, all columns are measured. A column
# whose report is in OUTPUT already is not measured again. SEEDS, SCALE, FROM and UNTIL change the runs: SEEDS=1 SCALE=40. Needs cargo and jq,
# a machine that does nothing else, and at a scale of 20 about eight minutes for each column and seed.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
scenario=$(realpath "$1") && mkdir -p "$2" && output=$(realpath "$2")
shift 2
cd "$(dirname "$0")/../.."

# The options of each column.
declare -A columns=(
  [baseline]="--behavior hive --policy nearest --no-streets"
  [backlog]="--behavior hive --policy batched --no-streets"
  [eta]="--behavior hive --policy nearest"
  [pickup-limit]="--behavior hive --policy nearest --no-streets --pickup-within 590"
  [repositioning]="--behavior hive --policy nearest --no-streets --reposition 1"
  [backlog-eta]="--behavior hive --policy batched"
  [all-but-repositioning]="--behavior hive --policy batched --pickup-within 590"
  [all]="--behavior hive --policy batched --pickup-within 590 --reposition 1"
  [today]="--behavior today --policy batched"
  [today-elastic]="--behavior today --policy batched --price-elasticity 0.5"
)
readonly all=(all-but-repositioning all baseline backlog eta pickup-limit repositioning backlog-eta today today-elastic)
[ $# -gt 0 ] || set -- "${all[@]}"
for column in "$@"; do
  [ -n "${columns[$column]:-}" ] || { echo "unknown column '$column'; the columns are: ${all[*]}" >&2; exit 2; }
done

readonly seeds=${SEEDS:-1,2,3} scale=${SCALE:-20} from=${FROM:-20:00} until=${UNTIL:-22:00}
for column in "$@"; do
  [ -s "$output/$column.json" ] && continue
  cargo build --locked --release --quiet --workspace --bins
  # A failed run has a report too: the table says so.
  # shellcheck disable=SC2086
  cargo city replay --scenario "$scenario" --from "$from" --until "$until" --time-scale "$scale" --seeds "$seeds" \
    ${columns[$column]} --report "$output/$column.json" >"$output/$column.txt" || echo "$column: a run failed" >&2
done

# From the reports, since those of an earlier call are kept.
jq -rs '
  map(.runs // [.]) | flatten | group_by([.scenario, .from, .until, .time_scale, .vehicles])[] | .[0] as $run
  | "\($run.scenario), \($run.from) to \($run.until): \($run.requests) requests, \($run.vehicles) cars; "
    + "time scale \($run.time_scale), seeds \(map(.seed) | unique | map(tostring) | join(", "))."
' $(for column in "$@"; do [ ! -s "$output/$column.json" ] || echo "$output/$column.json"; done) </dev/null
echo "Measured with $(git describe --always --dirty), or with an earlier version if the report was there already."
echo
echo "| column | served, % | deadhead, km per ride | wait p50, s | p90, s | p99, s | last tenth | utilization, % | offers per ride | lost to price, % | degraded runs | audit |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
for column in "$@"; do
  [ -s "$output/$column.json" ] || { echo "| $column | not measured | | | | | | | | | | |"; continue; }
  # One seed has no summary: its report is the only run.
  jq -r --arg column "$column" '
    def figure(name):
      if .summary then
        (.summary[] | select(.name == name) | if .mean == null then "–" else "\(.mean) (\(.min) to \(.max))" end)
      else ({served_percent, deadhead_km_per_ride, wait_inequality, utilization_percent, offers_per_ride,
             pickup_wait_p50: .pickup_wait_s.p50, pickup_wait_p90: .pickup_wait_s.p90, pickup_wait_p99: .pickup_wait_s.p99,
             lost_to_price_percent: (.lost_to_price * 10000 / .requests | round / 100)}[name] // "–" | tostring) end;
    (.runs // [.]) as $runs
    | [$column, figure("served_percent"), figure("deadhead_km_per_ride"), figure("pickup_wait_p50"), figure("pickup_wait_p90"),
       figure("pickup_wait_p99"), figure("wait_inequality"), figure("utilization_percent"), figure("offers_per_ride"),
       figure("lost_to_price_percent"), "\([$runs[] | select(.degraded)] | length) of \($runs | length)",
       (if ($runs | all(.clean and .unaccounted == 0)) then "clean" else "NOT CLEAN" end)]
    | "| " + join(" | ") + " |"' "$output/$column.json"
done
