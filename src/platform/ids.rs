//! Ids: a UUIDv7 in the database, a TypeID (`trip_01jd…`) in the API.
//!
//! Each kind of object has an id type. Parsing checks the prefix, so that an id of the wrong kind (400) differs from an unknown
//! id (404).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use type_safe_id::{StaticType, TypeSafeId};
use uuid::Uuid;

/// The error for a text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The prefix is missing or belongs to another kind.
    #[error("expected an id that starts with `{expected}_`, got `{got}`")]
    WrongPrefix {
        /// The expected prefix, without the underscore.
        expected: &'static str,
        /// The start of the text.
        got: String,
    },
    /// The prefix is not followed by 26 base-32 digits.
    #[error("expected an id of 26 base-32 digits after `{expected}_`")]
    Malformed {
        /// The expected prefix, without the underscore.
        expected: &'static str,
    },
}

impl InvalidId {
    /// Whether `text` is the message of one of these errors. serde keeps only the message of an error.
    pub fn is_message(text: &str) -> bool {
        text.starts_with("expected an id ")
    }
}

/// The common interface of all ids.
pub trait Id: Copy + From<Uuid> + fmt::Display {
    /// The prefix, without the underscore.
    const PREFIX: &'static str;

    /// Returns the UUID, as the database stores it.
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
    /// A payment of one rider for one purpose.
    PaymentId = "pay";
    /// A price that is guaranteed for two minutes.
    QuoteId = "quo";
    /// A refund of a payment or a part of it.
    RefundId = "rfd";
    /// A webhook endpoint.
    WebhookEndpointId = "whe";
    /// A webhook event.
    WebhookEventId = "evt";
    /// The delivery of one event to one endpoint.
    WebhookDeliveryId = "whd";
    /// An operator.
    OpsId = "ops";
    /// A reconciliation run.
    RunId = "run";
    /// A reconciliation finding.
    FindingId = "fnd";
    /// A device gateway that sends the positions of many drivers.
    GatewayId = "gwy";
    /// A hint to a driver where demand is short of cars.
    HintId = "hnt";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_round_trips_through_text() {
        let id = TripId::from(Uuid::from_u128(0x0192_3456_789a_7bcd_8def_0123_4567_89ab));
        assert_eq!(id.to_string().parse::<TripId>(), Ok(id));
        assert!(id.to_string().starts_with("trip_"));
    }

    #[test]
    fn wrong_prefix_and_malformed_id_are_different_errors() {
        let offer = OfferId::from(Uuid::nil()).to_string();
        assert!(matches!(offer.parse::<TripId>(), Err(InvalidId::WrongPrefix { expected: "trip", .. })));
        assert_eq!("trip_x".parse::<TripId>(), Err(InvalidId::Malformed { expected: "trip" }));
        assert!("".parse::<TripId>().is_err());
    }
}
