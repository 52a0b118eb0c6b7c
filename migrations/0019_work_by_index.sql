-- Indexes for what the audit and the schedule of the reconciliation read on every pass, so that it does not grow with history.

-- The same rows as before. Due payments have two indexes, one for each pool of calls, and PostgreSQL uses one only for a query that names
-- its condition.
create or replace view open_work (trip_id, kind, id, since) as
    select aggregate_id, 'delivery', event_id || '/' || subscriber, greatest(due_at, leased_until)
    from outbox_deliveries
    where delivered_at is null and dead_at is null
union all
    select trip_id, 'payment', id::text, greatest(due_at, leased_until)
    from payments
    where due_at is not null and state = 'authorizing' and goal = 'hold'
union all
    select trip_id, 'payment', id::text, greatest(due_at, leased_until)
    from payments
    where due_at is not null and not (state = 'authorizing' and goal = 'hold')
union all
    select payments.trip_id, 'refund', refunds.id::text, greatest(refunds.due_at, refunds.leased_until)
    from refunds join payments on payments.id = refunds.payment_id
    where refunds.due_at is not null
union all
    select payments.trip_id, case attempt.outcome when 'started' then 'call' else 'unknown' end, attempt.id::text, attempt.started_at
    from payment_attempts attempt join payments on payments.id = attempt.payment_id
    where attempt.outcome = 'started' or (attempt.outcome = 'unknown' and attempt.resolved_at is null);

-- Payments and refunds that are unfinished, although no work is due. There are none unless the service has a defect: the indexes are empty.
create index payments_without_work on payments (id)
    where due_at is null and needs_review is null
      and (state in ('authorizing', 'capturing', 'voiding') or (state = 'authorized' and goal <> 'hold'));
create index refunds_without_work on refunds (id) where state = 'pending' and due_at is null and needs_review is null;

-- The last checked run of a scope.
create index reconciliation_runs_checked on reconciliation_runs (scope, started_at) where state = 'checked';
