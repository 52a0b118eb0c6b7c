-- Ops: what is still to be done, in one definition for everybody who asks whether a trip is settled or whether work is late.

-- Work that is due, leased or unknown. `since` is machine time: from then on it waits for somebody. It lies ahead while a lease
-- or a back-off runs, and it is never null. Dead deliveries are not in here: nobody works on them any more, a person has to.
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
