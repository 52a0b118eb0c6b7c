#!/usr/bin/env bash
# Figures that need the whole service, at scale 1 with its own small city: the demo's start, the parts of a trip request, the time of
# a search, and the time without a matcher after a kill. Needs curl and jq; `service.sh [PROGRAM]`, by default
# target/release/ridematch.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${1:-$here/../../../target/release/ridematch}")
rounds=${ROUNDS:-5}
work=$(mktemp -d)
# As root, the database is another account's, and has to get in.
chmod 711 "$work"
first=http://127.0.0.1:18091
second=http://127.0.0.1:18092
demo=0 other=0

stop() {
  for pid in "$demo" "$other"; do [ "$pid" = 0 ] || kill -CONT "$pid" 2>/dev/null || true; done
  for pid in "$other" "$demo"; do [ "$pid" = 0 ] || kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap stop EXIT

now_ms() { date +%s%3N; }
is_ready() { curl -sf -m 1 "$1/readyz" >/dev/null 2>&1; }
is_matcher() { [ "$(curl -s -m 1 "$1/readyz" | jq -r .matcher 2>/dev/null)" = true ]; }
service_of() { pgrep -P "$demo" -f 'ridematch serve'; }
# until_ms CONDITION…: waits for it, a minute at most, and says how many milliseconds that took.
until_ms() {
  local from
  from=$(now_ms)
  until "$@"; do
    [ $(($(now_ms) - from)) -lt 60000 ] || { tail -n 5 "$work"/*.log >&2; return 1; }
    sleep 0.02
  done
  echo $(($(now_ms) - from))
}
figures() { sort -g | awk -v unit="$1" '{v[NR] = $1} END {printf "%.4g (%.4g to %.4g) %s\n", v[int((NR + 1) / 2)], v[1], v[NR], unit}'; }

start_demo() { # DIRECTORY DRIVERS
  "$program" demo --data-dir "$work/$1" --drivers "$2" --listen "${first#http://}" >"$work/banner" 2>>"$work/demo.log" &
  demo=$!
}
stop_demo() {
  kill "$demo"
  wait "$demo" || true
  demo=0
}

for base in "$first" "$second"; do
  if is_ready "$base"; then
    echo "another process listens on $base" >&2
    exit 1
  fi
done

# Start: the first time, with the data directory to be made, and the second.
for round in $(seq "$rounds"); do
  for time in first second; do
    start_demo "start-$round" 0
    until_ms is_ready "$first" >>"$work/$time-start"
    stop_demo
  done
done
echo "demo to /readyz, its first start:  $(figures ms <"$work/first-start")"
echo "demo to /readyz, its second start: $(figures ms <"$work/second-start")"

# Two minutes of a city with 1,000 drivers.
start_demo city 1000
until_ms is_ready "$first" >/dev/null
sleep 120
environment=$(tr '\0' '\n' <"/proc/$(service_of)/environ")
setting() { sed -n "s/^$1=//p" <<<"$environment"; }
database=$(setting DATABASE_URL)
token=$(curl -s "$first/v1/sandbox/tokens" -H 'Content-Type: application/json' -d '{"role": "rider"}' | jq -r .token)
nearby=$(grep -o "$first/v1/drivers/nearby[^ ]*" "$work/banner" | tr -d '\\')
for _ in $(seq 200); do
  curl -s -o /dev/null -w '%{time_starttransfer} %{time_connect}\n' -H "Authorization: Bearer $token" "$nearby" | awk '{print 1000 * ($1 - $2)}' >>"$work/nearby"
done
echo "drivers found nearby: $(curl -s -H "Authorization: Bearer $token" "$nearby" | jq '.items | length')"
echo "GET /v1/drivers/nearby, 200 times by curl, without the connection: $(figures ms <"$work/nearby")"
psql -qAtX "$database" >"$work/authorize" -c "
  select 1000 * extract(epoch from searching.at - requested.at) from trip_events requested
  join trip_events searching on searching.trip_id = requested.trip_id and searching.seq = 2
  where requested.seq = 1 and searching.to_state = 'searching'"
echo "from requested to searching, $(wc -l <"$work/authorize") trips, scale 1: $(figures ms <"$work/authorize")"
psql -qAtX "$database" >"$work/calls" -c "
  select 1000 * extract(epoch from finished_at - started_at) from payment_attempts where operation in ('create', 'confirm') and finished_at is not null"
echo "a create or confirm at the simulator, commit to commit: $(figures ms <"$work/calls")"
# The highest bucket below which a share of the observations lies.
below() { # METRIC-WITH-LABELS SHARE
  curl -s "$first/metrics" | grep -F "$1" | grep bucket | sed 's/.*le="\([^"]*\)".* \(.*\)/\1 \2/' | sort -g | awk -v share="$2" '
    {sum[$1] += $2; if ($1 != "+Inf") order[++n] = $1; else all += $2}
    END {for (i = 1; i <= n; i++) if (sum[order[i]] >= share * all) {print 1000 * order[i] " ms"; exit} print "more"}'
}
posts='http_request_duration_seconds_bucket{method="POST",route="/v1/trips"'
echo "POST /v1/trips, by its histogram: half below $(below "$posts" 0.5), all below $(below "$posts" 1)"
match=ridematch_match_latency_seconds_bucket
echo "authorized to offer written:      half below $(below "$match" 0.5), all below $(below "$match" 1)"

# Take-over. The supervisor is stopped while the matcher is killed, or it would start another one at once.
start_other() {
  env DATABASE_URL="$database" RIDEMATCH_LISTEN="${second#http://}" RIDEMATCH_SANDBOX=true \
    RIDEMATCH_JWT_SECRET="$(setting RIDEMATCH_JWT_SECRET)" PSP_BASE_URL="$(setting PSP_BASE_URL)" \
    PSP_SECRET_KEY="$(setting PSP_SECRET_KEY)" PSP_WEBHOOK_SECRET="$(setting PSP_WEBHOOK_SECRET)" \
    "$program" serve >/dev/null 2>>"$work/other.log" &
  other=$!
  until_ms is_ready "$second" >/dev/null
}
start_other
for _ in $(seq "$rounds"); do
  until_ms is_matcher "$first" >/dev/null
  kill -STOP "$demo"
  kill -KILL "$(service_of)"
  until_ms is_matcher "$second" >>"$work/take-over"
  kill -CONT "$demo"
  until_ms is_ready "$first" >/dev/null
  kill -KILL "$other"
  wait "$other" 2>/dev/null || true
  until_ms is_matcher "$first" >>"$work/take-over"
  start_other
done
echo "matcher killed, until the other process is it: $(figures ms <"$work/take-over")"
