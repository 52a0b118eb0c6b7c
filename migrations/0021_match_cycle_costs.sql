-- What a match cycle weighed and how long a trip waited, for GET /v1/trips/{trip_id}/explain. Null in rows from before.

alter table match_cycles
    add column cycle                 jsonb,     -- policy, size and computing time of the cycle
    add column waited_ms             bigint check (waited_ms >= 0),     -- domain time since the trip was first searched for
    add column skip_cost_ms          bigint check (skip_cost_ms >= 0),  -- the cost of leaving the trip out
    -- Real time of the search until the offer. Null without an offer.
    add column waited_for_driver_ms  bigint check (waited_for_driver_ms >= 0),
    add column waited_for_service_ms bigint check (waited_for_service_ms >= 0);
