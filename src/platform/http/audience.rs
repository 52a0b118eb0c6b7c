//! The audiences of operations: sets of roles, as types.

use crate::platform::auth::Role;

/// The roles that may call an operation.
pub trait Audience: 'static {
    /// The roles. Empty: no token is required.
    const ROLES: &'static [Role];
}

macro_rules! audiences {
    ($($(#[$doc:meta])* $name:ident = [$($role:ident),*];)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Audience for $name {
            const ROLES: &'static [Role] = &[$(Role::$role),*];
        }
    )*};
}

audiences! {
    /// Every caller, without a token.
    Public = [];
    /// Riders.
    Riders = [Rider];
    /// Drivers.
    Drivers = [Driver];
    /// Device gateways.
    Gateways = [Gateway];
    /// Operators.
    Operators = [Ops];
    /// Riders and drivers.
    RidersAndDrivers = [Rider, Driver];
    /// Drivers and operators.
    DriversAndOperators = [Driver, Ops];
    /// Riders and operators.
    RidersAndOperators = [Rider, Ops];
    /// The roles that may see a trip.
    Participants = [Rider, Driver, Ops];
}
