-- Demand: how often rides are requested per cell. Each process merges what it counted into one row every few seconds.

-- A sketch of bounded size (src/demand/sketch.rs). The arrays have one item per cell; counts are relative to the landmark.
create table demand_sketch (
    only_row boolean            primary key default true check (only_row),
    version  bigint             not null check (version > 0),
    landmark timestamptz        not null,                          -- domain time
    total    double precision   not null check (total >= 0),       -- decayed number of all requests
    floor    double precision   not null check (floor >= 0),       -- of a cell without a counter, at most
    cells    bigint[]           not null,                          -- H3 cells of resolution 8
    counts   double precision[] not null,                          -- decayed requests, never too low
    errors   double precision[] not null,                          -- how much too high, at most
    constraint counters_are_whole
        check (cardinality(counts) = cardinality(cells) and cardinality(errors) = cardinality(cells) and cardinality(cells) <= 1024)
);

-- The zones that the matcher computed last: demand, free drivers and surge per cell. Other processes read prices from it.
create table demand_zones (
    only_row       boolean     primary key default true check (only_row),
    epoch          bigint      not null,                           -- of the matcher
    as_of          timestamptz not null,                           -- domain time
    computed_at    timestamptz not null,                           -- machine time: old zones set no price
    cells          bigint[]    not null,
    multipliers_bp integer[]   not null,                           -- published; 10000 is no surge
    smoothed_bp    integer[]   not null,                           -- from which the next ones follow
    idle           integer[]   not null,                           -- free drivers in the cell
    expected_milli bigint[]    not null,                           -- requests expected in the cell and its ring, thousandths
    idle_nearby    integer[]   not null,                           -- free drivers in the cell and its ring
    constraint zones_are_whole check (
        cardinality(multipliers_bp) = cardinality(cells) and cardinality(smoothed_bp) = cardinality(cells)
        and cardinality(idle) = cardinality(cells) and cardinality(expected_milli) = cardinality(cells)
        and cardinality(idle_nearby) = cardinality(cells) and cardinality(cells) <= 4096)
);
