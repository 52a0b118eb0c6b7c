#!/usr/bin/env bash
# Two ways to remember a key: one commit with the effect, or a commit for each recovery point. And two ways to find out that
# another process is at work under the same key: ask for a lock, or insert the row and see.
. "$(dirname "$0")/common.sh"

sql <<'SQL'
create schema m;
create table m.keys (id bigint generated always as identity primary key, key uuid not null unique,
                     recovery_point text not null, body bytea);
create table m.trips (id uuid primary key, state text not null);
create table m.events (trip_id uuid not null, seq int not null, primary key (trip_id, seq));
SQL

head='select gen_random_uuid() as key \gset
select hashtextextended(:key::text, 0) as lock_id \gset'
effect="insert into m.trips values (:key::uuid, 'requested');
insert into m.events values (:key::uuid, 1);"
body="decode(repeat('7b', 600), 'hex')"

cat >"$work/with-effect.sql" <<EOS
$head
begin;
select pg_try_advisory_xact_lock(:lock_id);
select body from m.keys where key = :key::uuid;
$effect
insert into m.keys (key, recovery_point, body) values (:key::uuid, 'finished', $body);
commit;
EOS
cat >"$work/recovery-points.sql" <<EOS
$head
select recovery_point from m.keys where key = :key::uuid;
insert into m.keys (key, recovery_point) values (:key::uuid, 'started');
begin;
$effect
update m.keys set recovery_point = 'trip_created' where key = :key::uuid;
commit;
update m.keys set recovery_point = 'finished', body = $body where key = :key::uuid;
EOS

for _ in $(seq "$rounds"); do
  for option in with-effect recovery-points; do
    sql -c 'truncate m.keys, m.trips, m.events' -c checkpoint
    note "$option" "$(tps -f "$work/$option.sql")"
  done
done

# The first command under a key runs for 400 ms; 100 ms after its start, another process asks after it.
asks() { # NAME FIRST-TAKES SECOND-ASKS
  sql -c begin -c "$2" -c 'select pg_sleep(0.4)' -c rollback >/dev/null &
  sleep 0.1
  note "$1" "$(printf '\\timing on\n%s;\n' "$3" | psql -qAtX | awk '/^Time/ {print $2}')"
  wait
}
row="insert into m.keys (key, recovery_point) values ('00000000-0000-0000-0000-000000000001', 'started') on conflict do nothing"
for _ in $(seq "$rounds"); do
  asks ask-lock 'select pg_try_advisory_xact_lock(7)' 'select pg_try_advisory_xact_lock(7)'
  asks ask-row "$row" "$row"
  sql -c "delete from m.keys where key = '00000000-0000-0000-0000-000000000001'"
done

echo "requests/s under a key, $clients connections, median (least to greatest) of $rounds rounds of $seconds s:"
echo "  the key commits with the effect   $(median with-effect)"
echo "  recovery points, three commits    $(median recovery-points)"
echo "ms until a second process knows that the first is at work (it has 300 ms to go), of $rounds:"
echo "  tries the advisory lock           $(median ask-lock)"
echo "  inserts the key's row             $(median ask-row)"
