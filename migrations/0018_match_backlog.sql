-- The backlog is matched as a whole: a trip has no timer of its own, and its weight in the match grows with its wait.

alter table trips add column searching_since timestamptz;   -- domain time; first search; kept when a search resumes or starts again
update trips set searching_since = requested_at where authorized_at is not null;

alter table trips drop constraint searching_has_times;
alter table trips add constraint searching_has_times
    check (state <> 'searching' or (searching_since is not null and search_deadline_at is not null));

drop index trips_to_search;
alter table trips drop column search_at;
create index trips_to_search on trips (id) where state = 'searching';
