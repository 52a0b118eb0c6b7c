-- Trips: one trip from request to receipt, its offers, and the driver's engagement.

-- What each state of a trip means. A test compares it with `trips::State`; queries join it instead of listing states.
create table trip_states (
    name       text    primary key,
    is_over    boolean not null,                                -- the trip has ended
    has_driver boolean not null                                 -- a driver is assigned now
);
insert into trip_states (name, is_over, has_driver) values
    ('requested',      false, false),
    ('searching',      false, false),
    ('offered',        false, false),
    ('assigned',       false, true),
    ('arrived',        false, true),
    ('in_progress',    false, true),
    ('completed',      true,  false),
    ('cancelled',      true,  false),
    ('no_show',        true,  false),
    ('no_driver',      true,  false),
    ('payment_failed', true,  false),
    ('aborted',        true,  false);

-- Every transition that a trip may take. A test compares it with the state machine; an event that is none cannot be written.
create table trip_transitions (
    from_state text not null,                                   -- `none` before the first
    command    text not null,
    to_state   text not null references trip_states,
    primary key (from_state, command, to_state)
);
insert into trip_transitions (from_state, command, to_state) values
    ('none',        'request',             'requested'),
    ('requested',   'authorized',          'searching'),
    ('requested',   'payment_declined',    'payment_failed'),
    ('requested',   'payment_timeout',     'payment_failed'),
    ('requested',   'rider_cancel',        'cancelled'),
    ('searching',   'offer',               'offered'),
    ('searching',   'give_up',             'no_driver'),
    ('searching',   'rider_cancel',        'cancelled'),
    ('offered',     'accept',              'assigned'),
    ('offered',     'decline',             'searching'),
    ('offered',     'expire',              'searching'),
    ('offered',     'withdraw',            'searching'),
    ('offered',     'rider_cancel',        'cancelled'),
    ('assigned',    'arrive',              'arrived'),
    ('assigned',    'driver_cancel',       'searching'),
    ('assigned',    'driver_cancel',       'no_driver'),
    ('assigned',    'driver_unresponsive', 'searching'),
    ('assigned',    'driver_unresponsive', 'no_driver'),
    ('assigned',    'rider_cancel',        'cancelled'),
    ('assigned',    'abort',               'aborted'),
    ('arrived',     'start',               'in_progress'),
    ('arrived',     'driver_cancel',       'searching'),
    ('arrived',     'driver_cancel',       'no_driver'),
    ('arrived',     'driver_unresponsive', 'searching'),
    ('arrived',     'driver_unresponsive', 'no_driver'),
    ('arrived',     'rider_cancel',        'cancelled'),
    ('arrived',     'no_show',             'no_show'),
    ('arrived',     'abort',               'aborted'),
    ('in_progress', 'complete',            'completed'),
    ('in_progress', 'abort',               'aborted');

create table trips (
    id                 uuid             primary key,
    rider_id           uuid             not null,
    driver_id          uuid             references drivers,      -- from `assigned` on; kept when the trip is over
    quote_id           uuid             not null constraint one_trip_per_quote unique references quotes,
    payment_id         uuid             not null references payments deferrable initially deferred,  -- of the fare
    state              text             not null references trip_states,
    version            bigint           not null,                -- number of its events; the ETag
    class              text             not null,
    pickup_lat         double precision not null,
    pickup_lon         double precision not null,
    dropoff_lat        double precision not null,
    dropoff_lon        double precision not null,
    currency           text             not null,
    price              bigint           not null check (price > 0),   -- the quote's, minor units
    waiting_charge     bigint           not null default 0 check (waiting_charge >= 0),
    total              bigint           check (total >= 0),      -- minor units charged to the rider; null until the trip is over
    pin                text             not null check (pin ~ '^[0-9]{4}$'),
    pin_failures       smallint         not null default 0 check (pin_failures between 0 and 5),
    offers_made        smallint         not null default 0 check (offers_made between 0 and 20),
    unassignments      smallint         not null default 0 check (unassignments between 0 and 4),
    cancelled_by       text             check (cancelled_by in ('rider', 'driver', 'system', 'ops')),
    requested_at       timestamptz      not null,                -- domain time, like all that follow but one
    authorized_at      timestamptz,                              -- machine time; the match latency counts from here
    search_deadline_at timestamptz,
    search_at          timestamptz,                              -- next match cycle
    assigned_at        timestamptz,
    arrived_at         timestamptz,
    started_at         timestamptz,
    ended_at           timestamptz,
    due_at             timestamptz,                              -- next deadline: payment, offer or search
    request_key_id     uuid             constraint one_trip_per_key unique,
    -- A check cannot join `trip_states`: tests compare both lists with it.
    constraint driver_while_assigned check (driver_id is not null
        or state not in ('assigned', 'arrived', 'in_progress', 'completed', 'no_show')),
    constraint ended_at_when_over check ((ended_at is not null)
        = (state in ('completed', 'cancelled', 'no_show', 'no_driver', 'payment_failed', 'aborted'))),
    constraint searching_has_times check (state <> 'searching' or (search_at is not null and search_deadline_at is not null))
);
-- Active is the same as `ended_at is null`, by `ended_at_when_over`.
create unique index one_active_trip_per_rider on trips (rider_id) where ended_at is null;
create unique index one_active_trip_per_driver on trips (driver_id) where ended_at is null;
create index trips_due on trips (due_at) where due_at is not null;
create index trips_to_search on trips (search_at) where state = 'searching';
create index trips_by_rider on trips (rider_id, id);
create index trips_by_driver on trips (driver_id, id);

alter table payments add constraint payments_trip foreign key (trip_id) references trips deferrable initially deferred;
alter table ledger_postings add constraint ledger_postings_trip foreign key (trip_id) references trips;

create table offers (
    id                 uuid        primary key,
    trip_id            uuid        not null references trips,
    driver_id          uuid        not null references drivers,
    status             text        not null check (status in ('pending', 'accepted', 'declined', 'expired', 'withdrawn')),
    pickup_distance_m  bigint      not null check (pickup_distance_m >= 0),
    matcher_epoch      bigint      not null,                     -- leadership epoch of the matcher that made it
    withdrawn_because  text,
    created_at         timestamptz not null,                     -- domain time
    expires_at         timestamptz not null,                     -- domain time
    decided_at         timestamptz,                              -- domain time
    released_at        timestamptz,                              -- domain time: accepted, then the driver was unassigned
    constraint decided_at_when_decided check ((status = 'pending') = (decided_at is null)),
    constraint only_accepted_is_released check (released_at is null or status = 'accepted')
);
create unique index one_pending_offer_per_trip on offers (trip_id) where status = 'pending';
create unique index one_pending_offer_per_driver on offers (driver_id) where status = 'pending';
create unique index one_accepted_offer_per_trip on offers (trip_id) where status = 'accepted' and released_at is null;
create unique index one_offer_per_trip_and_driver on offers (trip_id, driver_id) where status <> 'withdrawn';
create index offers_by_driver on offers (driver_id, id);

-- Has a row exactly while a driver has a live offer or an active trip. The primary key prevents a second offer, and an offer
-- during a ride.
create table driver_engagements (
    driver_id uuid constraint one_engagement_per_driver primary key references drivers,
    trip_id   uuid not null constraint one_engagement_per_trip unique references trips,
    offer_id  uuid not null constraint one_engagement_per_offer unique references offers,
    kind      text not null check (kind in ('offer', 'ride'))
);

create table trip_events (
    trip_id    uuid        not null references trips,
    seq        bigint      not null check (seq > 0),             -- without gaps; the trip's version after the event
    command    text        not null,
    from_state text        not null,
    to_state   text        not null,
    actor      text        not null check (actor in ('rider', 'driver', 'system', 'ops')),
    actor_id   uuid,
    data       jsonb       not null,
    key_id     uuid        constraint one_event_per_key unique,
    at         timestamptz not null,                             -- domain time
    primary key (trip_id, seq),
    constraint legal_transition foreign key (from_state, command, to_state) references trip_transitions
);
create trigger trip_events_append_only before update or delete or truncate on trip_events
    for each statement execute function refuse_change();

-- The events of a driver's stream. Each writer locks the driver's engagement, so `seq` grows in commit order per driver. Rows
-- are deleted after 24 h.
create table driver_events (
    seq       bigint      generated always as identity primary key,
    driver_id uuid        not null references drivers,
    type      text        not null,
    data      jsonb       not null,
    at        timestamptz not null,                              -- domain time
    made_at   timestamptz not null                               -- machine time
);
create index driver_events_by_driver on driver_events (driver_id, seq);
create index driver_events_age on driver_events (made_at);

insert into outbox_subscriptions (topic, subscriber) values
    ('payment.authorized', 'trips'),
    ('payment.declined',   'trips');
