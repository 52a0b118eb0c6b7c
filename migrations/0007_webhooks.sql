-- Webhooks to subscribers: endpoints, events, deliveries, and the log of attempts.

-- An address that operators registered. The row of a deleted endpoint stays for the log of its deliveries, without its secrets.
create table webhook_endpoints (
    id               uuid        primary key,
    url              text        not null check (length(url) between 1 and 2048),
    event_types      text[]      not null check (cardinality(event_types) between 1 and 32),  -- `trip.completed`, `trip.*` or `*`
    description      text        not null default '' check (length(description) <= 200),
    secret           bytea       not null check (octet_length(secret) = 32),   -- signs every delivery
    old_secret       bytea       check (octet_length(old_secret) = 32),        -- signs too, until `old_secret_until`
    old_secret_until timestamptz,                                              -- machine time
    disabled_at      timestamptz,                                              -- machine time
    disabled_reason  text        check (disabled_reason in ('operator', 'failing', 'gone')),
    deleted_at       timestamptz,                                              -- machine time
    version          bigint      not null default 1,
    created_at       timestamptz not null,                                     -- machine time
    request_key_id   uuid        constraint one_endpoint_per_key unique,
    constraint old_secret_has_an_end check ((old_secret is null) = (old_secret_until is null)),
    constraint disabled_has_a_reason check ((disabled_at is null) = (disabled_reason is null))
);

-- An event that at least one endpoint subscribes to. The body is written once: every attempt sends the same bytes.
create table webhook_events (
    id         uuid        primary key,
    type       text        not null,
    trip_id    uuid        not null,
    body       text        not null check (octet_length(body) <= 65536),
    created_at timestamptz not null                   -- machine time; deleted after thirty days
);
create index webhook_events_age on webhook_events (created_at);

-- One row per event and endpoint. `step` is the position in the retry schedule; a redelivery starts the schedule again.
create table webhook_deliveries (
    id                  uuid        primary key,
    event_id            uuid        not null references webhook_events on delete cascade,
    endpoint_id         uuid        not null references webhook_endpoints,
    state               text        not null check (state in ('pending', 'delivered', 'dead')),
    step                smallint    not null default 0,
    attempts            integer     not null default 0,      -- in total, redeliveries included
    due_at              timestamptz,                         -- machine time: the next attempt
    lease_token         bigint      not null default 0,      -- fencing token: grows with every lease
    leased_until        timestamptz,                         -- machine time
    delivered_at        timestamptz,                         -- machine time: the last success
    schedule_started_at timestamptz not null,                -- machine time
    created_at          timestamptz not null,                -- machine time
    constraint one_delivery_per_endpoint unique (event_id, endpoint_id),
    constraint pending_is_due check ((state = 'pending') = (due_at is not null))
);
create index webhook_deliveries_due on webhook_deliveries (endpoint_id, due_at) where state = 'pending';
create index webhook_deliveries_leased on webhook_deliveries (endpoint_id) where leased_until is not null;
create index webhook_deliveries_pending on webhook_deliveries (schedule_started_at) where state = 'pending';
create index webhook_deliveries_dead on webhook_deliveries (id) where state = 'dead';
create index webhook_deliveries_log on webhook_deliveries (endpoint_id, id);
create index webhook_deliveries_done on webhook_deliveries (endpoint_id, delivered_at) where delivered_at is not null;

-- The log: one row per attempt.
create table webhook_attempts (
    delivery_id uuid        not null references webhook_deliveries on delete cascade,
    attempt     integer     not null,
    started_at  timestamptz not null,                 -- machine time
    duration_ms integer     not null check (duration_ms >= 0),
    status      smallint,                             -- HTTP; null: no response
    failure     text,                                 -- why it does not count as delivered
    primary key (delivery_id, attempt)
);

-- The commands of the webhooks keep `outbox_subscriptions` up to date: without an enabled endpoint no event is written for them.
