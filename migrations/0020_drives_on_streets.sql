-- Drives have times from the streets where there is a map. The defaults are for rows written before, and by processes of the version before.

alter table quotes add column eta_source text not null default 'estimate' check (eta_source in ('streets', 'estimate'));

alter table offers add column pickup_eta_s bigint check (pickup_eta_s >= 0);   -- the drive to the pickup; null: estimate it from the distance
alter table offers add column eta_source text not null default 'estimate' check (eta_source in ('streets', 'estimate'));

-- The drives along the lines of `coordinates`, if the city published them: a line's `forward_ms`, `backward_ms` and `lengths_m`, each with a
-- value for each piece between two positions. Matching and pricing use them where a city publishes its streets.
alter table map_streets add column drives json check (json_typeof(drives) = 'array');
