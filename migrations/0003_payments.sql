-- Payments, their calls to the provider, refunds, the decisions of operators, and the ledger.
-- Amounts are minor units of the row's currency.

-- One row per sum that a rider owes for one purpose. `state` is what is known, `goal` is what the trip wants.
-- The worker moves `state` toward `goal`.
create table payments (
    id                 uuid        primary key,
    trip_id            uuid        not null,
    rider_id           uuid        not null,
    driver_id          uuid,                                               -- the recipient of a tip; null otherwise
    purpose            text        not null check (purpose in ('fare', 'remainder', 'fee', 'tip')),
    replaces           uuid        constraint replaced_once unique references payments,
    state              text        not null check (state in ('authorizing', 'authorized', 'capturing', 'captured', 'declined',
                                                             'voiding', 'voided', 'auth_expired', 'capture_failed')),
    goal               text        not null check (goal in ('hold', 'capture', 'release')),
    currency           text        not null check (currency ~ '^[A-Z]{3}$'),
    amount             bigint      not null check (amount > 0),            -- requested from the provider
    capture_amount     bigint      check (capture_amount > 0),             -- what the goal `capture` asks for
    authorized_amount  bigint      not null default 0 check (authorized_amount between 0 and amount),
    captured_amount    bigint      not null default 0,
    refund_reserved    bigint      not null default 0,                     -- pending, unknown and succeeded refunds
    payment_method     text        not null check (length(payment_method) between 1 and 255),
    provider_intent_id text        unique,
    decline_code       text,
    needs_review       text,                                               -- why an operator must decide; null: no review needed
    failures           smallint    not null default 0,                     -- inconclusive calls in a row; sets the back-off
    due_at             timestamptz,                                        -- machine time; null: no work
    recheck_at         timestamptz,                                        -- domain time: when to check that the hold still exists
    lease_token        bigint      not null default 0,                     -- fencing token: grows with every lease
    leased_until       timestamptz,                                        -- machine time
    key_id             uuid        constraint one_payment_per_key unique,  -- of a tip; a fare shares its trip's key
    version            bigint      not null default 1,
    created_at         timestamptz not null,                               -- domain time
    authorized_at      timestamptz,                                        -- domain time
    captured_at        timestamptz,                                        -- domain time
    constraint capture_has_an_amount check ((goal = 'capture') = (capture_amount is not null)),
    constraint state_follows_goal check (goal = case state when 'authorized' then 'hold' when 'capturing' then 'capture'
                                                           when 'voiding' then 'release' else goal end),
    constraint tip_has_a_driver check ((purpose = 'tip') = (driver_id is not null)),
    constraint capture_within_authorization check (captured_amount between 0 and authorized_amount),
    constraint capture_amount_within_request check (capture_amount <= amount),
    constraint refunds_within_capture check (refund_reserved between 0 and captured_amount),
    constraint captured_has_an_amount check (state <> 'captured' or captured_amount > 0),
    constraint terminal_has_no_work check (due_at is null or state in ('authorizing', 'authorized', 'capturing', 'voiding'))
);
-- A payment that failed makes room for another one that asks for the debt.
create unique index one_live_payment_per_purpose on payments (trip_id, purpose)
    where state not in ('declined', 'voided', 'auth_expired', 'capture_failed');
create index payments_due on payments (due_at) where due_at is not null;
create index payments_to_recheck on payments (recheck_at) where state = 'authorized';
create index payments_by_rider on payments (rider_id, id);
create index payments_by_trip on payments (trip_id, id);

create table refunds (
    id                 uuid        primary key,
    payment_id         uuid        not null references payments,
    amount             bigint      not null check (amount > 0),
    state              text        not null check (state in ('pending', 'succeeded', 'failed')),
    provider_refund_id text        unique,
    failure_code       text,
    needs_review       text,
    failures           smallint    not null default 0,
    allow_new_key      boolean     not null default false,        -- set by an operator; a second key could be a second refund
    due_at             timestamptz,                               -- machine time
    lease_token        bigint      not null default 0,
    leased_until       timestamptz,                               -- machine time
    key_id             uuid        constraint one_refund_per_key unique,
    created_at         timestamptz not null,                      -- domain time
    constraint settled_has_no_work check (due_at is null or state = 'pending')
);
create index refunds_due on refunds (due_at) where due_at is not null;
create index refunds_by_payment on refunds (payment_id);

-- A call that changes something at the provider, committed before it is made. `unknown`: the call ended without a conclusive answer,
-- or its lease ran out. A repeat is another row with the same provider key.
create table payment_attempts (
    id           uuid        primary key,
    payment_id   uuid        not null references payments,
    refund_id    uuid        references refunds,
    target_id    uuid        not null generated always as (coalesce(refund_id, payment_id)) stored,  -- what the lease is on
    operation    text        not null check (operation in ('create', 'confirm', 'capture', 'cancel', 'refund')),
    provider_key text        not null,                            -- the Idempotency-Key header
    amount       bigint,                                          -- where the operation names one
    outcome      text        not null check (outcome in ('started', 'succeeded', 'declined', 'not_sent', 'unknown')),
    answered     boolean     not null default false,              -- whether the provider answered, conclusively or not
    detail       text,                                            -- status and code; never a card, never a secret
    lease_token  bigint      not null,
    started_at   timestamptz not null,                            -- machine time
    finished_at  timestamptz,                                     -- machine time
    resolved_at  timestamptz,                                     -- machine time: when the result of an unknown call became known
    constraint finished_has_a_time check ((outcome = 'started') = (finished_at is null))
);
create index payment_attempts_by_target on payment_attempts (target_id, started_at);
create index payment_attempts_by_payment on payment_attempts (payment_id, started_at);
create index payment_attempts_open on payment_attempts (started_at)
    where outcome = 'started' or (outcome = 'unknown' and resolved_at is null);

-- Operators' decisions about payments and refunds that needed review. Append-only.
create table payment_resolutions (
    id           uuid        primary key,
    payment_id   uuid        not null references payments,
    refund_id    uuid        references refunds,                  -- of that payment; null: the decision is about the payment
    action       text        not null check (action in ('retry', 'close')),
    needs_review text        not null,                            -- the reason for the review
    note         text        not null check (length(note) between 1 and 500),
    operator_id  uuid        not null,
    written_off  bigint      not null default 0 check (written_off >= 0),
    key_id       uuid        constraint one_resolution_per_key unique,
    resolved_at  timestamptz not null                             -- domain time
);
create index payment_resolutions_by_payment on payment_resolutions (payment_id, resolved_at);
create trigger payment_resolutions_append_only before update or delete or truncate on payment_resolutions
    for each statement execute function refuse_change();

-- The ledger. Debits are positive, credits negative. Append-only: another posting corrects a mistake.
create table ledger_accounts (
    code    text    primary key,
    owned   boolean not null,       -- true: one per rider or driver; false: one for the platform
    meaning text    not null
);
insert into ledger_accounts (code, owned, meaning) values
    ('rider_receivable', true,  'what a rider owes us: charged and not yet captured'),
    ('driver_payable',   true,  'what we owe a driver'),
    ('platform_revenue', false, 'our share of fares and fees, with the rounding'),
    ('clearing',         false, 'captured by the provider, on its way to us'),
    ('refunds',          false, 'returned to riders'),
    ('bad_debt',         false, 'owed by riders, and written off by an operator');

create table ledger_postings (
    id        uuid        primary key,
    kind      text        not null check (kind in ('charge', 'tip', 'capture', 'refund', 'write_off')),
    source_id uuid        not null,   -- the trip of a charge, the refund of a refund, the payment of the others
    trip_id   uuid        not null,
    posted_at timestamptz not null,   -- domain time
    constraint posted_once unique (kind, source_id)
);
create index ledger_postings_by_trip on ledger_postings (trip_id);

create table ledger_entries (
    posting_id uuid     not null references ledger_postings,
    line       smallint not null,
    account    text     not null references ledger_accounts,
    owner_id   uuid,
    amount     bigint   not null check (amount <> 0),
    currency   text     not null check (currency ~ '^[A-Z]{3}$'),
    primary key (posting_id, line)
);
-- Pages of one owner's or one account's postings, newest first.
create index ledger_entries_by_owner on ledger_entries (owner_id, posting_id) where owner_id is not null;
create index ledger_entries_by_account on ledger_entries (account, posting_id);

create function refuse_unbalanced() returns trigger language plpgsql as $$
declare
    posting uuid := case tg_table_name when 'ledger_postings' then to_jsonb(new) ->> 'id' else to_jsonb(new) ->> 'posting_id' end;
begin
    if not exists (select from ledger_entries where posting_id = posting)
       or exists (select from ledger_entries where posting_id = posting group by currency having sum(amount) <> 0) then
        raise exception 'posting % does not sum to zero', posting
            using errcode = 'check_violation', constraint = 'posting_sums_to_zero';
    end if;
    return null;
end $$;
create constraint trigger posting_sums_to_zero after insert on ledger_entries
    deferrable initially deferred for each row execute function refuse_unbalanced();
create constraint trigger posting_has_entries after insert on ledger_postings
    deferrable initially deferred for each row execute function refuse_unbalanced();
create trigger ledger_entries_append_only before update or delete or truncate on ledger_entries
    for each statement execute function refuse_change();
create trigger ledger_postings_append_only before update or delete or truncate on ledger_postings
    for each statement execute function refuse_change();

-- Events of the provider, stored before they are handled. Their content is not trusted, so the body is not kept. The primary key
-- makes a second delivery of an event do nothing.
create table provider_events (
    event_id     text        primary key check (length(event_id) between 1 and 255),  -- the provider's
    type         text        not null,
    intent_id    text,                               -- the intent to check; null: the event concerns none of ours
    attempts     smallint    not null default 0,     -- times that no payment had the intent
    received_at  timestamptz not null,               -- machine time, like all that follow; deleted after seven days
    due_at       timestamptz,                        -- null: no work
    handled_at   timestamptz,
    set_aside_at timestamptz,                        -- no payment has the intent: an operator may look into it
    constraint open_or_ended check (num_nonnulls(due_at, handled_at, set_aside_at) = 1)
);
create index provider_events_due on provider_events (due_at) where due_at is not null;
create index provider_events_set_aside on provider_events (event_id) where set_aside_at is not null;
create index provider_events_age on provider_events (received_at);
