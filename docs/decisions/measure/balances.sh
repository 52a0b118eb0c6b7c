#!/usr/bin/env bash
# Three ways to know what an account holds: sum its entries, keep one row for each account, or keep eight. How many postings a second
# each takes when all are charges, which all touch the account of the platform.
. "$(dirname "$0")/common.sh"

sql <<'SQL'
alter table ledger_postings drop constraint ledger_postings_trip;
create function in_one_row(posting uuid) returns smallint language sql immutable return 0::smallint;
create function in_eight_rows(posting uuid) returns smallint language sql immutable return (get_byte(uuid_send(posting), 15) % 8)::smallint;
SQL

cat >"$work/charge.sql" <<'EOS'
\set rider random(1, 20000)
\set driver random(1, 2000)
select gen_random_uuid() as id \gset
begin;
insert into ledger_postings (id, kind, source_id, trip_id, posted_at) values (:id::uuid, 'charge', :id::uuid, :id::uuid, '2026-01-01');
insert into ledger_entries (posting_id, line, account, owner_id, amount, currency) values
    (:id::uuid, 1, 'rider_receivable', md5('rider' || :rider::text)::uuid, 1000, 'USD'),
    (:id::uuid, 2, 'driver_payable', md5('driver' || :driver::text)::uuid, -750, 'USD'),
    (:id::uuid, 3, 'platform_revenue', null, -250, 'USD');
insert into provider_events (event_id, type, received_at, handled_at) values (:id::text, 'payment', '2026-01-01', '2026-01-01');
commit;
EOS

empty() {
  sql -c 'alter table ledger_entries disable trigger user' -c 'alter table ledger_postings disable trigger user' \
    -c 'truncate ledger_postings, ledger_entries, ledger_balances, ledger_days, provider_events' \
    -c 'alter table ledger_entries enable trigger user' -c 'alter table ledger_postings enable trigger user'
}
shards() { sql -c "create or replace function ledger_shard(posting uuid) returns smallint language sql immutable return $1(posting)"; }

for _ in $(seq "$rounds"); do
  empty
  sql -c 'alter table ledger_entries disable trigger ledger_entries_keep_balances' -c checkpoint
  note sums "$(tps -f "$work/charge.sql")"
  sql -c 'alter table ledger_entries enable trigger ledger_entries_keep_balances'
  for rows in in_one_row in_eight_rows; do
    empty
    shards "$rows"
    sql -c checkpoint
    note "$rows" "$(tps -f "$work/charge.sql")"
  done
done

echo "charges/s, $clients connections, median (least to greatest) of $rounds rounds of $seconds s:"
echo "  no balances: sums of entries   $(median sums)"
echo "  one row for each account       $(median in_one_row)"
echo "  eight rows for each account    $(median in_eight_rows)"
