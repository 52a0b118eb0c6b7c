-- Refunds that fail after they succeeded, disputes, hints that arrive during a lease, and states that never change again.

alter table payments
    add column dispute text check (dispute in ('open', 'won', 'lost')),   -- of its charge; null: never disputed
    add column hint    text check (hint in ('intent', 'charge')),         -- what the events since the latest lease were about
    add constraint only_a_capture_is_disputed check (dispute is null or state = 'captured'),
    -- A captured payment is due while its disputes have to be read.
    drop constraint terminal_has_no_work,
    add constraint terminal_has_no_work check (due_at is null or state in ('authorizing', 'authorized', 'capturing', 'voiding', 'captured'));

-- A bank can return the money of a refund that succeeded: then the refund has failed, and its amount can be refunded again.
alter table refunds
    add column hint text check (hint in ('intent', 'charge')),
    drop constraint settled_has_no_work,
    add constraint failed_has_no_work check (due_at is null or state <> 'failed');

-- A `refund_reversal` corrects the posting of such a refund. Its source is the refund.
alter table ledger_postings
    drop constraint ledger_postings_kind_check,
    add constraint ledger_postings_kind_check
        check (kind in ('charge', 'tip', 'capture', 'refund', 'refund_reversal', 'write_off'));

-- A payment that has ended keeps its state, whatever is written. So does a refund, except that a succeeded one can fail.
create function refuse_regression() returns trigger language plpgsql as $$
begin
    raise exception '% % is %, and cannot become %', tg_table_name, old.id, old.state, new.state
        using errcode = 'check_violation', constraint = tg_name;
end $$;
create constraint trigger ended_payment_keeps_its_state after update of state on payments
    for each row when (new.state <> old.state and old.state in ('captured', 'declined', 'voided', 'auth_expired', 'capture_failed'))
    execute function refuse_regression();
create constraint trigger ended_refund_keeps_its_state after update of state on refunds
    for each row when (new.state <> old.state and (old.state = 'failed' or (old.state = 'succeeded' and new.state <> 'failed')))
    execute function refuse_regression();
