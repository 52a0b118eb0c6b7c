//! What the OpenAPI document says about the sandbox's operations beyond their annotations.

use crate::platform::error::Code::{
    Forbidden, InvalidId, NotASimulator, NotFound, NotSupervised, NothingPending, Overloaded, Unavailable,
    UpgradeRequired,
};

/// The refusals of single operations. All refuse a foreign `Origin` or `Host` with `forbidden`.
pub(crate) const REFUSALS: &[(&str, &[crate::platform::error::Code])] = &[
    ("create_token", &[Forbidden, InvalidId, Unavailable]),
    ("get_latest_audit", &[Forbidden]),
    ("get_clock", &[Forbidden, InvalidId, NotFound]),
    ("set_clock", &[Forbidden, InvalidId, NotFound, NothingPending]),
    ("get_request_sql", &[Forbidden, NotFound]),
    ("get_timeline", &[Forbidden, InvalidId, NotFound]),
    ("get_object", &[Forbidden, InvalidId, NotFound]),
    ("kill_service", &[Forbidden, NotSupervised]),
    ("reset_sandbox", &[Forbidden, NotASimulator]),
    ("get_provider_faults", &[Forbidden, NotASimulator, Unavailable]),
    ("plan_provider_faults", &[Forbidden, NotASimulator, InvalidId, NotFound]),
    ("end_provider_faults", &[Forbidden, NotASimulator, Unavailable]),
    ("get_provider_view", &[Forbidden, NotASimulator]),
    ("expire_authorization", &[Forbidden, NotASimulator]),
    ("watch_city", &[Forbidden, Overloaded, Unavailable, UpgradeRequired]),
    ("list_state_machines", &[Forbidden]),
    ("get_streets", &[Forbidden]),
    ("put_streets", &[Forbidden]),
    ("get_route", &[Forbidden]),
];

/// Operations that do not use the database.
pub(crate) const WITHOUT_DATABASE: &[&str] = &[
    "create_token",
    "end_provider_faults",
    "get_provider_faults",
    "get_request_sql",
    "get_route",
    "kill_service",
    "watch_city",
];

/// The operation whose response must not be stored, with the header that says so.
pub(crate) const UNCACHED: (&str, &[&str]) = ("watch_city", &["Cache-Control"]);
