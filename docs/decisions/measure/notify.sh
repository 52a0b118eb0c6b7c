#!/usr/bin/env bash
# What a NOTIFY inside a transaction costs: commits a second of one small row, without one, with one, with one and four
# listeners, and with one sent from outside every 5 ms, as src/platform/wake.rs does.
. "$(dirname "$0")/common.sh"

sql -c 'create table events (id bigint generated always as identity primary key, what int not null)'
echo 'insert into events (what) values (1);' >"$work/silent.sql"
printf '%s\n' 'begin;' 'insert into events (what) values (1);' "select pg_notify('wake', 'o');" 'commit;' >"$work/inside.sql"
echo "select pg_notify('wake', 'o,s');" >"$work/outside.sql"

# listen N: starts listeners, which read their notifications every 50 ms.
listeners=()
listen() {
  local n
  for n in $(seq "$1"); do
    printf '%s\n' 'listen wake;' 'select 1 \watch 0.05' | psql -qAtX >/dev/null 2>&1 &
    listeners+=("$!")
  done
  sleep 0.3
}
deafen() {
  [ "${#listeners[@]}" = 0 ] || kill "${listeners[@]}" 2>/dev/null || true
  listeners=()
  sql -c "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'" >/dev/null
}

run() {
  sql -c 'truncate events' -c checkpoint
  note "$1" "$(tps -f "$work/$2.sql")"
}

for _ in $(seq "$rounds"); do
  run without silent
  run inside inside
  listen 4; run inside-4 inside; deafen
  listen 4
  bench -c 1 -R 200 -T $((seconds + 1)) -f "$work/outside.sql" >/dev/null &
  outside=$!
  run coalesced silent
  wait "$outside"
  deafen
done

echo "commits/s, $clients connections, median (least to greatest) of $rounds rounds of $seconds s:"
echo "  no NOTIFY                                $(median without)"
echo "  one in every transaction, no listener    $(median inside)"
echo "  one in every transaction, 4 listeners    $(median inside-4)"
echo "  one every 5 ms from outside, 4 listeners $(median coalesced)"
