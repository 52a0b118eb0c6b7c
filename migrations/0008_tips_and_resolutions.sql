-- Tips, payments in the place of others that lost their authorisation, and what operators decided about money.

alter table payments
    add column driver_id uuid,                                          -- of a tip: whom it is for
    add column replaces  uuid constraint replaced_once unique references payments,
    add column look_at   timestamptz,                                   -- domain time: is what is held still there?
    add column key_id    uuid constraint one_payment_per_key unique,    -- of a tip; a fare is of one piece with its trip
    add constraint tip_has_a_driver check ((purpose = 'tip') = (driver_id is not null));
update payments set look_at = authorized_at + interval '6 days' where state = 'authorized';
create index payments_by_trip on payments (trip_id, id);
create index payments_to_look_at on payments (look_at) where state = 'authorized';

-- A payment that could not be captured is dead too: another one asks for the debt.
drop index one_live_payment_per_purpose;
create unique index one_live_payment_per_purpose on payments (trip_id, purpose)
    where state not in ('declined', 'voided', 'auth_expired', 'capture_failed');

insert into ledger_accounts (code, owned, meaning) values
    ('bad_debt', false, 'owed by riders, and given up by an operator');
alter table ledger_postings
    drop constraint ledger_postings_kind_check,
    -- A charge is for a trip, a refund for a refund, the others are for a payment.
    add constraint ledger_postings_kind_check check (kind in ('charge', 'tip', 'capture', 'refund', 'write_off'));

-- A second key is a second refund if the first arrives after all. An operator allows it; the worker looks for the first one before.
alter table refunds add column another_key boolean not null default false;

-- What operators decided about payments and refunds that waited for a person. Nothing is ever changed or taken back.
create table payment_resolutions (
    id          uuid        primary key,
    payment_id  uuid        not null references payments,
    refund_id   uuid        references refunds,                         -- of that payment, if it is about one
    action      text        not null check (action in ('retry', 'close')),
    attention   text        not null,                                   -- what it had waited for
    note        text        not null check (length(note) between 1 and 500),
    operator_id uuid        not null,
    written_off bigint      not null default 0 check (written_off >= 0),  -- minor units of the payment's currency
    key_id      uuid        constraint one_resolution_per_key unique,
    resolved_at timestamptz not null                                    -- domain time
);
create index payment_resolutions_by_payment on payment_resolutions (payment_id, resolved_at);
create trigger payment_resolutions_append_only before update or delete or truncate on payment_resolutions
    for each statement execute function refuse_change();
