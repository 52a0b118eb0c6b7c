//! The events, and which values of each can be set.

/// A group of values that a recipe uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueGroup {
    /// Pickup, dropoff, class, payment method.
    Ride,
    /// The driver's name and plate.
    Driver,
    /// `tip.amount`.
    Tip,
    /// `refund.amount`.
    Refund,
    /// `charge.amount`.
    Charge,
}

macro_rules! events {
    ($($event:ident $name:literal [$($group:ident),*] $what:literal;)*) => {
        /// An event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Event { $($event),* }

        impl Event {
            pub const ALL: &'static [Self] = &[$(Self::$event),*];

            /// The name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$event => $name),* }
            }

            /// What happens, in one line.
            pub fn what(self) -> &'static str {
                match self { $(Self::$event => $what),* }
            }

            /// The values that its recipe uses.
            pub fn value_groups(self) -> &'static [ValueGroup] {
                match self { $(Self::$event => &[$(ValueGroup::$group),*]),* }
            }
        }
    };
}

events! {
    TripCompleted "trip.completed" [Ride, Driver] "a ride from request to receipt";
    TripCancelled "trip.cancelled" [Ride, Driver] "the rider cancels within two minutes of the assignment: free";
    TripCancelledLate "trip.cancelled_late" [Ride, Driver] "the rider cancels more than two minutes after the assignment: a fee";
    TripNoDriver "trip.no_driver" [Ride] "no driver is near, and the search ends";
    TripNoShow "trip.no_show" [Ride, Driver] "the rider does not show up within five minutes: a fee";
    TripAborted "trip.aborted" [Ride, Driver, Charge] "an operator aborts a trip in progress";
    TripPaymentFailed "trip.payment_failed" [Ride] "the rider's bank declines";
    TripTipped "trip.tipped" [Ride, Driver, Tip] "the rider tips after the ride";
    OfferDeclined "offer.declined" [Ride, Driver] "the driver declines, and the search goes on";
    OfferExpired "offer.expired" [Ride, Driver] "the driver does not respond in time";
    PaymentCaptured "payment.captured" [Ride, Driver] "the provider captures the payment of a ride";
    PaymentCaptureFailed "payment.capture_failed" [Ride, Driver] "the authorization has expired at the capture: the fare is charged again";
    PaymentRefunded "payment.refunded" [Ride, Driver, Refund] "an operator refunds a part of the payment";
    PaymentUnknown "payment.unknown" [Ride, Driver] "the provider captures the payment, and its response is lost";
    WebhookTwice "webhook.twice" [Ride, Driver] "the provider sends the webhook of the capture twice";
}
