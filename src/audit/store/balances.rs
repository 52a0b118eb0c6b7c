//! The kept balances of the ledger: a part of invariant 4.

use sqlx::PgConnection;

use super::{Row, violations};
use crate::platform::error::Result;
use crate::platform::ids::TripId;

/// Compares what is derived from the ledger's entries: the sums of the last two days with their entries, the balances of whole accounts
/// with the sums of all days and with the balances of all owners, and the balances of the owners in the last 100 postings with all their
/// entries. So the cost follows the number of days and of owners, not of entries.
pub(super) async fn balances(conn: &mut PgConnection) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with whole as (
            select account, currency, sum(debits) as debits, sum(credits) as credits
            from ledger_balances where owner_id = '00000000-0000-0000-0000-000000000000' group by account, currency),
        owned as (
            select account, currency, sum(debits) as debits, sum(credits) as credits
            from ledger_balances where owner_id <> '00000000-0000-0000-0000-000000000000' group by account, currency),
        days as (
            select account, currency, sum(debits) as debits, sum(credits) as credits from ledger_days group by account, currency),
        recent as (select max(day) - 1 as day from ledger_days),
        recent_entries as (
            select (posting.posted_at at time zone 'UTC')::date as day, entry.account, entry.currency,
                   sum(greatest(entry.amount, 0)) as debits, sum(greatest(-entry.amount, 0)) as credits
            from recent
            cross join lateral (
                select id, posted_at from ledger_postings where posted_at >= recent.day::timestamp at time zone 'UTC' offset 0) posting
            cross join lateral (select * from ledger_entries where posting_id = posting.id offset 0) entry
            group by 1, 2, 3),
        recent_days as (
            select ledger_days.day, account, currency, sum(debits) as debits, sum(credits) as credits
            from ledger_days, recent where ledger_days.day >= recent.day group by 1, 2, 3),
        owners as (
            select distinct entry.owner_id
            from (select id from ledger_postings order by id desc limit 100) posting
            join ledger_entries entry on entry.posting_id = posting.id
            where entry.owner_id is not null),
        owners_entries as (
            select owners.owner_id, entry.account, entry.currency,
                   sum(greatest(entry.amount, 0)) as debits, sum(greatest(-entry.amount, 0)) as credits
            from owners
            cross join lateral (select * from ledger_entries where owner_id = owners.owner_id offset 0) entry
            group by 1, 2, 3)
        select 'account', account || ' ' || currency, null::uuid,
               format('has debits of %s and credits of %s on %s, and its entries %s and %s', kept.debits, kept.credits, day, summed.debits, summed.credits)
        from recent_days kept full join recent_entries summed using (day, account, currency)
        where (kept.debits, kept.credits) is distinct from (summed.debits, summed.credits)
        union all
        select 'account', account || ' ' || currency, null,
               format('has debits of %s and credits of %s, and the sum of its days %s and %s', whole.debits, whole.credits, days.debits, days.credits)
        from whole full join days using (account, currency)
        where (whole.debits, whole.credits) is distinct from (days.debits, days.credits)
        union all
        select 'account', account || ' ' || currency, null,
               format('has debits of %s and credits of %s, and its owners %s and %s', whole.debits, whole.credits, owned.debits, owned.credits)
        from whole full join owned using (account, currency)
        where account in (select code from ledger_accounts where ledger_accounts.owned)
          and (whole.debits, whole.credits) is distinct from (owned.debits, owned.credits)
        union all
        select 'owner', owner_id::text, null,
               format('has debits of %s and credits of %s in %s, and the entries %s and %s', kept.debits, kept.credits, account, summed.debits, summed.credits)
        from owners_entries summed left join ledger_balances kept using (owner_id, account, currency)
        where (kept.debits, kept.credits) is distinct from (summed.debits, summed.credits)
        "#
    )?)
}
