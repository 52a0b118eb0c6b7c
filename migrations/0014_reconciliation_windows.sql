-- Reconciliation by windows of time. All times are machine time.

-- How far the records were compared. `recent`: every payment made before it was compared after its trip was settled. `all`: where the
-- next run of all payments continues; no row: it starts with the first payment.
create table reconciliation_watermarks (
    scope      text        primary key check (scope in ('recent', 'all')),
    reached_at timestamptz not null
);

alter table reconciliation_runs
    add column position    timestamptz,                     -- the start of the next window; null before the first one has ended
    add column windows     bigint   not null default 0,     -- that were compared
    add column failed      bigint   not null default 0,     -- findings that could not be recorded, closed or repaired
    add column lease_token bigint   not null default 0,     -- fencing token: grows with every process that continues the run
    add column failures    smallint not null default 0;     -- processes in a row that ended without comparing a window

-- The open findings of the payments that a run has compared, and those that it has not seen.
create index reconciliation_findings_open_by_payment on reconciliation_findings (payment_id) where state = 'open';
create index reconciliation_findings_open_by_age on reconciliation_findings (last_seen_at) where state = 'open';
