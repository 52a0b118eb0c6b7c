-- Surge: what operators set, and what a quote says of it. Hints to drivers.

-- Also the record of who set what, and why. One of a cell counts: the row that has not ended.
create table surge_overrides (
    id            uuid        primary key,
    cell          bigint      not null,                            -- H3 cell of resolution 8
    multiplier_bp integer     not null check (multiplier_bp between 10000 and 30000),
    reason        text        not null check (length(reason) between 1 and 500),
    set_by        uuid        not null,                            -- the operator
    set_at        timestamptz not null,                            -- domain time
    expires_at    timestamptz not null,                            -- domain time
    ended_at      timestamptz,                                     -- domain time: deleted or replaced before it expired
    ended_by      uuid,                                            -- the operator
    constraint expires_after_it_is_set check (expires_at > set_at),
    constraint ended_has_operator check ((ended_at is null) = (ended_by is null))
);
create unique index one_override_per_cell on surge_overrides (cell) where ended_at is null;
create index surge_overrides_age on surge_overrides (expires_at);

-- Why the price of a quote has its surge.
alter table quotes add column surge_cell bigint;                   -- H3 cell of resolution 8; null without surge
alter table quotes add column surge_reason text not null default 'No surge.';

-- The hints of the last minutes, so that a driver gets one in ten minutes at most.
create index driver_events_hints on driver_events (at) where type = 'hint.created';
