#!/usr/bin/env bash
# Measures the match latency of the demo, which has cars to spare: real time from the authorization to the first offer written.
#
#   docs/operations/match-latency.sh [SECONDS [PORT]]
#
# Runs the demo for SECONDS (180) at PORT (8089) with data of its own, and reads the service's histogram: quantiles between the bounds of its buckets.
# Needs cargo, curl and jq, and a machine that does nothing else.
set -euo pipefail
readonly seconds=${1:-180} port=${2:-8089}
cd "$(dirname "$0")/../.."
cargo build --locked --release --quiet --workspace --bins
readonly program=${CARGO_TARGET_DIR:-target}/release/ridematch
work=$(mktemp -d)
# The private PostgreSQL may run as another user.
chmod 755 "$work"
trap 'kill "$demo" 2>/dev/null && wait "$demo" || true; rm -rf "$work"' EXIT
"$program" demo --json --listen "127.0.0.1:$port" --data-dir "$work/data" >"$work/demo.json" 2>"$work/demo.log" &
demo=$!
for _ in $(seq 300); do
  [ -s "$work/demo.json" ] && break
  kill -0 "$demo" 2>/dev/null || { cat "$work/demo.log" >&2; exit 1; }
  sleep 0.2
done
base=$(jq -r .base_url "$work/demo.json")
echo "The demo at $base runs for $seconds s." >&2
sleep "$seconds"
curl -sS "$base/metrics" | awk '
  # All batch sizes together.
  match($0, /^ridematch_match_latency_seconds_bucket\{.*le="[^"]*"/) {
    bound = $0; sub(/.*le="/, "", bound); sub(/".*/, "", bound)
    if (bound == "+Inf") all += $NF; else { count[bound] += $NF; if (!(bound in seen)) { seen[bound] = 1; bounds[++n] = bound + 0 } }
  }
  function quantile(share,   i, before, below) {
    below = 0; before = 0
    for (i = 1; i <= n; i++) {
      if (count[name[i]] >= share * all) return before + (bounds[i] - before) * (share * all - below) / (count[name[i]] - below)
      below = count[name[i]]; before = bounds[i]
    }
    return bounds[n]
  }
  END {
    for (b in count) for (i = 1; i <= n; i++) if (bounds[i] == b + 0) name[i] = b
    if (all == 0) { print "no trip was offered" > "/dev/stderr"; exit 1 }
    printf "%d first offers: p50 %.1f ms, p99 %.1f ms\n", all, quantile(0.5) * 1000, quantile(0.99) * 1000
  }'
