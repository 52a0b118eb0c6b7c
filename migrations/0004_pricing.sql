-- Pricing: a price promised to a rider until it expires or a trip redeems it.

create table quotes (
    id          uuid             primary key,
    rider_id    uuid             not null,
    class       text             not null check (class in ('standard', 'comfort', 'xl')),
    pickup_lat  double precision not null,
    pickup_lon  double precision not null,
    dropoff_lat double precision not null,
    dropoff_lon double precision not null,
    distance_m  bigint           not null check (distance_m >= 0),
    duration_s  bigint           not null check (duration_s >= 0),
    base        bigint           not null,                       -- minor units; the lines of the price
    by_distance bigint           not null,
    by_time     bigint           not null,
    surge       bigint           not null,
    to_minimum  bigint           not null,                       -- added to reach the minimum fare
    price       bigint           not null check (price > 0),
    currency    text             not null check (currency ~ '^[A-Z]{3}$'),
    surge_bp    integer          not null check (surge_bp >= 10000),  -- basis points: 10000 is no surge
    created_at  timestamptz      not null,                       -- domain time
    expires_at  timestamptz      not null,                       -- domain time
    used_at     timestamptz,                                     -- domain time
    constraint price_is_the_sum_of_its_lines check (price = base + by_distance + by_time + surge + to_minimum)
);
create index quotes_unused on quotes (expires_at) where used_at is null;
