-- Supply: drivers, their availability, and their last known positions.

create table drivers (
    id              uuid    primary key,
    name            text    not null check (length(name) between 1 and 80),
    class           text    not null check (class in ('standard', 'comfort', 'xl')),
    plate           text    not null check (length(plate) between 1 and 16),
    available       boolean not null,
    available_since timestamptz,                                  -- domain time
    version         bigint  not null default 1,
    constraint available_since_is_set check (not available or available_since is not null)
);

-- The last known position of each driver. Saved from memory about once a second; loaded at startup if it is fresh.
create table driver_positions (
    driver_id   uuid             primary key references drivers,
    lat         double precision not null check (lat between -90 and 90),
    lon         double precision not null check (lon between -180 and 180),
    recorded_at timestamptz      not null,                        -- domain time, by the device's clock
    received_at timestamptz      not null                         -- domain time, by our clock
);
