-- Retention: the indexes by which expired rows are found, so that a pass costs what it deletes. docs/operations/retention.md has the
-- period of each table.

-- Payments that can still change, or that an operator or a dispute needs. Their attempts and the history of their trips are kept.
create view payments_in_use (payment_id, trip_id) as
    select id, trip_id from payments
    where state in ('authorizing', 'authorized', 'capturing', 'voiding') or due_at is not null or needs_review is not null or dispute = 'open'
union all
    select payments.id, payments.trip_id
    from refunds join payments on payments.id = refunds.payment_id
    where refunds.state = 'pending' or refunds.due_at is not null or refunds.needs_review is not null;

-- The history of a trip: its offers and events. It is deleted as a whole, so that the events of a trip have no gap at any time.
alter table trips
    add column history_deleted_at timestamptz,       -- domain time; null: the trip has its history
    add constraint only_an_ended_trip_loses_its_history check (history_deleted_at is null or ended_at is not null);
create index trips_with_history on trips (ended_at) where ended_at is not null and history_deleted_at is null;
create index offers_of_trip on offers (trip_id);

-- Events are append-only, except that those of a trip whose history is deleted go with it.
drop trigger trip_events_append_only on trip_events;
create trigger trip_events_append_only before update or truncate on trip_events
    for each statement execute function refuse_change();
create function refuse_delete_of_kept_history() returns trigger language plpgsql as $$
begin
    if not exists (select from trips where id = old.trip_id and history_deleted_at is not null) then
        raise exception '% is append-only', tg_table_name using errcode = 'integrity_constraint_violation';
    end if;
    return old;
end $$;
create trigger trip_events_deleted_with_the_history before delete on trip_events
    for each row execute function refuse_delete_of_kept_history();

-- The match cycles are larger than the history and are deleted earlier; the rest of a trip's goes with its offers.
create index match_cycles_age on match_cycles (decided_at);
create index match_cycles_by_offer on match_cycles (offer_id) where offer_id is not null;
alter table match_cycles
    drop constraint match_cycles_offer_id_fkey,
    add constraint match_cycles_offer_id_fkey foreign key (offer_id) references offers on delete cascade;

create index payment_attempts_age on payment_attempts (started_at);
create index outbox_events_age on outbox_events (created_at);
create index outbox_deliveries_dead_age on outbox_deliveries (dead_at) where dead_at is not null;
create index reconciliation_runs_age on reconciliation_runs (finished_at) where repairs = 0;
