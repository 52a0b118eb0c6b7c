//! Tip the driver.

use serde::Deserialize;
use utoipa::ToSchema;

use super::trips::check_payment_method;
use crate::payments::views::PaymentBody;
use crate::platform::http::request::KeyHeader;
use crate::platform::http::{Reply, Request, Riders};
use crate::platform::idempotency::Answer;
use crate::platform::ids::TripId;
use crate::platform::money::Money;
use crate::trips::commands::{self, NewTip, Stamp};

/// What a rider gives on top.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TipRequest {
    /// In the currency of the fare; 1 to 10,000 minor units.
    amount: Money,
    /// The provider's name for the way to pay; that of the fare if absent.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z][!-~]*$", example = "pm_card_visa")]
    payment_method: Option<String>,
}

/// Tip the driver
///
/// Once, after the ride, and all of it is the driver's. The answer is the tip's payment, not captured yet: follow it at its address. One
/// that is declined costs nothing, and another can be given then; of two tips at the same moment one is refused.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/tip", tag = "trips", operation_id = "tip_driver", security(("rider" = [])),
    request_body = TipRequest,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader),
    responses((status = 201, description = "The tip's payment, to be captured", body = PaymentBody)))]
pub(super) async fn tip(request: Request<Riders>) -> Reply {
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
                    payment_id: platform.dice.id(platform.clock.machine()),
                    amount,
                    payment_method,
                    stamp: Stamp::new(platform),
                })
            },
            |tx, new| Box::pin(commands::tip(tx, new)),
            |payment| {
                let location = format!("/v1/payments/{}", payment.id);
                Answer::created(&PaymentBody::new(payment, &[]), location, payment.version)
            },
        )
        .await
}
