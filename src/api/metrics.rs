//! Metrics in the Prometheus text format.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};

use crate::platform::http::{HttpResult, Public, Request};
use crate::platform::metrics::update_process_gauges;
use crate::supply::Supply;

/// Returns all metrics, the gauges of this process as they are now.
///
/// It reads no database: the worker `gauges` counts rows every few seconds, however often this is called. So a slow database neither
/// hides the other metrics nor gets slower by them.
pub(super) async fn metrics(request: Request<Public>, supply: web::Data<Supply>) -> HttpResult {
    let platform = &request.platform;
    let (online, free) = supply.counts();
    for (state, count) in [("online", online), ("free", free)] {
        platform.metrics.supply.drivers.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    update_process_gauges(platform);
    let text = platform.metrics.render()?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}
