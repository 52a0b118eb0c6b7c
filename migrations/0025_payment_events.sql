-- The history of each payment, and the trace of what caused each piece of work.

-- Append-only, written in the transaction of the change that it describes. `payments.last_event` names the event of its state: the
-- foreign key below refuses a commit in which a payment has a state without an event.
-- Stop older processes first: from here on the database refuses what they write. The lock comes first, so that one that still runs delays
-- this migration, and cannot form a deadlock with it.
lock table payments in access exclusive mode;

create table payment_events (
    payment_id uuid        not null,
    seq        bigint      not null check (seq > 0),
    previous   bigint      generated always as (nullif(seq - 1, 0)) stored,
    kind       text        not null check (kind in ('recorded', 'opened', 'goal_set', 'state_changed',
                                                    'refund_requested', 'refund_succeeded', 'refund_failed')),
    from_state text,                                             -- null: the first event
    state      text        not null,
    amount     bigint      check (amount > 0),                   -- minor units of the payment's currency
    refund_id  uuid,
    attempt_id uuid,                                             -- the call whose result it is; attempts are deleted earlier
    trace_id   text,                                             -- of the request or the worker run that wrote it
    at         timestamptz not null,                             -- domain time
    made_at    timestamptz not null,                             -- machine time
    primary key (payment_id, seq),
    constraint payment_event_has_one_state unique (payment_id, seq, state),
    constraint first_payment_event_has_no_state_before check ((seq = 1) = (from_state is null)),
    constraint refund_event_has_a_refund check ((refund_id is not null) = (kind like 'refund%'))
);

-- Payments that are older than this table: one event with the state that they have now. When they reached it is not known exactly;
-- its time is the latest that the payment has.
insert into payment_events (payment_id, seq, kind, state, amount, at, made_at)
select id, 1, 'recorded', state, amount, coalesce(captured_at, authorized_at, created_at), coalesce(captured_at, authorized_at, created_at)
from payments;

-- After the rows: a constraint that is added checks all of them with one join.
alter table payment_events
    add foreign key (payment_id) references payments,
    add foreign key (refund_id) references refunds,
    -- Without gaps, and each event starts in the state in which the one before ended.
    add constraint payment_events_without_gap foreign key (payment_id, previous, from_state)
        references payment_events (payment_id, seq, state);
create trigger payment_events_append_only before update or delete or truncate on payment_events
    for each statement execute function refuse_change();

alter table payments
    add column last_event bigint not null default 1,
    add column trace_id   text,                                  -- of what last asked for work on it: the worker's run continues it
    add constraint last_event_has_the_state foreign key (id, last_event, state) references payment_events (payment_id, seq, state)
        deferrable initially deferred;

alter table payment_attempts add column trace_id text;           -- of the run that makes the call
alter table provider_events  add column trace_id text;           -- of the request that delivered it
alter table webhook_events   add column trace_id text;           -- of what caused it
alter table trip_events
    add column trace_id text,                                    -- of the request or the worker run that wrote it
    add column made_at  timestamptz;                             -- machine time; null: older than this column
