-- Authorizations that a rider waits for are leased apart from all other work on payments, so that neither walks over the other's rows.

drop index payments_due;
create index payments_due_authorizations on payments (due_at)
    where due_at is not null and state = 'authorizing' and goal = 'hold';
create index payments_due_settlement on payments (due_at)
    where due_at is not null and not (state = 'authorizing' and goal = 'hold');
