//! Metrics in the Prometheus text format.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};

use crate::platform::http::{HttpResult, Public, Request};
use crate::supply::Supply;
use crate::{payments, platform, reconciliation, webhooks};

/// Updates the gauges that are read on demand, and returns all metrics.
///
/// A gauge that cannot be read keeps its last value, so that a slow database does not hide the other metrics.
pub(super) async fn metrics(request: Request<Public>, supply: web::Data<Supply>) -> HttpResult {
    let platform = &request.platform;
    let (online, free) = supply.counts();
    for (state, count) in [("online", online), ("free", free)] {
        platform.metrics.drivers.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let updates = [
        ("platform", platform::metrics::update_gauges(platform).await),
        ("reconciliation", reconciliation::worker::gauges(platform).await),
        ("payments", payments::webhooks::inbox::gauges(platform).await),
        ("webhooks", webhooks::worker::gauges(platform).await),
    ];
    for (module, result) in updates {
        if let Err(error) = result {
            tracing::warn!(%error, module, "gauges are stale");
        }
    }
    let text = platform.metrics.render()?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}
