//! A service that can be stopped and killed at any commit and any provider call.

use ridematch::payments::model::ProviderOperation;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;

use super::Location;
use super::provider_state::ProviderState;
use crate::harness::breakpoint::Breakpoint;
use crate::harness::breakpoint::database::DatabaseProxy;
use crate::harness::breakpoint::provider::ProviderProxy;
use crate::harness::process::{Launch, Process};
use crate::harness::{API_VERSION, PSP_SECRET, database, free_address};

/// Everything that survives the process. The provider sends no events, so results are found without them.
pub struct World {
    launch: Launch,
    commits: DatabaseProxy,
    calls: ProviderProxy,
    provider: psp_sim::Running,
    sql: PgPool,
    http: reqwest::Client,
    _database: embedded_postgres::Database,
    data_dir: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let provider = psp_sim::start(psp_sim::Settings::new(data_dir.path(), PSP_SECRET)).await.unwrap();
        let database = database().await;
        let commits = DatabaseProxy::start(&database.url()).await;
        let calls = ProviderProxy::start(provider.address()).await;
        let launch = Launch {
            database_url: commits.url(),
            provider: calls.address(),
            listen: free_address(),
            log: ("info,ridematch::payments=debug", data_dir.path().join("service.log")),
        };
        let sql = PgPoolOptions::new().max_connections(1).connect(&database.url()).await.unwrap();
        let http = launcher::http_client().build().unwrap();
        Self { launch, commits, calls, provider, sql, http, _database: database, data_dir }
    }

    pub async fn start(&self) -> Process {
        self.launch.start().await
    }

    /// Starts a second process at an address of its own.
    pub async fn second(&self) -> Process {
        let log = (self.launch.log.0, self.data_dir.path().join("second.log"));
        Launch { listen: free_address(), log, ..self.launch.clone() }.start().await
    }

    /// Returns the log of the first process.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.launch.log.1).unwrap()
    }

    /// Ends every lease in the database. The holders do not know.
    pub async fn expire_leases(&self) {
        for update in [
            "update payments set leased_until = now() - interval '1 second', due_at = now() - interval '1 second'
             where leased_until > now()",
            "update refunds set leased_until = now() - interval '1 second', due_at = now() - interval '1 second'
             where leased_until > now()",
        ] {
            sqlx::query(update).execute(&self.sql).await.unwrap();
        }
    }

    /// Stops the next process that comes to this location.
    pub fn break_at(&self, place: Location) -> Breakpoint {
        match place {
            Location::Commit(transaction, side) => self.commits.break_at_commit(transaction, side),
            Location::Call(operation, side) => self.calls.break_at(operation, side),
        }
    }

    /// Returns the outcome of the latest attempt at a call, and the provider's records.
    pub async fn attempt_and_state(
        &self,
        operation: ProviderOperation,
        payment_id: &str,
    ) -> (Option<String>, ProviderState) {
        let attempt = sqlx::query_scalar(
            "select a.outcome from payment_attempts a
             where a.payment_id = $1 and a.operation = $2 order by a.started_at desc limit 1",
        )
        .bind(uuid_of(payment_id))
        .bind(operation.as_str())
        .fetch_optional(&self.sql)
        .await
        .unwrap();
        (attempt, self.provider_state(payment_id).await)
    }

    /// Returns the provider's records of a payment.
    pub async fn provider_state(&self, payment_id: &str) -> ProviderState {
        let mut intents = self.list("payment_intents").await;
        intents.retain(|intent| intent["metadata"]["payment_id"] == payment_id);
        let mut refunds = self.list("refunds").await;
        refunds.retain(|refund| intents.iter().any(|intent| intent["id"] == refund["payment_intent"]));
        ProviderState { intents, refunds }
    }

    /// Returns a list of the provider, which fits on one page.
    async fn list(&self, of: &str) -> Vec<Value> {
        let url = format!("http://{}/v1/{of}?limit=100", self.provider.address());
        let answer =
            self.http.get(url).bearer_auth(PSP_SECRET).header("Stripe-Version", API_VERSION).send().await.unwrap();
        let page: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(page["has_more"], false);
        page["data"].as_array().unwrap().clone()
    }

    /// Checks that both records agree: nothing twice, nothing lost, no unresolved call.
    pub async fn assert_records_agree(&self, process: &Process) {
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
        assert_eq!(self.number(open).await, 0, "an unresolved call");
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.sql).await.unwrap()
    }
}

fn uuid_of(payment_id: &str) -> uuid::Uuid {
    use ridematch::platform::ids::{Id, PaymentId};
    payment_id.parse::<PaymentId>().unwrap().uuid()
}
