-- Intents of the provider that were made for no payment, of ours or of another system like this one: somebody else uses the account
-- too. A run counts them, and that is all.
alter table reconciliation_runs add column foreign_intents bigint not null default 0;
