//! Tips.

use serde::Deserialize;
use utoipa::ToSchema;

use super::trips::check_payment_method;
use crate::payments::views::PaymentBody;
use crate::platform::http::request::KeyHeader;
use crate::platform::http::{HttpResult, Request, Riders};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::TripId;
use crate::platform::money::Money;
use crate::trips::commands::{self, NewTip, Stamp};

/// A tip.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TipRequest {
    /// In the currency of the fare; 1 to 10,000 minor units.
    amount: Money,
    /// The provider's name of the payment method. Defaults to that of the fare.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z][!-~]*$", example = "pm_card_visa")]
    payment_method: Option<String>,
}

/// Tip the driver
///
/// Once, after the ride. The driver gets all of it. The response is the tip's payment, not captured yet. A declined tip costs nothing and
/// may be followed by another one; of two tips at the same time, one is refused.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/tip", tag = "trips", operation_id = "tip_driver", security(("rider" = [])),
    request_body = TipRequest,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader),
    responses((status = 201, description = "The tip's payment, to be captured", body = PaymentBody)))]
pub(super) async fn tip(request: Request<Riders>) -> HttpResult {
    request
        .command(
            |request| {
                let Some(rider_id) = request.caller().rider() else { unreachable!("the audience is riders") };
                let TipRequest { amount, payment_method } = request.json()?;
                payment_method.as_deref().map_or(Ok(()), check_payment_method)?;
                let platform = &request.platform;
                Ok(NewTip {
                    trip_id: request.id("trip_id")?,
                    rider_id,
                    payment_id: platform.random.id(platform.clock.machine()),
                    amount,
                    payment_method,
                    stamp: Stamp::new(platform),
                })
            },
            |tx, new| Box::pin(commands::tip(tx, new)),
            |payment| {
                let location = format!("/v1/payments/{}", payment.id);
                StoredResponse::created(&PaymentBody::new(payment, &[]), location, payment.version)
            },
        )
        .await
}
