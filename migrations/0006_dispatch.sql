-- Dispatch: one row for each match cycle of a trip, for GET /v1/trips/{trip_id}/explain.

create table match_cycles (
    trip_id       uuid        not null references trips,
    offers_before smallint    not null,         -- offers the trip had before this cycle; a cycle without an offer is replaced by the next
    decided_at    timestamptz not null,         -- domain time
    offer_id      uuid        references offers,
    driver_id     uuid,
    candidates    jsonb       not null,         -- every considered driver: distance, ETA, position age and verdict
    primary key (trip_id, offers_before)
);
