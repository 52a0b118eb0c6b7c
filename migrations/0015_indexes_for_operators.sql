-- Indexes for what operators read. Without them the cost of these reads grows with history.

-- What needs review is rare, so that the indexes are small.
create index payments_to_review on payments (id) where needs_review is not null;
create index refunds_to_review on refunds (id) where needs_review is not null;
create index outbox_deliveries_dead on outbox_deliveries (subscriber, event_id) where dead_at is not null;
create index trips_with_locked_pin on trips (id) where pin_failures >= 5 and ended_at is null;

-- Pages of all trips in one state.
create index trips_by_state on trips (state, id);
