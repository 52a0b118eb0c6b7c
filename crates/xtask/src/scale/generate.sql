-- Makes whole trips: the rows that the service would have written for trips {first} to {last} of {total}. Everything follows from a
-- trip's number and {seed}. Trip {total} is requested at {now}, and each one before it 30 s earlier: more trips are a longer history,
-- not more traffic. The number of drivers, of riders and of trips that are not over does not depend on {total}.
--
-- All triggers and constraints are in force. Run as one transaction; {first} is 1, or follows an earlier run.

-- Returns 32 hexadecimal digits that follow from the seed, a name and a number.
create or replace function pg_temp.digits(kind text, n bigint) returns text language sql immutable
    return md5('{seed}/' || kind || '/' || n::text);

-- Returns a number from 0 to below `bound`.
create or replace function pg_temp.pick(kind text, n bigint, bound integer) returns integer language sql immutable
    return ('x' || substr(pg_temp.digits(kind, n), 1, 7))::bit(28)::integer % bound;

-- Returns a UUIDv7 of this moment.
create or replace function pg_temp.id(kind text, n bigint, at timestamptz) returns uuid language sql stable
    return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
            || overlay(substr(pg_temp.digits(kind, n), 1, 19) placing '8' from 4))::uuid;

-- 2,000 drivers, and 120 more who are on the trips that are not over.
insert into drivers (id, name, class, plate, available, available_since)
select pg_temp.id('driver', k, '2025-01-01Z'), 'Driver ' || k, 'standard', 'S' || k, k > 2000 or k % 4 = 0,
       case when k > 2000 or k % 4 = 0 then '{now}'::timestamptz - interval '1 hour' end
from generate_series(1, 2120) k
on conflict (id) do nothing;

insert into webhook_endpoints (id, url, event_types, secret, created_at)
values (pg_temp.id('endpoint', 1, '2025-01-01Z'), 'https://subscriber.example/events', '{trip.completed}',
        decode(repeat('5a', 32), 'hex'), '2025-01-01Z')
on conflict (id) do nothing;

-- One row per trip, with the ids and times that its other rows share. The busiest rider has one trip in 500, the busiest driver one in 250.
create temporary table made on commit drop as
with numbered as materialized (
    select n, greatest({total} - n, 0) as from_end,
           '{now}'::timestamptz - (({total} - n) * interval '30 seconds') as historic_at
    from generate_series({first}::bigint, {last}::bigint) n),
fated as materialized (
    select n, from_end,
           case when from_end >= 120 then historic_at when from_end % 6 < 3 then '{now}'::timestamptz - interval '30 seconds'
                else '{now}'::timestamptz - interval '10 minutes' end as at,
           case when from_end < 120
                then (array['requested', 'searching', 'offered', 'assigned', 'arrived', 'in_progress'])[1 + from_end % 6]
                when fate < 850 then 'completed'
                when fate < 900 then 'cancelled'
                when fate < 940 then 'no_driver'
                when fate < 970 then 'no_show'
                else 'payment_failed' end as state
    from numbered cross join lateral (select pg_temp.pick('fate', n, 1000) as fate) f),
peopled as materialized (
    select fated.*,
           pg_temp.id('rider', case when from_end < 120 then 1000000 + from_end when n % 500 = 0 then 1
                                    else 2 + pg_temp.pick('rider', n, 20000) end, '2025-01-01Z') as rider_id,
           pg_temp.id('driver', case when from_end < 120 then 2001 + from_end when n % 250 = 0 then 1
                                     else 2 + pg_temp.pick('driver', n, 1999) end, '2025-01-01Z') as chosen_driver_id,
           state in ('offered', 'assigned', 'arrived', 'in_progress', 'completed', 'no_show') as is_offered,
           state in ('assigned', 'arrived', 'in_progress', 'completed', 'no_show') as is_assigned,
           state not in ('requested', 'payment_failed') as is_authorized,
           1000 + pg_temp.pick('price', n, 3000) as price,
           -- Few payments need review, however many trips there are.
           state = 'completed' and from_end between 1000 and 1200 and n % 10 = 0 as is_capture_failed,
           state in ('completed', 'no_show') and n % 5 = 0 as is_declined_first
    from fated)
select peopled.*,
       case when is_assigned then chosen_driver_id end as driver_id,
       case state when 'completed' then price when 'no_show' then 500 when 'cancelled' then 0 when 'no_driver' then 0
                  when 'payment_failed' then 0 end as total,
       state = 'completed' and not is_capture_failed and n % 33 = 0 as is_refunded,
       state = 'completed' and not is_capture_failed and n % 20 = 1 as is_tipped,
       from_end >= 120 as is_over,
       at + interval '20 minutes' as ended_at,
       pg_temp.id('trip', n, at) as trip_id, pg_temp.id('quote', n, at) as quote_id, pg_temp.id('payment', n, at) as payment_id,
       pg_temp.id('tip', n, at + interval '21 minutes') as tip_id, pg_temp.id('refund', n, at + interval '1 hour') as refund_id,
       pg_temp.id('offer', n, at + interval '18 seconds') as offer_id,
       pg_temp.id('declined offer', n, at + interval '5 seconds') as declined_offer_id,
       pg_temp.id('request key', n, at) as request_key_id, pg_temp.id('accept key', n, at) as accept_key_id,
       pg_temp.id('complete key', n, at) as complete_key_id
from peopled;
create unique index on made (n);
analyze made;

insert into quotes (id, rider_id, class, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon, distance_m, duration_s,
                    base, by_distance, by_time, surge, to_minimum, price, currency, surge_bp, created_at, expires_at, used_at)
select quote_id, rider_id, 'standard', 47.37, 8.54, 47.38 + pg_temp.pick('lat', n, 1000) / 10000.0, 8.55, price * 2, price / 3,
       400, price - 500, 100, 0, 0, price, 'USD', 10000, at - interval '10 seconds', at + interval '110 seconds', at
from made;
-- Unused quotes: few, because they are deleted soon.
insert into quotes (id, rider_id, class, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon, distance_m, duration_s,
                    base, by_distance, by_time, surge, to_minimum, price, currency, surge_bp, created_at, expires_at)
select pg_temp.id('unused quote', n, at), rider_id, 'standard', 47.37, 8.54, 47.38, 8.55, 900, 300, 400, 500, 100, 0, 0, 1000, 'USD',
       10000, '{now}', '{now}'::timestamptz + interval '2 minutes'
from made where from_end < 100;

insert into trips (id, rider_id, driver_id, quote_id, payment_id, state, version, class, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon,
                   currency, price, total, pin, pin_failures, offers_made, cancelled_by, requested_at, authorized_at, search_deadline_at,
                   searching_since, assigned_at, arrived_at, started_at, ended_at, due_at, request_key_id)
select trip_id, rider_id, driver_id, quote_id, payment_id, state,
       case state when 'requested' then 1 when 'searching' then 2 when 'offered' then 3 when 'assigned' then 4 when 'arrived' then 5
                  when 'in_progress' then 6 when 'completed' then 7 when 'cancelled' then 3 when 'no_driver' then 3 when 'no_show' then 6
                  else 2 end + case when is_declined_first then 2 else 0 end,
       'standard', 47.37, 8.54, 47.38 + pg_temp.pick('lat', n, 1000) / 10000.0, 8.55, 'USD', price, total,
       lpad(pg_temp.pick('pin', n, 10000)::text, 4, '0'), case when state = 'arrived' and from_end < 12 then 5 else 0 end,
       case when is_offered then 1 else 0 end + case when is_declined_first then 1 else 0 end,
       case when state = 'cancelled' then 'rider' end, at,
       case when is_authorized then at + interval '2 seconds' end,
       case when is_authorized then at + interval '10 minutes' end,
       case when is_authorized then at + interval '2 seconds' end,
       case when is_assigned then at + interval '25 seconds' end,
       case when is_assigned and state <> 'assigned' then at + interval '5 minutes' end,
       case when state in ('in_progress', 'completed') then at + interval '6 minutes' end,
       case when is_over then ended_at end,
       case state when 'requested' then at + interval '60 seconds' when 'searching' then at + interval '10 minutes'
                  when 'offered' then at + interval '45 seconds' end,
       request_key_id
from made;

insert into payments (id, trip_id, rider_id, driver_id, purpose, state, goal, currency, amount, capture_amount, authorized_amount,
                      captured_amount, refund_reserved, payment_method, provider_intent_id, decline_code, needs_review, due_at, recheck_at,
                      lease_token, version, created_at, authorized_at, captured_at, last_event)
select payment_id, trip_id, rider_id, null::uuid, 'fare', is_now.state,
       case when is_now.state in ('captured', 'capture_failed') then 'capture' when is_now.state in ('voided', 'declined') then 'release'
            else 'hold' end,
       'USD', price, case when is_now.state in ('captured', 'capture_failed') then total end, case when is_authorized then price else 0 end,
       case when is_now.state = 'captured' then total else 0 end, case when is_refunded then price / 2 else 0 end,
       'pm_card_visa', case when made.state <> 'requested' then 'pi_' || pg_temp.digits('intent', n) end,
       case when made.state = 'payment_failed' then 'insufficient_funds' end,
       case when is_capture_failed then 'the provider refuses the capture: expired_card' end,
       case when made.state = 'requested' then '{now}'::timestamptz end,
       case when is_now.state = 'authorized' then at + interval '6 days' end, 3, 3, at,
       case when is_authorized then at + interval '2 seconds' end, case when is_now.state = 'captured' then ended_at + interval '2 seconds' end,
       case is_now.state when 'authorizing' then 1 when 'authorized' then 2 when 'declined' then 2 else 4 end
from made cross join lateral (
    select case when made.state = 'requested' then 'authorizing' when made.state = 'payment_failed' then 'declined'
                when is_capture_failed then 'capture_failed' when made.state in ('completed', 'no_show') then 'captured'
                when made.state in ('cancelled', 'no_driver') then 'voided' else 'authorized' end as state) is_now
union all
select tip_id, trip_id, rider_id, driver_id, 'tip', 'captured', 'capture', 'USD', 200, 200, 200, 200, 0, 'pm_card_visa',
       'pi_' || pg_temp.digits('tip intent', n), null, null, null, null, 3, 3, ended_at + interval '60 seconds',
       ended_at + interval '61 seconds', ended_at + interval '62 seconds', 4
from made where is_tipped;

-- The history of each payment: opened, authorized or declined, its goal, its end.
insert into payment_events (payment_id, seq, kind, from_state, state, amount, trace_id, at, made_at)
select payments.id, event.seq, event.kind, event.from_state, event.state, amount, pg_temp.digits('trace', event.seq), created_at + event.after,
       created_at + event.after
from payments cross join lateral (values
    (1, 'opened', null, 'authorizing', interval '0 seconds'),
    (2, 'state_changed', 'authorizing', case when payments.state = 'declined' then 'declined' else 'authorized' end, interval '2 seconds'),
    (3, 'goal_set', 'authorized', case goal when 'capture' then 'capturing' else 'voiding' end, interval '900 seconds'),
    (4, 'state_changed', case goal when 'capture' then 'capturing' else 'voiding' end, payments.state, interval '902 seconds'))
    as event (seq, kind, from_state, state, after)
where event.seq <= payments.last_event
  and payments.id in (select payment_id from made union all select tip_id from made);

insert into refunds (id, payment_id, amount, state, provider_refund_id, created_at)
select refund_id, payment_id, price / 2, 'succeeded', 're_' || pg_temp.digits('refund', n), at + interval '1 hour'
from made where is_refunded;

insert into payment_events (payment_id, seq, kind, from_state, state, amount, refund_id, trace_id, at, made_at)
select payment_id, event.seq, event.kind, 'captured', 'captured', price / 2, refund_id, pg_temp.digits('trace', event.seq),
       at + interval '1 hour', at + interval '1 hour'
from made cross join (values (5, 'refund_requested'), (6, 'refund_succeeded')) as event (seq, kind)
where is_refunded;

insert into payment_attempts (id, payment_id, refund_id, operation, provider_key, amount, outcome, answered, lease_token, started_at,
                              finished_at)
select pg_temp.id(call.operation, n, call.at), payment_id, call.refund_id, call.operation, 'key_' || pg_temp.digits(call.operation, n),
       call.amount, case when call.operation = 'confirm' and not is_authorized then 'declined' else 'succeeded' end, true, 1, call.at,
       call.at + interval '200 milliseconds'
from made cross join lateral (values
    ('create', price, at, null::uuid, state <> 'requested'),
    ('confirm', null, at + interval '1 second', null, state <> 'requested'),
    ('capture', total, ended_at + interval '1 second', null, state in ('completed', 'no_show') and not is_capture_failed),
    ('cancel', null, ended_at + interval '1 second', null, state in ('cancelled', 'no_driver', 'payment_failed')),
    ('refund', price / 2, at + interval '1 hour', refund_id, is_refunded)) as call (operation, amount, at, refund_id, is_made)
where call.is_made;

-- Operators wrote off nothing, and retried a capture now and then.
insert into payment_resolutions (id, payment_id, action, needs_review, note, operator_id, resolved_at)
select pg_temp.id('resolution', n, ended_at), payment_id, 'retry', 'the provider does not answer', 'the provider is back',
       pg_temp.id('operator', 1, '2025-01-01Z'), ended_at
from made where state = 'completed' and not is_capture_failed and n % 500 = 7;

-- One statement for the postings and one for their entries: the entries add to the balances.
create temporary table posted on commit drop as
select pg_temp.id(posting.kind || ' posting', n, posting.at) as id, posting.*, trip_id, rider_id, driver_id
from made cross join lateral (values
    ('charge', trip_id, ended_at, total, state in ('completed', 'no_show')),
    ('capture', payment_id, ended_at + interval '2 seconds', total, state in ('completed', 'no_show') and not is_capture_failed),
    ('tip', tip_id, ended_at + interval '62 seconds', 200, is_tipped),
    ('capture', tip_id, ended_at + interval '62 seconds', 200, is_tipped),
    ('refund', refund_id, at + interval '1 hour', price / 2, is_refunded)) as posting (kind, source_id, at, amount, is_made)
where posting.is_made;
insert into ledger_postings (id, kind, source_id, trip_id, posted_at)
select id, kind, source_id, trip_id, at from posted;
insert into ledger_entries (posting_id, line, account, owner_id, amount, currency)
select posted.id, entry.line, entry.account, entry.owner_id, entry.amount, 'USD'
from posted cross join lateral (values
    ('charge', 1, 'rider_receivable', rider_id, amount),
    ('charge', 2, 'driver_payable', driver_id, -(amount * 75 / 100)),
    ('charge', 3, 'platform_revenue', null::uuid, amount * 75 / 100 - amount),
    ('capture', 1, 'clearing', null, amount),
    ('capture', 2, 'rider_receivable', rider_id, -amount),
    ('tip', 1, 'rider_receivable', rider_id, amount),
    ('tip', 2, 'driver_payable', driver_id, -amount),
    ('refund', 1, 'refunds', null, amount),
    ('refund', 2, 'clearing', null, -amount)) as entry (kind, line, account, owner_id, amount)
where entry.kind = posted.kind;

insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at, decided_at)
select offer_id, trip_id, chosen_driver_id, case state when 'offered' then 'pending' else 'accepted' end, 400, 1,
       at + interval '18 seconds', at + interval '45 seconds', case when state <> 'offered' then at + interval '25 seconds' end
from made where is_offered
union all
-- The driver before the chosen one declined.
select declined_offer_id, trip_id, pg_temp.id('driver', case when n % 250 = 0 then 2000 else 1 end, '2025-01-01Z'), 'declined', 300, 1,
       at + interval '5 seconds', at + interval '20 seconds', at + interval '15 seconds'
from made where is_declined_first;

insert into driver_engagements (driver_id, trip_id, offer_id, kind)
select chosen_driver_id, trip_id, offer_id, case state when 'offered' then 'offer' else 'ride' end
from made where not is_over and is_offered;

insert into match_cycles (trip_id, offers_before, decided_at, offer_id, driver_id, candidates)
select trip_id, cycle.offers_before, cycle.at, cycle.offer_id, chosen_driver_id,
       jsonb_build_array(jsonb_build_object('driver_id', chosen_driver_id, 'distance_m', 400, 'eta_s', 90, 'verdict', 'offered'),
                         jsonb_build_object('driver_id', pg_temp.id('driver', 2000, '2025-01-01Z'), 'distance_m', 900, 'eta_s', 180,
                                            'verdict', 'farther'))
from made cross join lateral (values
    (0, at + interval '5 seconds', declined_offer_id, is_declined_first),
    (case when is_declined_first then 1 else 0 end, at + interval '18 seconds', offer_id, true)) as cycle (offers_before, at, offer_id, is_made)
where is_offered and cycle.is_made;

insert into trip_events (trip_id, seq, command, from_state, to_state, actor, actor_id, data, key_id, at)
select trip_id, event.seq, event.command, event.from_state, event.to_state, event.actor,
       case event.actor when 'rider' then rider_id when 'driver' then chosen_driver_id end,
       jsonb_build_object('command', event.command), event.key_id, made.at + event.after_s * interval '1 second'
from made cross join lateral (select case when is_declined_first then 2 else 0 end as more) d cross join lateral (values
    (1, 'request', 'none', 'requested', 'rider', request_key_id, 0, true),
    (2, 'authorized', 'requested', 'searching', 'system', null::uuid, 2, is_authorized),
    (2, 'payment_declined', 'requested', 'payment_failed', 'system', null, 2, state = 'payment_failed'),
    (3, 'rider_cancel', 'searching', 'cancelled', 'rider', null, 1200, state = 'cancelled'),
    (3, 'give_up', 'searching', 'no_driver', 'system', null, 1200, state = 'no_driver'),
    (3, 'offer', 'searching', 'offered', 'system', null, 5, is_declined_first),
    (4, 'decline', 'offered', 'searching', 'driver', null, 15, is_declined_first),
    (3 + more, 'offer', 'searching', 'offered', 'system', null, 18, is_offered),
    (4 + more, 'accept', 'offered', 'assigned', 'driver', accept_key_id, 25, is_assigned),
    (5 + more, 'arrive', 'assigned', 'arrived', 'driver', null, 300, is_assigned and state <> 'assigned'),
    (6 + more, 'start', 'arrived', 'in_progress', 'driver', null, 360, state in ('in_progress', 'completed')),
    (6 + more, 'no_show', 'arrived', 'no_show', 'driver', null, 1200, state = 'no_show'),
    (7 + more, 'complete', 'in_progress', 'completed', 'driver', complete_key_id, 1200, state = 'completed'))
    as event (seq, command, from_state, to_state, actor, key_id, after_s, is_made)
where event.is_made;

insert into driver_events (driver_id, type, data, at, made_at)
select chosen_driver_id, event.type, jsonb_build_object('trip_id', trip_id), event.at, event.at
from made cross join lateral (values
    ('offer.created', made.at + interval '18 seconds', is_offered),
    ('trip.assigned', made.at + interval '25 seconds', is_assigned),
    ('trip.completed', ended_at, state = 'completed')) as event (type, at, is_made)
where event.is_made;

insert into idempotency_keys (id, role, subject, key, fingerprint, status, headers, body, created_at)
select key.id, key.role, key.subject, key.name || '-' || n, decode(pg_temp.digits('print ' || key.name, n) || pg_temp.digits('', n), 'hex'),
       key.status, '{}', convert_to('{"id": "' || trip_id || '", "rider_id": "' || rider_id || '"}', 'UTF8'), key.at
from made cross join lateral (values
    (request_key_id, 'rider', rider_id, 'request', 201, made.at, true),
    (accept_key_id, 'driver', driver_id, 'accept', 200, made.at + interval '25 seconds', is_assigned),
    (complete_key_id, 'driver', driver_id, 'complete', 200, ended_at, state = 'completed'))
    as key (id, role, subject, name, status, at, is_made)
where key.is_made;

insert into provider_events (event_id, type, intent_id, received_at, handled_at)
select 'evt_' || pg_temp.digits(event.type, n), event.type, 'pi_' || pg_temp.digits('intent', n), event.at, event.at + interval '1 second'
from made cross join lateral (values
    ('payment_intent.amount_capturable_updated', made.at + interval '2 seconds', is_authorized),
    ('payment_intent.succeeded', ended_at + interval '2 seconds', state in ('completed', 'no_show') and not is_capture_failed))
    as event (type, at, is_made)
where event.is_made;

-- The outbox: the authorization for the trips, the end of a trip for the webhooks. The last 40 of these are still open.
with event as (
    insert into outbox_events (topic, aggregate_id, payload, created_at)
    select event.topic, trip_id, jsonb_build_object('trip_id', trip_id, 'number', n), event.at
    from made cross join lateral (values
        ('payment.authorized', made.at + interval '2 seconds', is_authorized),
        ('trip.changed', ended_at, is_over)) as event (topic, at, is_made)
    where event.is_made
    order by event.at
    returning id, topic, aggregate_id, payload, created_at)
insert into outbox_deliveries (event_id, subscriber, aggregate_id, attempts, due_at, delivered_at)
select id, case topic when 'payment.authorized' then 'trips' else 'webhooks' end, aggregate_id, case when is_open then 0 else 1 end,
       case when is_open then '{now}' else created_at end, case when not is_open then created_at + interval '1 second' end
from event cross join lateral (
    select topic = 'trip.changed' and (payload ->> 'number')::bigint > {total} - 160 as is_open) o;

insert into webhook_events (id, type, trip_id, body, created_at)
select pg_temp.id('webhook event', n, ended_at), 'trip.completed', trip_id,
       '{"type": "trip.completed", "data": {"trip_id": "' || trip_id || '", "rider_id": "' || rider_id || '"}}', ended_at
from made where state = 'completed';
insert into webhook_deliveries (id, event_id, endpoint_id, state, attempts, delivered_at, due_at, schedule_started_at, created_at)
select pg_temp.id('webhook delivery', n, ended_at), pg_temp.id('webhook event', n, ended_at), pg_temp.id('endpoint', 1, '2025-01-01Z'),
       case when from_end < 200 then 'pending' else 'delivered' end, case when from_end < 200 then 0 else 1 end,
       case when from_end >= 200 then ended_at + interval '1 second' end, case when from_end < 200 then '{now}'::timestamptz end,
       case when from_end < 200 then '{now}'::timestamptz else ended_at end, ended_at
from made where state = 'completed';
insert into webhook_attempts (delivery_id, attempt, started_at, duration_ms, status)
select pg_temp.id('webhook delivery', n, ended_at), 1, ended_at + interval '1 second', 40, 200
from made where state = 'completed' and from_end >= 200;

-- A run of the reconciliation for every 100 trips, and a finding for every 1,000.
insert into reconciliation_runs (id, scope, state, requested_at, started_at, finished_at, since, windows, payments, intents, repairs)
select pg_temp.id('run', n, at), 'recent', 'checked', at, at, at + interval '10 seconds', at - interval '8 days', 8, 5000, 5000,
       case when is_over and n % 1000 = 0 then 1 else 0 end
from made where n % 100 = 0;
insert into reconciliation_watermarks (scope, reached_at)
values ('recent', '{now}'::timestamptz - interval '1 hour'), ('all', '{now}'::timestamptz - interval '2 days')
on conflict (scope) do nothing;
insert into reconciliation_findings (id, kind, subject, payment_id, trip_id, intent_id, currency, ours, theirs, detail, state, repair,
                                     first_seen_at, last_seen_at, ended_at)
select pg_temp.id('finding', n, at), 'state_differs', 'pi_' || pg_temp.digits('intent', n), payment_id, trip_id,
       'pi_' || pg_temp.digits('intent', n), 'USD', price, price, 'differed for a moment',
       case when from_end < 3000 then 'open' else 'repaired' end, 'look_again', at, at, case when from_end >= 3000 then at end
from made where is_over and n % 1000 = 0;
insert into reconciliation_repairs (id, finding_id, run_id, repair, outcome, started_at, finished_at)
select pg_temp.id('repair', n, at), pg_temp.id('finding', n, at), pg_temp.id('run', n, at), 'look_again', 'succeeded', at, at
from made where is_over and n % 1000 = 0;
