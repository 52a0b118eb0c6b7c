-- Balances of the ledger. They are derived: an insert of entries adds to them in the same statement, and the audit compares them with
-- the entries.
--
-- Many transactions post to the same account at the same time, and the row of a balance is locked until the commit. So the rows of a
-- whole account are kept in eight shards, and a balance is the sum of its shards. A rider or a driver has one row: few post for them at
-- the same time.

-- The last digits of a posting's id are random.
create function ledger_shard(posting uuid) returns smallint language sql immutable parallel safe
    return (get_byte(uuid_send(posting), 15) % 8)::smallint;

create table ledger_balances (
    owner_id uuid     not null,                 -- the rider or driver; the nil UUID for the whole account
    account  text     not null references ledger_accounts,
    currency text     not null,
    shard    smallint not null,                 -- 0 for an owner
    debits   bigint   not null,                 -- minor units
    credits  bigint   not null,                 -- minor units, positive
    primary key (owner_id, account, currency, shard)
) with (fillfactor = 50);                       -- room for updates that change no index

-- The sums of one day of domain time, in UTC. They answer for the past: the days before, and the entries of the day itself.
create table ledger_days (
    day      date     not null,
    account  text     not null references ledger_accounts,
    currency text     not null,
    shard    smallint not null,
    debits   bigint   not null,
    credits  bigint   not null,
    primary key (day, account, currency, shard)
) with (fillfactor = 50);
create index ledger_postings_by_time on ledger_postings (posted_at);

-- Rows are locked in one order: owners, whole accounts, days. A transaction inserts all its entries in one statement, so that two
-- transactions never wait for each other.
create function keep_balances() returns trigger language plpgsql as $$
begin
    insert into ledger_balances as kept (owner_id, account, currency, shard, debits, credits)
    select part.owner_id, entry.account, entry.currency, part.shard,
           sum(greatest(entry.amount, 0)), sum(greatest(-entry.amount, 0))
    from added entry
    cross join lateral (
        select '00000000-0000-0000-0000-000000000000'::uuid as owner_id, ledger_shard(entry.posting_id) as shard
        union all
        select entry.owner_id, 0::smallint where entry.owner_id is not null) part
    group by part.owner_id, entry.account, entry.currency, part.shard
    order by part.owner_id desc, entry.account, entry.currency, part.shard
    on conflict (owner_id, account, currency, shard)
        do update set debits = kept.debits + excluded.debits, credits = kept.credits + excluded.credits;

    insert into ledger_days as kept (day, account, currency, shard, debits, credits)
    select (posting.posted_at at time zone 'UTC')::date, entry.account, entry.currency, ledger_shard(posting.id),
           sum(greatest(entry.amount, 0)), sum(greatest(-entry.amount, 0))
    from added entry join ledger_postings posting on posting.id = entry.posting_id
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4
    on conflict (day, account, currency, shard)
        do update set debits = kept.debits + excluded.debits, credits = kept.credits + excluded.credits;
    return null;
end $$;

create trigger ledger_entries_keep_balances after insert on ledger_entries
    referencing new table as added for each statement execute function keep_balances();

-- The balances of the entries that exist. Until this transaction commits, the new trigger's lock keeps others from being inserted.
insert into ledger_balances (owner_id, account, currency, shard, debits, credits)
select '00000000-0000-0000-0000-000000000000', account, currency, ledger_shard(posting_id),
       sum(greatest(amount, 0)), sum(greatest(-amount, 0))
from ledger_entries group by 2, 3, 4
union all
select owner_id, account, currency, 0, sum(greatest(amount, 0)), sum(greatest(-amount, 0))
from ledger_entries where owner_id is not null group by 1, 2, 3;
insert into ledger_days (day, account, currency, shard, debits, credits)
select (posting.posted_at at time zone 'UTC')::date, entry.account, entry.currency, ledger_shard(posting.id),
       sum(greatest(entry.amount, 0)), sum(greatest(-entry.amount, 0))
from ledger_entries entry join ledger_postings posting on posting.id = entry.posting_id
group by 1, 2, 3, 4;
