#!/usr/bin/env bash
# Two readers of an outbox that is being written to: one remembers the highest id that it has seen, one claims rows. How
# many events each misses, what a delivery row costs the writers, and how many events a second one worker gets through.
. "$(dirname "$0")/common.sh"

sql <<'SQL'
create schema m;
create table m.mark (id bigint not null);
insert into m.mark values (0);
create table m.seen (id bigint primary key);
SQL

# A transaction writes its event, and has something left to do before it commits.
cat >"$work/write.sql" <<'EOS'
\set pause random(0, 3000)
select gen_random_uuid() as trip \gset
begin;
with event as (
  insert into outbox_events (topic, aggregate_id, payload, created_at)
  values ('payment.authorized', :trip::uuid, '{}', '2026-01-01') returning id, topic, aggregate_id, created_at)
insert into outbox_deliveries (event_id, subscriber, aggregate_id, due_at)
select event.id, outbox_subscriptions.subscriber, event.aggregate_id, event.created_at
from event join outbox_subscriptions using (topic);
\sleep :pause us
commit;
EOS
cat >"$work/event-only.sql" <<'EOS'
insert into outbox_events (topic, aggregate_id, payload, created_at)
values ('payment.authorized', gen_random_uuid(), '{}', '2026-01-01');
EOS
sed -e '/pause/d' "$work/write.sql" >"$work/event-and-delivery.sql"
cat >"$work/high-water.sql" <<'EOS'
with fresh as (insert into m.seen select e.id from outbox_events e, m.mark where e.id > m.mark.id order by e.id limit 1000 returning id)
update m.mark set id = greatest(m.mark.id, (select max(fresh.id) from fresh));
EOS
# What src/platform/outbox.rs does: its own query claims a batch, and each event is finished in a transaction of its own.
source=$(dirname "${BASH_SOURCE[0]}")/../../../src/platform/outbox.rs
{
  echo '\set lease random(1, 2000000000)'
  sed -n '/r#"with due as (/,/order by e.id"#/p' "$source" |
    sed -e 's/r#"//' -e '/order by e.id"#/d' -e 's/select e.id, .*/select array_agg(e.id) as batch, count(*) as claimed/' \
      -e "s/\$1/'trips'/g; s/\$2/'2026-01-02'/g; s/\$3/32/g; s/\$4/md5(:lease::text)::uuid/g; s/\$5/'2026-01-03'/g"
  echo '\gset'
} >"$work/claim.sql"
finish="update outbox_deliveries set delivered_at = '2026-01-02', leased_until = null
where subscriber = 'trips' and event_id = (:batch::bigint[])[N] and lease_token = md5(:lease::text)::uuid and delivered_at is null;"
for n in $(seq 32); do
  printf '\\if :claimed >= %d\n%s\n\\endif\n' "$n" "${finish/N/$n}"
done >>"$work/claim.sql"

open() { sql -c 'select count(*) from outbox_deliveries where delivered_at is null'; }
clean() { sql -c 'truncate outbox_events, outbox_deliveries, m.seen' -c 'update m.mark set id = 0' -c checkpoint; }

for _ in $(seq "$rounds"); do
  clean
  bench -c 1 -T 4 -f "$work/high-water.sql" >/dev/null &
  bench -c 1 -T 4 -f "$work/claim.sql" >/dev/null &
  tps -T 2 -f "$work/write.sql" >/dev/null
  wait
  # The mark has had its chance: what it has passed by it never sees. Claims go on until they find nothing.
  for _ in $(seq 20); do
    [ "$(open)" != 0 ] || break
    sql -c 'analyze outbox_deliveries, outbox_events'
    bench -c 1 -T 1 -f "$work/claim.sql" >/dev/null
  done
  note events "$(sql -c 'select count(*) from outbox_events')"
  note missed-by-mark "$(sql -c 'select count(*) from outbox_events e where not exists (select from m.seen s where s.id = e.id)')"
  note missed-by-claim "$(open)"

  for option in event-only event-and-delivery; do
    clean
    note "$option" "$(tps -f "$work/$option.sql")"
  done

  # A queue that has grown for a while, and one worker.
  clean
  pgbench -n -M prepared -c 8 -t 256 -f "$work/event-and-delivery.sql" >/dev/null 2>&1
  sql -c 'analyze outbox_deliveries, outbox_events'
  note handled "$(pgbench -n -M prepared -c 1 -t 64 -f "$work/claim.sql" 2>/dev/null | awk '/^tps/ {print 32 * $3}')"
done

echo "$clients writers, median (least to greatest) of $rounds rounds:"
echo "  events written in 2 s while both read        $(median events)"
echo "  never seen by the high-water mark            $(median missed-by-mark)"
echo "  never claimed                                $(median missed-by-claim)"
echo "  commits/s: the event alone                   $(median event-only)"
echo "  commits/s: event and delivery                $(median event-and-delivery)"
echo "  of 2,048, claimed and finished/s by a worker $(median handled)"
