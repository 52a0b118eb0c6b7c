//! Values of what a load leaves out.

pub(super) fn one() -> u32 {
    1
}
pub(super) fn one_s() -> f64 {
    1.0
}
pub(super) fn three() -> f64 {
    3.0
}
pub(super) fn four() -> f64 {
    4.0
}
pub(super) fn five() -> f64 {
    5.0
}
pub(super) fn eight() -> u32 {
    8
}
pub(super) fn trip_m() -> f64 {
    1_500.0
}
pub(super) fn answer_after() -> [u64; 2] {
    [50, 250]
}
pub(super) fn client_time_out() -> u64 {
    5_000
}
pub(super) fn probe_every() -> u64 {
    500
}
pub(super) fn probe_time_out() -> u64 {
    1_000
}
pub(super) fn three_probes() -> u32 {
    3
}
pub(super) fn visa() -> Vec<String> {
    vec!["pm_card_visa".to_owned()]
}
pub(super) fn rider() -> String {
    "rider".to_owned()
}
pub(super) fn healthz() -> String {
    "/healthz".to_owned()
}
