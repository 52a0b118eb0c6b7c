-- The ground floor: the domain clock, idempotency keys, the outbox, and who is the matcher.
--
-- No column of any table defaults to the database's clock. Times are passed in, because there are two of them: *domain* time,
-- which the sandbox can speed up, and *machine* time. Each column's comment says which one it holds.

-- Where domain time and machine time touch. One row: every process computes domain time from it.
create table clock_anchor (
    only_row  boolean primary key default true check (only_row),
    real_at   timestamptz not null,                                  -- machine time
    domain_at timestamptz not null,                                  -- domain time at that moment
    scale     integer     not null check (scale between 1 and 1000)  -- domain seconds per machine second
);

-- A request that changed something, and the answer it got. The row commits with the effect, in one transaction: a key without
-- an effect, or an effect without its key, cannot be. A running command holds an advisory lock on its key, not a row.
create table idempotency_keys (
    id          uuid        primary key,
    role        text        not null,
    subject     uuid        not null,                                   -- whose key it is
    key         text        not null check (length(key) between 1 and 255),
    fingerprint bytea       not null check (octet_length(fingerprint) = 32),  -- SHA-256 of method, path, query and body
    status      smallint    not null check (status between 200 and 299),
    headers     jsonb       not null,
    body        bytea       not null,
    created_at  timestamptz not null,                                   -- machine time; reaped after 24 h
    constraint idempotency_keys_scope unique (role, subject, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- Which room wants to hear of what. Rooms on upper floors subscribe to news from lower ones; the migration of the subscriber says so.
create table outbox_subscriptions (
    topic      text not null,
    subscriber text not null,
    primary key (topic, subscriber)
);

-- News, written in the transaction that made them. A hint to look, never the truth itself.
create table outbox_events (
    id           bigint      generated always as identity primary key,
    topic        text        not null,
    aggregate_id uuid        not null,      -- the trip that it is about: deliveries of one aggregate go out in order
    payload      jsonb       not null,
    trace_id     text,                      -- of the request that caused it
    created_at   timestamptz not null       -- machine time
);

-- One row per event and subscriber. Claimed by lease, because sequence order is not commit order and a high-water mark skips
-- rows; in order per aggregate, because whoever writes two events of one aggregate holds its row lock for both.
create table outbox_deliveries (
    event_id     bigint      not null references outbox_events on delete cascade,
    subscriber   text        not null,
    aggregate_id uuid        not null,
    attempts     smallint    not null default 0,
    due_at       timestamptz not null,      -- machine time: not before
    lease_token  uuid,                      -- fences whoever works on it
    leased_until timestamptz,               -- machine time
    delivered_at timestamptz,               -- machine time
    dead_at      timestamptz,               -- machine time: given up, a person looks
    last_error   text,
    primary key (subscriber, event_id)
);
create index outbox_deliveries_open on outbox_deliveries (subscriber, event_id)
    where delivered_at is null and dead_at is null;
create index outbox_deliveries_in_order on outbox_deliveries (subscriber, aggregate_id, event_id)
    where delivered_at is null and dead_at is null;
create index outbox_deliveries_by_event on outbox_deliveries (event_id);
create index outbox_deliveries_done on outbox_deliveries (delivered_at) where delivered_at is not null;

-- One process owns supply and dispatch. The advisory lock elects it, the epoch fences what it writes.
create table matcher (
    only_row boolean     primary key default true check (only_row),
    epoch    bigint      not null,
    owner    text        not null,
    since    timestamptz not null           -- domain time: a driver's silence is not counted from before it
);
insert into matcher (epoch, owner, since) values (0, 'nobody', '1970-01-01T00:00:00Z');

-- For tables that only ever grow.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;
