//! Dispatch: who should be offered which trip. It takes the trips that search, asks `supply` who is near, decides with a pure
//! plan, and has `trips` write the offer. It never assigns anybody: the driver's yes does. What it decided, and why, it keeps.

pub mod plan;
pub mod routes;
pub mod store;
pub mod worker;
