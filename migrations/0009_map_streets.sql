-- The streets of the map in the development console; empty in production. A simulated city publishes them when it starts, and the
-- table keeps them across restarts. Pricing and matching do not use them.

create table map_streets (
    only_row    boolean primary key default true check (only_row),
    version     bigint  not null check (version > 0),              -- the ETag
    coordinates json    not null check (json_typeof(coordinates) = 'array')  -- GeoJSON: lines of [longitude, latitude], as received
);
