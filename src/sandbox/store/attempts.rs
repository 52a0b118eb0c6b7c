//! The SQL of the calls to the provider, as they were recorded.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId};

/// The most calls shown of one payment.
const SHOWN_MAX: i64 = 100;

/// A call to the provider about a payment. A repeat is another call with the same key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderAttempt)]
pub struct AttemptRow {
    /// What was asked for: `create`, `confirm`, `capture`, `cancel` or `refund`.
    #[schema(example = "capture", max_length = 16)]
    operation: String,
    /// The `Idempotency-Key` that the provider got.
    #[schema(max_length = 255)]
    provider_key: String,
    /// `started`, `succeeded`, `declined`, `not_sent` or `unknown`.
    #[schema(example = "succeeded", max_length = 16)]
    outcome: String,
    /// Whether the provider answered.
    answered: bool,
    /// Status and code of the answer, or what failed; `null` while the call runs.
    #[schema(max_length = 2_000)]
    detail: Option<String>,
    /// When it was recorded, before it was sent (real time).
    started_at: MachineTime,
    /// When it ended (real time); `null` while it runs.
    finished_at: Option<MachineTime>,
    /// When the result of an unknown call became known (real time).
    resolved_at: Option<MachineTime>,
}

/// Returns the last calls about a payment, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn attempts(conn: &mut PgConnection, payment: PaymentId) -> Result<Vec<AttemptRow>> {
    let rows = sqlx::query_as!(
        AttemptRow,
        r#"select operation, provider_key, outcome, answered, detail, started_at as "started_at: MachineTime",
                  finished_at as "finished_at: MachineTime", resolved_at as "resolved_at: MachineTime"
           from payment_attempts where payment_id = $1 order by started_at desc limit $2"#,
        payment.uuid(),
        SHOWN_MAX,
    );
    let mut attempts = rows.fetch_all(conn).await?;
    attempts.reverse();
    Ok(attempts)
}
