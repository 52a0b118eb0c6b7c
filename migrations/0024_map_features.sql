-- What a map shows beside the streets: its name, class and name of each line, and areas such as water and parks. As received; null for a map
-- without them, and in production. Pricing and matching do not use them.

alter table map_streets add column features json check (json_typeof(features) = 'object');
