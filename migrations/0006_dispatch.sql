-- Dispatch: what was decided for a trip and why, one row per round of its search.

create table dispatch_rounds (
    trip_id      uuid        not null references trips,
    round        smallint    not null,         -- offers made before it; a round that found nobody is overwritten by the next
    decided_at   timestamptz not null,         -- domain time
    radius_m     integer     not null,
    offer_id     uuid        references offers,
    driver_id    uuid,
    considered   jsonb       not null,         -- every candidate: distance, ETA, position age, and why it lost
    primary key (trip_id, round)
);
