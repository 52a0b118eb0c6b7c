-- Reconciliation of our payment records with the provider's: open work, runs, findings and repairs. All times are machine time.

-- Work that is due, leased or unknown: the one definition of an unsettled trip and of late work. `since` is when the work may be
-- done; it lies in the future during a lease or a back-off. Dead deliveries are not listed, because only an operator handles them.
create view open_work (trip_id, kind, id, since) as
    select aggregate_id, 'delivery', event_id || '/' || subscriber, greatest(due_at, leased_until)
    from outbox_deliveries
    where delivered_at is null and dead_at is null
union all
    select trip_id, 'payment', id::text, greatest(due_at, leased_until)
    from payments
    where due_at is not null
union all
    select payments.trip_id, 'refund', refunds.id::text, greatest(refunds.due_at, refunds.leased_until)
    from refunds join payments on payments.id = refunds.payment_id
    where refunds.due_at is not null
union all
    select payments.trip_id, case attempt.outcome when 'started' then 'call' else 'unknown' end, attempt.id::text, attempt.started_at
    from payment_attempts attempt join payments on payments.id = attempt.payment_id
    where attempt.outcome = 'started' or (attempt.outcome = 'unknown' and attempt.resolved_at is null);

-- A comparison of the records. A `queued` run waits for a worker; a `running` one is leased by a process, and another process
-- abandons it when the lease expires. `unchecked`: the provider's records could not be read, so the result is unknown.
create table reconciliation_runs (
    id              uuid        primary key,
    scope           text        not null check (scope in ('recent', 'all')),
    requested_by    uuid,                                              -- the operator; null: the schedule
    state           text        not null check (state in ('queued', 'running', 'checked', 'unchecked', 'abandoned')),
    requested_at    timestamptz not null,
    started_at      timestamptz,
    finished_at     timestamptz,
    leased_until    timestamptz,                                       -- extended by every write of the run
    since           timestamptz,                                       -- only payments made since then; null: all
    payments        bigint      not null default 0,                    -- ours that were read
    unsettled       bigint      not null default 0,                    -- trips that are over and have open work: not compared
    intents         bigint      not null default 0,                    -- the provider's
    foreign_intents bigint      not null default 0,                    -- of these, made by another system on the same account
    refunds         bigint      not null default 0,                    -- the provider's
    differences     bigint      not null default 0,
    found           bigint      not null default 0,                    -- new findings
    repairs         bigint      not null default 0,                    -- attempted
    ended           bigint      not null default 0,                    -- findings whose difference is gone
    detail          text,                                              -- why it is unchecked or incomplete
    key_id          uuid        constraint one_run_per_key unique,
    constraint started_run_has_a_time check ((state = 'queued') = (started_at is null)),
    constraint finished_run_has_a_time check ((state in ('queued', 'running')) = (finished_at is null)),
    constraint running_is_leased check ((state = 'running') = (leased_until is not null))
);
-- At most one run is running and at most one is queued: a second request gets the queued one.
create unique index one_run_at_a_time on reconciliation_runs (state) where state in ('queued', 'running');
create index reconciliation_runs_by_start on reconciliation_runs (started_at) where started_at is not null;

-- A difference, from the first run that found it until it is repaired or resolved. Kind and subject identify it across runs. One
-- that an operator resolved stays resolved while its amounts stay the same.
create table reconciliation_findings (
    id            uuid        primary key,
    kind          text        not null,
    subject       text        not null,                               -- the provider's id of the object, else ours
    payment_id    uuid,                                               -- ours, if there is one
    trip_id       uuid,
    intent_id     text,                                               -- the provider's, if there is one
    refund_id     uuid,                                               -- ours, if it is about one
    currency      text,
    ours          bigint,                                             -- minor units, if the difference is about amounts
    theirs        bigint,
    detail        text        not null,
    state         text        not null check (state in ('open', 'repaired', 'resolved')),
    repair        text        not null check (repair in ('none', 'look_again', 'release', 'cancel_intent', 'adopt_refund')),
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    ended_at      timestamptz,
    resolved_by   uuid,                                               -- the operator; null: the difference disappeared
    note          text        check (length(note) between 1 and 1000),
    version       bigint      not null default 1,
    key_id        uuid        constraint one_finding_per_key unique,
    constraint ended_finding_has_a_time check ((state = 'open') = (ended_at is null)),
    constraint resolved_by_has_a_note check (resolved_by is null or (state = 'resolved' and note is not null))
);
create unique index one_open_finding on reconciliation_findings (kind, subject) where state = 'open';
create index reconciliation_findings_by_subject on reconciliation_findings (kind, subject, id);
create index reconciliation_findings_by_state on reconciliation_findings (state, id);

-- A repair of a finding. A call to the provider is recorded as `started` before it is made. If the process stops, the row stays
-- `started`, and the next run sees from the provider's records what happened.
create table reconciliation_repairs (
    id           uuid        primary key,
    finding_id   uuid        not null references reconciliation_findings,
    run_id       uuid        not null references reconciliation_runs,
    repair       text        not null check (repair in ('look_again', 'release', 'cancel_intent', 'adopt_refund')),
    provider_key text,                                                -- the Idempotency-Key header of the call
    outcome      text        not null check (outcome in ('started', 'succeeded', 'declined', 'not_sent', 'unknown')),
    detail       text,                                                -- status and code; never a card, never a secret
    started_at   timestamptz not null,
    finished_at  timestamptz,
    constraint finished_repair_has_a_time check ((outcome = 'started') = (finished_at is null))
);
create index reconciliation_repairs_by_finding on reconciliation_repairs (finding_id, id);
create index reconciliation_repairs_by_run on reconciliation_repairs (run_id);
