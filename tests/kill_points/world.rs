//! A service that can be held and killed at any of its dealings with the database and the provider.

use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;

use super::books::Seen;
use super::{Operation, Place};
use crate::harness::hold::Trap;
use crate::harness::hold::database::DatabaseProxy;
use crate::harness::hold::provider::ProviderProxy;
use crate::harness::process::{Launch, Process};
use crate::harness::{PSP_SECRET, database, free_address};

/// Everything that survives the process. The provider sends no events here: what was lost is found without a hint.
pub struct World {
    launch: Launch,
    commits: DatabaseProxy,
    calls: ProviderProxy,
    provider: psp_sim::Running,
    sql: PgPool,
    http: reqwest::Client,
    _database: embedded_postgres::Database,
    books: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let books = tempfile::tempdir().unwrap();
        let provider = psp_sim::start(psp_sim::Settings::new(books.path(), PSP_SECRET)).await.unwrap();
        let database = database().await;
        let commits = DatabaseProxy::start(&database.url()).await;
        let calls = ProviderProxy::start(provider.address()).await;
        let launch = Launch {
            database_url: commits.url(),
            provider: calls.address(),
            listen: free_address(),
            log: ("info,ridematch::payments=debug", books.path().join("service.log")),
        };
        let sql = PgPoolOptions::new().max_connections(1).connect(&database.url()).await.unwrap();
        let http = reqwest::Client::new();
        Self { launch, commits, calls, provider, sql, http, _database: database, books }
    }

    pub async fn started(&self) -> Process {
        self.launch.started().await
    }

    /// Another process beside the first, at an address of its own.
    pub async fn second(&self) -> Process {
        let log = (self.launch.log.0, self.books.path().join("second.log"));
        Launch { listen: free_address(), log, ..self.launch.clone() }.started().await
    }

    /// What the first process has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.launch.log.1).unwrap()
    }

    /// Every lease has run out, by the books: whoever holds one is not told.
    pub async fn run_leases_out(&self) {
        for update in [
            "update payments set leased_until = now() - interval '1 second', due_at = now() - interval '1 second'
             where leased_until > now()",
            "update refunds set leased_until = now() - interval '1 second', due_at = now() - interval '1 second'
             where leased_until > now()",
        ] {
            sqlx::query(update).execute(&self.sql).await.unwrap();
        }
    }

    /// Sets a trap for the next that comes by this place.
    pub fn set(&self, place: Place) -> Trap {
        match place {
            Place::Commit(transaction, side) => self.commits.hold_commit(transaction, side),
            Place::Call(operation, side) => self.calls.hold(operation, side),
        }
    }

    /// How the last attempt at this call stands in our books, and what the provider has in its own.
    pub async fn at_death(&self, operation: Operation, payment_id: &str) -> (Option<String>, Seen) {
        let attempt = sqlx::query_scalar(
            "select a.outcome from payment_attempts a
             where a.payment_id = $1 and a.operation = $2 order by a.started_at desc limit 1",
        )
        .bind(uuid_of(payment_id))
        .bind(operation.as_str())
        .fetch_optional(&self.sql)
        .await
        .unwrap();
        (attempt, self.seen(payment_id).await)
    }

    /// What the provider has about a payment.
    pub async fn seen(&self, payment_id: &str) -> Seen {
        let mut intents = self.list("payment_intents").await;
        intents.retain(|intent| intent["metadata"]["payment_id"] == payment_id);
        let mut refunds = self.list("refunds").await;
        refunds.retain(|refund| intents.iter().any(|intent| intent["id"] == refund["payment_intent"]));
        Seen { intents, refunds }
    }

    /// A list of the provider's; all of it is on one page.
    async fn list(&self, of: &str) -> Vec<Value> {
        let url = format!("http://{}/v1/{of}?limit=100", self.provider.address());
        let answer = self.http.get(url).bearer_auth(PSP_SECRET).send().await.unwrap();
        let page: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(page["has_more"], false);
        page["data"].as_array().unwrap().clone()
    }

    /// Both books, as a whole: nothing twice, nothing lost, nothing left open.
    pub async fn assert_books_agree(&self, process: &Process) {
        let report = process.audit().await;
        assert_eq!(report["clean"], true, "{report:#}");
        let (intents, refunds) = (self.list("payment_intents").await, self.list("refunds").await);
        assert_eq!(self.number("select count(*) from payments").await, intents.len() as i64, "{intents:#?}");
        assert_eq!(self.number("select count(*) from refunds").await, refunds.len() as i64, "{refunds:#?}");
        assert!(intents.iter().all(|intent| intent["status"] != "requires_capture"), "an orphan hold: {intents:#?}");
        let sum = |items: &[Value], what: &str| items.iter().map(|item| item[what].as_i64().unwrap()).sum::<i64>();
        let clearing = "select coalesce(sum(amount), 0)::bigint from ledger_entries where account = 'clearing'";
        assert_eq!(self.number(clearing).await, sum(&intents, "amount_received") - sum(&refunds, "amount"));
        let open = "select count(*) from payment_attempts
                    where outcome = 'started' or (outcome = 'unknown' and resolved_at is null)";
        assert_eq!(self.number(open).await, 0, "a call of which nobody knows what became of it");
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.sql).await.unwrap()
    }
}

fn uuid_of(payment_id: &str) -> uuid::Uuid {
    use ridematch::platform::ids::{Id, PaymentId};
    payment_id.parse::<PaymentId>().unwrap().uuid()
}
