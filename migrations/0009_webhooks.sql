-- Webhooks: the provider's events on their way in, and our own on their way out.

-- The provider's events, stored before they are handled. What an event says is never believed, so its body is not kept: it would
-- be somebody's data and nobody's truth. The primary key is what makes a second delivery do nothing.
create table provider_events (
    event_id     text        primary key check (length(event_id) between 1 and 255),  -- the provider's
    type         text        not null,
    intent_id    text,                               -- the intent to look at; null: it is about nothing of ours
    attempts     smallint    not null default 0,     -- times that nobody knew the intent
    received_at  timestamptz not null,               -- machine time, like all that follow; reaped after seven days
    due_at       timestamptz,                        -- null: nothing is to be done any more
    handled_at   timestamptz,
    set_aside_at timestamptz,                        -- nobody knows the intent: a person may want to know why
    constraint open_or_ended check (num_nonnulls(due_at, handled_at, set_aside_at) = 1)
);
create index provider_events_due on provider_events (due_at) where due_at is not null;
create index provider_events_set_aside on provider_events (event_id) where set_aside_at is not null;
create index provider_events_age on provider_events (received_at);

-- Who hears of what happens here.
create table webhook_endpoints (
    id              uuid        primary key,
    url             text        not null check (length(url) between 1 and 2048),
    event_types     text[]      not null check (cardinality(event_types) between 1 and 32),  -- `trip.completed`, `trip.*` or `*`
    description     text        not null default '' check (length(description) <= 200),
    secret          bytea       not null check (octet_length(secret) = 32),   -- signs every delivery
    old_secret      bytea       check (octet_length(old_secret) = 32),        -- signs as well while the receiver changes over
    old_until       timestamptz,                                              -- machine time
    disabled_at     timestamptz,                                              -- machine time
    disabled_reason text        check (disabled_reason in ('operator', 'failing', 'gone')),
    deleted_at      timestamptz,                                              -- machine time; the row stays for the log
    version         bigint      not null default 1,
    created_at      timestamptz not null,                                     -- machine time
    request_key_id  uuid        constraint one_endpoint_per_key unique,
    constraint old_secret_has_an_end check ((old_secret is null) = (old_until is null)),
    constraint disabled_has_a_reason check ((disabled_at is null) = (disabled_reason is null))
);

-- An event that somebody wants. The body is made once and never again: every attempt sends the same bytes, and what they say was
-- true when the event happened.
create table webhook_events (
    id         uuid        primary key,
    type       text        not null,
    trip_id    uuid        not null,
    body       text        not null check (octet_length(body) <= 65536),
    created_at timestamptz not null                   -- machine time; reaped after thirty days
);
create index webhook_events_age on webhook_events (created_at);

-- One row per event and endpoint. `step` is where on the ladder of retries it stands; a redelivery begins it anew.
create table webhook_deliveries (
    id           uuid        primary key,
    event_id     uuid        not null references webhook_events on delete cascade,
    endpoint_id  uuid        not null references webhook_endpoints,
    state        text        not null check (state in ('pending', 'delivered', 'dead')),
    step         smallint    not null default 0,
    attempts     integer     not null default 0,      -- in all
    due_at       timestamptz,                         -- machine time: not before
    lease_token  bigint      not null default 0,      -- grows with every lease; guards every write under it
    leased_until timestamptz,                         -- machine time
    delivered_at timestamptz,                         -- machine time: the last success
    ladder_at    timestamptz not null,                -- machine time: when its ladder began
    created_at   timestamptz not null,                -- machine time
    constraint one_delivery_per_endpoint unique (event_id, endpoint_id),
    constraint pending_is_due check ((state = 'pending') = (due_at is not null))
);
create index webhook_deliveries_due on webhook_deliveries (endpoint_id, due_at) where state = 'pending';
create index webhook_deliveries_leased on webhook_deliveries (endpoint_id) where leased_until is not null;
create index webhook_deliveries_pending on webhook_deliveries (ladder_at) where state = 'pending';
create index webhook_deliveries_dead on webhook_deliveries (id) where state = 'dead';
create index webhook_deliveries_log on webhook_deliveries (endpoint_id, id);
create index webhook_deliveries_done on webhook_deliveries (endpoint_id, delivered_at) where delivered_at is not null;

-- The log: one row per attempt.
create table webhook_attempts (
    delivery_id uuid        not null references webhook_deliveries on delete cascade,
    attempt     integer     not null,
    started_at  timestamptz not null,                 -- machine time
    duration_ms integer     not null check (duration_ms >= 0),
    status      smallint,                             -- HTTP; null: there was no answer
    failure     text,                                 -- why it does not count as delivered
    primary key (delivery_id, attempt)
);

-- What the outbox tells the webhooks about is written by their commands: a topic that no endpoint wants has no row in
-- `outbox_subscriptions`, and costs nobody an event.
