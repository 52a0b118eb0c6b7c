-- The sandbox's map: the streets that the console draws under the cars. Whoever drives a city publishes them at start, and they
-- are kept here because a console that comes back after the service was killed still wants its map. Matching never looks at them.

create table sandbox_streets (
    only_row    boolean primary key default true check (only_row),
    version     bigint  not null check (version > 0),              -- the ETag
    coordinates json    not null check (json_typeof(coordinates) = 'array')  -- GeoJSON: lines of [longitude, latitude]; the text as it came
);
