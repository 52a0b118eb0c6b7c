#!/usr/bin/env bash
# Four ways to keep a driver from being engaged twice, on the transaction that makes an offer: lock the trip, engage the
# driver, step the trip, write its event. Each connection lets go of its last driver as it takes the next one.
. "$(dirname "$0")/common.sh"

sql <<'SQL'
create schema m;
create table m.trips (id int primary key, version int not null default 0);
insert into m.trips select generate_series(1, 3200);
create table m.drivers (id uuid primary key);
insert into m.drivers select md5(n::text)::uuid from generate_series(1, 2000) n;
create table m.keyed (driver_id uuid primary key, trip_id int not null);
create table m.bare (driver_id uuid not null, trip_id int not null);
create index on m.bare (driver_id);
create index on m.bare (trip_id);
create index on m.keyed (trip_id);
create table m.events (trip_id int not null, version int not null);
create table m.twice (driver_id uuid not null);
SQL

# Before each new driver, a connection checks whether another one holds its current driver.
head='
\set trip :client_id * 200 + random(1, 200)
\set n random(1, :drivers)
select count(*) > 1 as "twice" from m.TABLE where driver_id = md5(:mine::text)::uuid \gset
\if :twice
insert into m.twice values (md5(:mine::text)::uuid);
\endif
begin;'
granted='
update m.trips set version = version + 1 where id = :trip;
delete from m.TABLE where trip_id = :last and driver_id = md5(:mine::text)::uuid;
insert into m.events values (:trip, 1);
commit;
\set last :trip
\set mine :n
'
check='select count(*) = 0 as "free" from m.TABLE where driver_id = md5(:n::text)::uuid \gset'
engage='insert into m.TABLE values (md5(:n::text)::uuid, :trip);'
refused='\else
rollback;
\endif'
lock_trip='select id from m.trips where id = :trip for update;'

script() { # NAME TABLE BODY
  { echo "$head"; echo "$3"; } | sed "s/TABLE/$2/g" >"$work/$1.sql"
}
script constraint keyed "$lock_trip
with engaged as (insert into m.TABLE values (md5(:n::text)::uuid, :trip) on conflict do nothing returning 1)
select count(*) = 1 as \"free\" from engaged \\gset
\\if :free$granted$refused"
script serializable bare "set transaction isolation level serializable;
$check
\\if :free
$engage$granted$refused"
script row-lock bare "$lock_trip
select id from m.drivers where id = md5(:n::text)::uuid for update;
$check
\\if :free
$engage$granted$refused"
script nothing bare "$lock_trip
$check
\\if :free
$engage$granted$refused"

run() { # NAME DRIVERS
  sql -c 'truncate m.keyed, m.bare, m.events, m.twice' -c checkpoint
  # Engaged drivers outside the race, so that the table is as large as a city's.
  sql -c "insert into m.keyed select md5('x' || n)::uuid, -n from generate_series(1, 10000) n" \
    -c "insert into m.bare select md5('x' || n)::uuid, -n from generate_series(1, 10000) n" -c 'analyze m.keyed, m.bare'
  bench -j 2 -c "$clients" --max-tries=100 -D drivers="$2" -D last=0 -D mine=0 -f "$work/$1.sql" >"$work/out"
  note "$1-$2-granted" "$(sql -c "select count(*) / $seconds from m.events")"
  note "$1-$2-twice" "$(sql -c 'select count(*) from m.twice')"
  note "$1-$2-retries" "$(awk -F': ' '/total number of retries/ {print $2 + 0}' "$work/out")"
}

options='constraint serializable row-lock nothing'
for _ in $(seq "$rounds"); do
  for drivers in 2000 32; do
    for option in $options; do run "$option" "$drivers"; done
  done
done

echo "$clients connections, median (least to greatest) of $rounds rounds of $seconds s:"
for drivers in 2000 32; do
  for option in $options; do
    printf '  %-12s %4d drivers: granted/s %-22s runs again %-20s seen twice %s\n' "$option" "$drivers" \
      "$(median "$option-$drivers-granted")" "$(median "$option-$drivers-retries")" "$(median "$option-$drivers-twice")"
  done
done
