-- The checkpoint of the driver index. It replaces a row per driver, which was written for each change and could fall behind.

drop table driver_positions;

-- The matcher replaces the checkpoint as a whole every few seconds. The next matcher restores the positions that are still fresh; a
-- process that is not the matcher reads one driver's last position from it. Unlogged: positions are sent again every few seconds, so
-- that those lost in a crash of the server need no recovery.
create unlogged table index_checkpoint (
    only_row boolean     primary key default true check (only_row),
    epoch    bigint      not null,              -- of the matcher that saved it
    saved_at timestamptz not null               -- domain time: it has every position received before
);

create unlogged table index_checkpoint_chunks (
    first_driver uuid  primary key,             -- a driver's chunk is the last one whose first driver is not greater
    positions    bytea not null                 -- up to 1,000 drivers, ordered by id; src/supply/checkpoint.rs has the format
);
-- Coordinates do not compress.
alter table index_checkpoint_chunks alter column positions set storage external;

-- The cycle that compares the driver index with the database reads the online drivers in pages, however many are offline.
create index drivers_online on drivers (id) where available;
