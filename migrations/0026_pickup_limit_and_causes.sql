-- The latest pickup of a trip, the cause of each refund's work, and what the histories of payments lacked.

alter table trips add column pickup_by timestamptz;              -- domain time: no search, and no car on its way, after it; null: no limit

-- Each refund has a cause of its own: the payment may be worked on for another one.
alter table refunds add column trace_id text;                    -- of what last asked for work on it: the worker's run continues it
update refunds set trace_id = payments.trace_id from payments where payments.id = refunds.payment_id and refunds.due_at is not null;

-- The events of kind `recorded` had the domain time as their machine time, which is not known.
alter table payment_events alter column made_at drop not null;   -- machine time; null: from before these histories
alter table payment_events disable trigger payment_events_append_only;
update payment_events set made_at = null where kind = 'recorded';
alter table payment_events enable trigger payment_events_append_only;

-- Refunds that are older than these histories: one event with the state that they have now, at the time of the request. So every refund has
-- an event with its state, and the audit checks that.
insert into payment_events (payment_id, seq, kind, from_state, state, amount, refund_id, at)
select refunds.payment_id, before.seq + row_number() over (partition by refunds.payment_id order by refunds.id),
       case refunds.state when 'pending' then 'refund_requested' else 'refund_' || refunds.state end,
       'captured', 'captured', refunds.amount, refunds.id, refunds.created_at
from refunds
cross join lateral (select max(seq) as seq from payment_events where payment_id = refunds.payment_id) before
where not exists (select from payment_events where refund_id = refunds.id);

-- For the timeline of a trip, which would read these tables whole.
create index provider_events_by_intent on provider_events (intent_id);
create index webhook_events_by_trip on webhook_events (trip_id);
