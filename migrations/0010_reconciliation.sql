-- Reconciliation: our books against the provider's. Runs, what they found, what was done about it. And the ledger's indices
-- for balances as of a time and for statements.

-- A comparison. `asked` waits for a worker; `running` is leased by one process, and one that is gone is `abandoned` by the next.
-- `unchecked`: the provider did not show its books, so nothing is known.
create table reconciliation_runs (
    id             uuid        primary key,
    scope          text        not null check (scope in ('recent', 'all')),
    asked_by       uuid,                                              -- the operator; null: the schedule
    state          text        not null check (state in ('asked', 'running', 'checked', 'unchecked', 'abandoned')),
    asked_at       timestamptz not null,                              -- machine time, like all times of reconciliation
    started_at     timestamptz,
    finished_at    timestamptz,
    leased_until   timestamptz,                                       -- each write of the run begins its lease anew
    since          timestamptz,                                       -- compared: what was made since then; null: everything
    payments       bigint      not null default 0,                    -- ours that were compared
    unsettled      bigint      not null default 0,                    -- trips that are over and have unfinished work: not compared
    intents        bigint      not null default 0,                    -- the provider's
    refunds        bigint      not null default 0,                    -- the provider's
    differences    bigint      not null default 0,
    found          bigint      not null default 0,                    -- of these, not seen before
    repairs        bigint      not null default 0,                    -- tried by this run
    ended          bigint      not null default 0,                    -- findings that this run saw gone
    detail         text,                                              -- why it is unchecked
    key_id         uuid        constraint one_run_per_key unique,
    constraint started_run_has_a_time check ((state = 'asked') = (started_at is null)),
    constraint finished_run_has_a_time check ((state in ('asked', 'running')) = (finished_at is null)),
    constraint running_is_leased check ((state = 'running') = (leased_until is not null))
);
-- At most one runs, and at most one waits to: whoever asks again is given the one that waits.
create unique index one_run_at_a_time on reconciliation_runs (state) where state in ('asked', 'running');
create index reconciliation_runs_by_start on reconciliation_runs (started_at) where started_at is not null;

-- A difference between the books, from the first run that saw it to its end. What a run sees again is the same finding as long
-- as kind and subject are the same. One that a person resolved stays resolved while its figures stay what they are.
create table reconciliation_findings (
    id            uuid        primary key,
    kind          text        not null,
    subject       text        not null,                               -- the provider's id of the thing, else ours
    payment_id    uuid,                                               -- ours, if there is one
    trip_id       uuid,
    intent_id     text,                                               -- the provider's, if there is one
    refund_id     uuid,                                               -- ours, if it is about a refund that we know
    currency      text,
    ours          bigint,                                             -- minor units, where the difference is one of amounts
    theirs        bigint,
    what          text        not null,
    state         text        not null check (state in ('open', 'repaired', 'resolved')),
    repair        text        not null check (repair in ('none', 'look_again', 'release', 'cancel_intent', 'adopt_refund')),
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    ended_at      timestamptz,
    resolved_by   uuid,                                               -- the operator; null: it went away by itself
    note          text        check (length(note) between 1 and 1000),
    version       bigint      not null default 1,
    key_id        uuid        constraint one_finding_per_key unique,
    constraint ended_finding_has_a_time check ((state = 'open') = (ended_at is null)),
    constraint resolved_by_says_why check (resolved_by is null or (state = 'resolved' and note is not null))
);
create unique index one_open_finding on reconciliation_findings (kind, subject) where state = 'open';
create index reconciliation_findings_by_subject on reconciliation_findings (kind, subject, id);
create index reconciliation_findings_by_state on reconciliation_findings (state, id);

-- What was done about a finding. A call to the provider stands committed as `started` before it is made; one whose process died
-- stays `started`, and the next run sees from the provider's books what became of it.
create table reconciliation_repairs (
    id           uuid        primary key,
    finding_id   uuid        not null references reconciliation_findings,
    run_id       uuid        not null references reconciliation_runs,
    repair       text        not null check (repair in ('look_again', 'release', 'cancel_intent', 'adopt_refund')),
    provider_key text,                                                -- the Idempotency-Key that the provider sees
    outcome      text        not null check (outcome in ('started', 'succeeded', 'declined', 'not_sent', 'unknown')),
    detail       text,                                                -- status and code; never a card, never a secret
    started_at   timestamptz not null,
    finished_at  timestamptz,
    constraint finished_repair_has_a_time check ((outcome = 'started') = (finished_at is null))
);
create index reconciliation_repairs_by_finding on reconciliation_repairs (finding_id, id);
create index reconciliation_repairs_by_run on reconciliation_repairs (run_id);

-- A statement pages through one owner's postings, newest first; a page of an account likewise.
drop index ledger_entries_by_account;
create index ledger_entries_by_owner on ledger_entries (owner_id, posting_id) where owner_id is not null;
create index ledger_entries_by_account on ledger_entries (account, posting_id);
