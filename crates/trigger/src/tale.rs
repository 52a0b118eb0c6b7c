//! The recipes.

use crate::Error;
use crate::event::Event;
use crate::stage::Stage;

/// Makes the event happen.
///
/// # Errors
/// See [`Error`]; what was done so far stays done.
pub(crate) async fn tell(event: Event, stage: &mut Stage) -> Result<(), Error> {
    match event {
        Event::TripCompleted => ridden(stage).await,
        Event::TripCancelled => cancelled(stage).await,
        Event::TripCancelledLate => cancelled_late(stage).await,
        Event::TripNoDriver => {
            stage.request().await?;
            stage.until("searching").await?;
            stage.past("trip").await?;
            stage.until("no_driver").await
        }
        Event::TripNoShow => no_show(stage).await,
        Event::TripAborted => {
            stage.until_in_progress().await?;
            stage.abort().await?;
            stage.until("aborted").await
        }
        Event::TripPaymentFailed => {
            stage.request().await?;
            stage.until("payment_failed").await
        }
        Event::TripTipped => {
            ridden(stage).await?;
            stage.tip().await?;
            stage.until_payment("tip", "captured").await
        }
        Event::OfferDeclined => {
            offered(stage).await?;
            stage.answer("decline").await?;
            stage.until("searching").await
        }
        Event::OfferExpired => {
            offered(stage).await?;
            stage.past("offer").await?;
            stage.until("searching").await
        }
        Event::PaymentCaptured => paid(stage).await,
        Event::PaymentRefunded => {
            paid(stage).await?;
            stage.refund().await
        }
        Event::PaymentUnknown => {
            stage.until_in_progress().await?;
            stage.spoil("capture", "reset_after", 1).await?;
            stage.complete().await?;
            stage.until_struck().await?;
            stage.until_payment("payment", "captured").await
        }
        Event::PaymentCaptureFailed => {
            stage.until_in_progress().await?;
            // Told in time, the service would have the money reserved anew; one more than that may be on its way.
            stage.spoil("webhook", "lost", 2).await?;
            stage.expire_reservation().await?;
            stage.complete().await?;
            stage.until_payment("payment", "capture_failed").await?;
            stage.until_paid().await
        }
        Event::WebhookTwice => {
            stage.until_in_progress().await?;
            stage.spoil("webhook", "doubled", 1).await?;
            stage.complete().await?;
            stage.until_payment("payment", "captured").await?;
            stage.until_struck().await
        }
    }
}

async fn offered(stage: &mut Stage) -> Result<(), Error> {
    stage.driver().await?;
    stage.request().await?;
    stage.until_offered().await
}

async fn cancelled_late(stage: &mut Stage) -> Result<(), Error> {
    stage.until_assigned().await?;
    stage.past("trip").await?;
    stage.act("rider", "cancel").await?;
    stage.until_payment("payment", "captured").await
}

async fn no_show(stage: &mut Stage) -> Result<(), Error> {
    stage.until_assigned().await?;
    stage.stand_at("pickup").await?;
    stage.act("driver", "arrive").await?;
    stage.past("trip").await?;
    stage.act("driver", "no_show").await?;
    stage.until("no_show").await
}

async fn cancelled(stage: &mut Stage) -> Result<(), Error> {
    stage.until_assigned().await?;
    stage.act("rider", "cancel").await?;
    stage.until("cancelled").await
}

async fn ridden(stage: &mut Stage) -> Result<(), Error> {
    stage.until_in_progress().await?;
    stage.complete().await?;
    stage.until("completed").await
}

async fn paid(stage: &mut Stage) -> Result<(), Error> {
    ridden(stage).await?;
    stage.until_payment("payment", "captured").await
}
