-- The platform: the domain clock, idempotency keys, the outbox, and the matcher.
--
-- A migration that has landed is never edited: every database stores its checksum. Changes go into a new file.
--
-- No column defaults to the database's clock. Times are arguments, because there are two of them: *domain* time, which the demo
-- can speed up, and *machine* time. The comment of each column says which one it holds.

-- The relation of domain time and machine time. One row: every process computes domain time from it.
create table clock_anchor (
    only_row  boolean primary key default true check (only_row),
    real_at   timestamptz not null,                                  -- machine time
    domain_at timestamptz not null,                                  -- domain time at that moment
    scale     integer     not null check (scale between 1 and 1000)  -- domain seconds per machine second
);

-- Requests that changed something, and their responses. A row commits with the effect, in one transaction. A running command holds
-- an advisory lock on its key, not a row.
create table idempotency_keys (
    id          uuid        primary key,
    role        text        not null,
    subject     uuid        not null,                                         -- the owner of the key
    key         text        not null check (length(key) between 1 and 255),
    fingerprint bytea       not null check (octet_length(fingerprint) = 32),  -- SHA-256 of method, path, query and body
    status      smallint    not null check (status between 200 and 299),
    headers     jsonb       not null,
    body        bytea       not null,
    created_at  timestamptz not null,                                         -- machine time; deleted after 24 h
    constraint idempotency_keys_scope unique (role, subject, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- The subscriptions of modules to the events of lower ones. The migration of the subscriber inserts them.
create table outbox_subscriptions (
    topic      text not null,
    subscriber text not null,
    primary key (topic, subscriber)
);

-- Events, written in the transaction of the change. An event is a hint to read the state again, never the state itself.
create table outbox_events (
    id           bigint      generated always as identity primary key,
    topic        text        not null,
    aggregate_id uuid        not null,      -- the trip; events of one trip are delivered in order
    payload      jsonb       not null,
    trace_id     text,                      -- of the request that caused the event
    created_at   timestamptz not null       -- machine time
);

-- One row per event and subscriber, claimed by lease. A high-water mark would skip rows, because sequence order is not commit order.
-- Within one aggregate the orders agree, because a transaction that writes its events holds its row lock.
create table outbox_deliveries (
    event_id     bigint      not null references outbox_events on delete cascade,
    subscriber   text        not null,
    aggregate_id uuid        not null,
    attempts     smallint    not null default 0,
    due_at       timestamptz not null,      -- machine time: not delivered before
    lease_token  uuid,                      -- fencing token of the lease
    leased_until timestamptz,               -- machine time
    delivered_at timestamptz,               -- machine time
    dead_at      timestamptz,               -- machine time: given up, needs an operator
    last_error   text,
    primary key (subscriber, event_id)
);
create index outbox_deliveries_open on outbox_deliveries (subscriber, event_id)
    where delivered_at is null and dead_at is null;
create index outbox_deliveries_in_order on outbox_deliveries (subscriber, aggregate_id, event_id)
    where delivered_at is null and dead_at is null;
create index outbox_deliveries_by_event on outbox_deliveries (event_id);
create index outbox_deliveries_done on outbox_deliveries (delivered_at) where delivered_at is not null;

-- The one process that owns supply and dispatch. An advisory lock elects it; the epoch is the fencing token of its writes.
create table matcher (
    only_row boolean     primary key default true check (only_row),
    epoch    bigint      not null,
    owner    text        not null,
    since    timestamptz not null           -- domain time: the earliest start of a driver's unresponsiveness
);
insert into matcher (epoch, owner, since) values (0, 'none', '1970-01-01T00:00:00Z');

-- Rejects updates and deletes, for append-only tables.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;
