-- Payments: one row per sum that a rider owes for one purpose, the calls to the provider, refunds, and the ledger.

-- `state` is what we know, `intent` what the trip wants. The worker moves the one towards the other.
create table payments (
    id                 uuid        primary key,
    trip_id            uuid        not null,
    rider_id           uuid        not null,
    purpose            text        not null check (purpose in ('fare', 'remainder', 'fee', 'tip')),
    state              text        not null check (state in ('authorizing', 'authorized', 'capturing', 'captured', 'declined',
                                                             'voiding', 'voided', 'auth_expired', 'capture_failed')),
    intent             text        not null check (intent in ('hold', 'capture', 'release')),
    currency           text        not null check (currency ~ '^[A-Z]{3}$'),
    amount             bigint      not null check (amount > 0),            -- asked of the provider, minor units
    capture_amount     bigint      check (capture_amount > 0),             -- what the intent wants captured
    authorized_amount  bigint      not null default 0 check (authorized_amount between 0 and amount),
    captured_amount    bigint      not null default 0,
    refund_reserved    bigint      not null default 0,                     -- pending, unknown and succeeded refunds
    payment_method     text        not null check (length(payment_method) between 1 and 255),
    provider_intent_id text        unique,
    decline_code       text,
    attention          text,                                               -- why a person has to look; null: nobody has to
    failures           smallint    not null default 0,                     -- calls in a row without an answer; sets the back-off
    due_at             timestamptz,                                        -- machine time: work is due; null: none is
    lease_token        bigint      not null default 0,                     -- grows with every lease; guards every write under it
    leased_until       timestamptz,                                        -- machine time
    version            bigint      not null default 1,
    created_at         timestamptz not null,                               -- domain time
    authorized_at      timestamptz,                                        -- domain time
    captured_at        timestamptz,                                        -- domain time
    constraint capture_says_how_much check ((intent = 'capture') = (capture_amount is not null)),
    constraint state_follows_intent check (intent = case state when 'authorized' then 'hold' when 'capturing' then 'capture'
                                                               when 'voiding' then 'release' else intent end),
    constraint capture_within_authorisation check (captured_amount between 0 and authorized_amount),
    constraint capture_amount_within_request check (capture_amount <= amount),
    constraint refunds_within_capture check (refund_reserved between 0 and captured_amount),
    constraint captured_has_an_amount check (state <> 'captured' or captured_amount > 0),
    constraint terminal_has_no_work check (due_at is null or state in ('authorizing', 'authorized', 'capturing', 'voiding'))
);
create unique index one_live_payment_per_purpose on payments (trip_id, purpose)
    where state not in ('declined', 'voided', 'auth_expired');
create index payments_due on payments (due_at) where due_at is not null;
create index payments_by_rider on payments (rider_id, id);

-- A call to the provider that changes something there, committed before it is made. One that was started by a lease that has run
-- out is `unknown`. A call that may not have arrived is made again under its key: another row, with the same key.
create table payment_attempts (
    id           uuid        primary key,
    payment_id   uuid        not null references payments,
    refund_id    uuid,
    operation    text        not null check (operation in ('create', 'confirm', 'capture', 'cancel', 'refund')),
    provider_key text        not null,                            -- the Idempotency-Key that the provider sees
    amount       bigint,                                          -- minor units, where the operation names one
    outcome      text        not null check (outcome in ('started', 'succeeded', 'declined', 'not_sent', 'unknown')),
    answered     boolean     not null default false,              -- an unknown one: was there an answer, if none that tells?
    detail       text,                                            -- status and code; never a card, never a secret
    lease_token  bigint      not null,
    started_at   timestamptz not null,                            -- machine time
    finished_at  timestamptz,                                     -- machine time
    resolved_at  timestamptz,                                     -- machine time: an unknown of which we have learnt the end
    constraint finished_has_a_time check ((outcome = 'started') = (finished_at is null))
);
create index payment_attempts_by_payment on payment_attempts (payment_id, started_at);
create index payment_attempts_open on payment_attempts (started_at)
    where outcome = 'started' or (outcome = 'unknown' and resolved_at is null);

create table refunds (
    id                 uuid        primary key,
    payment_id         uuid        not null references payments,
    amount             bigint      not null check (amount > 0),
    state              text        not null check (state in ('pending', 'succeeded', 'failed')),
    provider_refund_id text        unique,
    failure_code       text,
    attention          text,
    failures           smallint    not null default 0,
    due_at             timestamptz,                               -- machine time
    lease_token        bigint      not null default 0,
    leased_until       timestamptz,                               -- machine time
    key_id             uuid        constraint one_refund_per_key unique,
    created_at         timestamptz not null,                      -- domain time
    constraint settled_has_no_work check (due_at is null or state = 'pending')
);
create index refunds_due on refunds (due_at) where due_at is not null;
create index refunds_by_payment on refunds (payment_id);
alter table payment_attempts add foreign key (refund_id) references refunds;

-- The ledger. Debits are positive, credits negative, in minor units. Nothing is ever changed or taken back; a mistake is
-- corrected by another posting.
create table ledger_accounts (
    code    text    primary key,
    owned   boolean not null,       -- kept per rider or driver, or one for the house
    meaning text    not null
);
insert into ledger_accounts (code, owned, meaning) values
    ('rider_receivable', true,  'what a rider owes us: charged and not yet captured'),
    ('driver_payable',   true,  'what we owe a driver'),
    ('platform_revenue', false, 'our share of fares and fees, with the rounding'),
    ('clearing',         false, 'captured by the provider, on its way to us'),
    ('refunds',          false, 'given back to riders');

create table ledger_postings (
    id        uuid        primary key,
    kind      text        not null check (kind in ('charge', 'capture', 'refund')),
    source_id uuid        not null,   -- the trip charged, the payment captured, the refund made
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
create index ledger_entries_by_account on ledger_entries (account, owner_id);

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
