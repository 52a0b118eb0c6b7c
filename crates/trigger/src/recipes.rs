//! The recipes.

use crate::Error;
use crate::event::Event;
use crate::session::Session;

/// Makes the event happen.
///
/// # Errors
/// See [`Error`]. Earlier steps are not undone.
pub(crate) async fn run(event: Event, session: &mut Session) -> Result<(), Error> {
    match event {
        Event::TripCompleted => completed(session).await,
        Event::TripCancelled => cancelled(session).await,
        Event::TripCancelledLate => cancelled_late(session).await,
        Event::TripNoDriver => {
            session.request().await?;
            session.until("searching").await?;
            session.advance_past("trip").await?;
            session.until("no_driver").await
        }
        Event::TripNoShow => no_show(session).await,
        Event::TripAborted => {
            session.until_in_progress().await?;
            session.abort().await?;
            session.until("aborted").await
        }
        Event::TripPaymentFailed => {
            session.request().await?;
            session.until("payment_failed").await
        }
        Event::TripTipped => {
            completed(session).await?;
            session.tip().await?;
            session.until_payment("tip", "captured").await
        }
        Event::OfferDeclined => {
            offered(session).await?;
            session.answer("decline").await?;
            session.until("searching").await
        }
        Event::OfferExpired => {
            offered(session).await?;
            session.advance_past("offer").await?;
            session.until("searching").await
        }
        Event::PaymentCaptured => paid(session).await,
        Event::PaymentRefunded => {
            paid(session).await?;
            session.refund().await
        }
        Event::PaymentUnknown => {
            session.until_in_progress().await?;
            session.inject_fault("capture", "reset_after", 1).await?;
            session.complete().await?;
            session.until_fault_struck().await?;
            session.until_payment("payment", "captured").await
        }
        Event::PaymentCaptureFailed => {
            session.until_in_progress().await?;
            // With the webhook, the service would authorize the payment again before the capture. Another one may be on its way.
            session.inject_fault("webhook", "lost", 2).await?;
            session.expire_authorization().await?;
            session.complete().await?;
            session.until_payment("payment", "capture_failed").await?;
            session.until_paid().await
        }
        Event::WebhookTwice => {
            session.until_in_progress().await?;
            session.inject_fault("webhook", "doubled", 1).await?;
            session.complete().await?;
            session.until_payment("payment", "captured").await?;
            session.until_fault_struck().await
        }
    }
}

async fn offered(session: &mut Session) -> Result<(), Error> {
    session.driver().await?;
    session.request().await?;
    session.until_offered().await
}

async fn cancelled_late(session: &mut Session) -> Result<(), Error> {
    session.until_assigned().await?;
    session.advance_past("trip").await?;
    session.command("rider", "cancel").await?;
    session.until_payment("payment", "captured").await
}

async fn no_show(session: &mut Session) -> Result<(), Error> {
    session.until_assigned().await?;
    session.move_to("pickup").await?;
    session.command("driver", "arrive").await?;
    session.advance_past("trip").await?;
    session.command("driver", "no_show").await?;
    session.until("no_show").await
}

async fn cancelled(session: &mut Session) -> Result<(), Error> {
    session.until_assigned().await?;
    session.command("rider", "cancel").await?;
    session.until("cancelled").await
}

async fn completed(session: &mut Session) -> Result<(), Error> {
    session.until_in_progress().await?;
    session.complete().await?;
    session.until("completed").await
}

async fn paid(session: &mut Session) -> Result<(), Error> {
    completed(session).await?;
    session.until_payment("payment", "captured").await
}
