-- Values that the code could not read. It never writes them; a repair by hand could have.

alter table quotes
    add check (pickup_lat between -90 and 90 and pickup_lon between -180 and 180),
    add check (dropoff_lat between -90 and 90 and dropoff_lon between -180 and 180);

alter table trips
    add check (class in ('standard', 'comfort', 'xl')),
    add check (currency ~ '^[A-Z]{3}$'),
    add check (pickup_lat between -90 and 90 and pickup_lon between -180 and 180),
    add check (dropoff_lat between -90 and 90 and dropoff_lon between -180 and 180),
    -- The times that a state guarantees; those of `searching` and of the ended states have constraints already.
    add constraint times_of_state check (
        (state <> 'offered' or search_deadline_at is not null)
        and (state not in ('assigned', 'arrived', 'in_progress') or assigned_at is not null)
        and (state not in ('arrived', 'in_progress') or arrived_at is not null)
        and (state <> 'in_progress' or started_at is not null));
