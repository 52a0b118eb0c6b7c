//! Identities: a UUIDv7 in the database, a TypeID (`trip_01jd…`) on the wire.
//!
//! A type of its own for each kind of thing, so that a driver is never passed where a trip is meant. The prefix is checked
//! when an id is read: `ofr_…` in place of `trip_…` is told apart from an id that is merely unknown.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use type_safe_id::{StaticType, TypeSafeId};
use uuid::Uuid;

/// A text that is not an id of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Well formed or not, it starts with another kind's prefix or with none.
    #[error("expected an id that starts with `{expected}_`, got `{got}`")]
    WrongPrefix {
        /// The prefix that belongs here, without the underscore.
        expected: &'static str,
        /// The start of what came.
        got: String,
    },
    /// The right prefix, and then something that is not 26 base-32 digits.
    #[error("expected an id of 26 base-32 digits after `{expected}_`")]
    Malformed {
        /// The prefix that belongs here, without the underscore.
        expected: &'static str,
    },
}

impl InvalidId {
    /// Whether a text is what one of these errors says: readers of JSON pass errors on as text alone.
    pub fn is_told_by(text: &str) -> bool {
        text.starts_with("expected an id ")
    }
}

/// What all ids have in common.
pub trait Id: Copy + From<Uuid> + fmt::Display {
    /// The word before the underscore.
    const PREFIX: &'static str;

    /// The bare UUID, as the database stores it.
    fn uuid(self) -> Uuid;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        const _: () = {
            #[derive(Default)]
            struct Prefix;

            impl StaticType for Prefix {
                const TYPE: &'static str = $prefix;
            }

            impl From<Uuid> for $name {
                fn from(uuid: Uuid) -> Self {
                    Self(uuid)
                }
            }

            impl Id for $name {
                const PREFIX: &'static str = $prefix;

                fn uuid(self) -> Uuid {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    TypeSafeId::<Prefix>::from_uuid(self.0).fmt(f)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(self, f)
                }
            }

            impl FromStr for $name {
                type Err = InvalidId;

                fn from_str(text: &str) -> Result<Self, InvalidId> {
                    match text.rsplit_once('_') {
                        Some(($prefix, _)) => text
                            .parse::<TypeSafeId<Prefix>>()
                            .map(|id| Self(id.uuid()))
                            .map_err(|_| InvalidId::Malformed { expected: $prefix }),
                        _ => Err(InvalidId::WrongPrefix {
                            expected: $prefix,
                            got: text.chars().take(40).collect(),
                        }),
                    }
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    std::borrow::Cow::<'de, str>::deserialize(deserializer)?
                        .parse()
                        .map_err(serde::de::Error::custom)
                }
            }

            impl utoipa::PartialSchema for $name {
                fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                    utoipa::openapi::ObjectBuilder::new()
                        .schema_type(utoipa::openapi::schema::Type::String)
                        .pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")))
                        .description(Some(concat!("A TypeID: `", $prefix, "_` and a base-32 UUIDv7.")))
                        .into()
                }
            }

            impl utoipa::ToSchema for $name {}
        };
    )*};
}

ids! {
    /// A trip, from request to receipt.
    TripId = "trip";
    /// A driver.
    DriverId = "drv";
    /// A rider.
    RiderId = "rdr";
    /// The offer of one trip to one driver.
    OfferId = "ofr";
    /// A payment: one sum that one rider owes for one purpose.
    PaymentId = "pay";
    /// A price that was promised.
    QuoteId = "quo";
    /// A refund of a part of a payment.
    RefundId = "rfd";
    /// Somebody's address that events are sent to.
    WebhookEndpointId = "whe";
    /// An event, as it is sent to endpoints.
    WebhookEventId = "evt";
    /// The delivery of one event to one endpoint.
    WebhookDeliveryId = "whd";
    /// An operator.
    OpsId = "ops";
    /// A comparison of our books with the provider's.
    RunId = "run";
    /// A difference that such a comparison found.
    FindingId = "fnd";
    /// A device gateway that sends the positions of many drivers.
    GatewayId = "gwy";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = TripId::from(Uuid::from_u128(0x0192_3456_789a_7bcd_8def_0123_4567_89ab));
        assert_eq!(id.to_string().parse::<TripId>(), Ok(id));
        assert!(id.to_string().starts_with("trip_"));
    }

    #[test]
    fn another_kind_of_id_is_told_apart_from_a_broken_one() {
        let offer = OfferId::from(Uuid::nil()).to_string();
        assert!(matches!(offer.parse::<TripId>(), Err(InvalidId::WrongPrefix { expected: "trip", .. })));
        assert_eq!("trip_x".parse::<TripId>(), Err(InvalidId::Malformed { expected: "trip" }));
        assert!("".parse::<TripId>().is_err());
    }
}
