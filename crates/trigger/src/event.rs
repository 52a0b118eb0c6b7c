//! What can be made to happen, and what of it can be set.

/// A group of values that a recipe uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
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
    ($($event:ident $name:literal [$($part:ident),*] $what:literal;)*) => {
        /// Something that can be made to happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Event { $($event),* }

        impl Event {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$event),*];

            /// Its name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$event => $name),* }
            }

            /// What happens, in a line.
            pub fn what(self) -> &'static str {
                match self { $(Self::$event => $what),* }
            }

            /// What its recipe uses.
            pub fn parts(self) -> &'static [Part] {
                match self { $(Self::$event => &[$(Part::$part),*]),* }
            }
        }
    };
}

events! {
    TripCompleted "trip.completed" [Ride, Driver] "a ride from request to receipt";
    TripCancelled "trip.cancelled" [Ride, Driver] "the rider cancels when a driver is on the way, in time for it to be free";
    TripCancelledLate "trip.cancelled_late" [Ride, Driver] "the rider cancels more than two minutes after a driver was found: a fee";
    TripNoDriver "trip.no_driver" [Ride] "nobody is near, and the search is given up";
    TripNoShow "trip.no_show" [Ride, Driver] "the driver waits for five minutes in vain: a fee";
    TripAborted "trip.aborted" [Ride, Driver, Charge] "an operator ends a ride that is under way";
    TripPaymentFailed "trip.payment_failed" [Ride] "the rider's bank declines";
    TripTipped "trip.tipped" [Ride, Driver, Tip] "the rider gives a tip after the ride";
    OfferDeclined "offer.declined" [Ride, Driver] "the driver declines, and the search goes on";
    OfferExpired "offer.expired" [Ride, Driver] "the driver does not answer in time";
    PaymentCaptured "payment.captured" [Ride, Driver] "the provider takes the money for a ride";
    PaymentCaptureFailed "payment.capture_failed" [Ride, Driver] "the reservation is gone when it is wanted: the fare is asked for anew";
    PaymentRefunded "payment.refunded" [Ride, Driver, Refund] "an operator gives a part of it back";
    PaymentUnknown "payment.unknown" [Ride, Driver] "the provider takes the money, and its answer is lost";
    WebhookTwice "webhook.twice" [Ride, Driver] "the provider tells of the capture twice";
}
