//! Planted violations: each rule is broken in a small tree, and exactly that violation must be reported.

use crate::{BANS, inspect, rules::brief, source::Source};

/// A tree without violations.
const VALID_TREE: &[(&str, &str)] = &[
    ("src/lib.rs", "pub mod geo; pub mod platform; pub mod supply; pub mod pricing; pub mod trips; pub mod dispatch;"),
    ("src/geo/mod.rs", "//! Where.\npub struct Position;"),
    ("src/platform/mod.rs", "//! Platform.\npub mod db; pub mod http; pub mod clock;"),
    ("src/platform/db.rs", "//! Transactions.\npub use sqlx::PgPool; pub struct Tx;"),
    ("src/platform/http/mod.rs", "//! HTTP.\npub use actix_web::web as wire;"),
    ("src/platform/clock.rs", "//! Time.\npub fn read() { chrono::Utc::now(); }"),
    ("src/supply/mod.rs", "//! Drivers.\npub mod fleet;"),
    ("src/supply/fleet.rs", "pub struct Driver;"),
    ("src/pricing/mod.rs", "//! Prices.\npub mod model; mod store;"),
    ("src/pricing/model.rs", "pub struct Quote;"),
    ("src/pricing/store.rs", "use sqlx::PgConnection; pub async fn load(_: &mut PgConnection) {}"),
    ("src/trips/mod.rs", "//! Trips.\npub struct Trip;\npub mod state_machine;"),
    ("src/trips/state_machine.rs", "pub struct State;"),
    (
        "src/dispatch/mod.rs",
        "//! Who.\nuse crate::{trips::{self, Trip as Ride}, supply::fleet::*, geo}; pub struct Offer;",
    ),
];

/// Returns the violations of the valid tree with `planted` added or replaced.
fn violations_with(planted: &[(&str, &str)]) -> Vec<String> {
    let kept = VALID_TREE.iter().filter(|(path, _)| planted.iter().all(|(other, _)| other != path));
    let all: Vec<Source> = kept.chain(planted).map(|(path, text)| Source::new(path, text)).collect();
    let (rust, sql): (Vec<_>, Vec<_>) = all.into_iter().partition(|source| source.path.ends_with(".rs"));
    brief(&inspect(&rust, &sql))
}

#[track_caller]
fn assert_planted(path: &str, text: &str, expected: &str) {
    let wanted: Vec<String> = expected.split_terminator(", ").map(|at| format!("{path}:{at}")).collect();
    assert_eq!(violations_with(&[(path, text)]), wanted, "in\n{text}");
}

#[test]
fn a_valid_tree_has_no_violations() {
    assert_eq!(violations_with(&[]), Vec::<String>::new());
}

#[test]
fn an_import_from_an_upper_layer_is_a_violation() {
    let path = "src/pricing/model.rs";
    for text in [
        "use crate::trips::Trip;",
        "use super::super::trips::Trip;",
        "use crate as top; fn f() { top::trips::Trip; }",
        "use crate::{geo, trips as rides}; type T = rides::Trip;",
        "use crate::trips::*;",
        "pub use crate::trips::Trip as Ride;",
        "extern crate self as me; type T = me::trips::Trip;",
        "fn f() { assert!(matches!(x, crate::trips::Trip)); }",
        "macro_rules! m { () => { use $crate::{geo::Position, trips::Trip}; } }",
        "#[derive(Debug)] #[cfg_attr(all(), my(crate::trips::Trip))] struct S;",
        "mod inner { use super::super::super::trips; }",
        "fn f() -> Vec<Option<crate::trips::Trip>> { vec![] }",
        "pub(in crate::trips) struct S;",
    ] {
        assert_planted(path, text, "1 layers");
    }
    assert_planted(path, "use crate::geo::Position;\nuse crate::dispatch;", "2 layers");
    assert_planted("src/platform/db.rs", "use crate::geo::Position;", "1 layers");
    assert_planted("src/geo/mod.rs", "//! Where.\nuse crate::platform::db;", "2 pure");
}

#[test]
fn an_import_within_a_layer_is_a_violation() {
    let planted = [("src/payments/mod.rs", "//! Money.\nuse crate::supply::fleet;")];
    assert_eq!(violations_with(&planted), ["src/payments/mod.rs:2 layers"]);
}

#[test]
fn an_import_through_lib_or_the_composition_root_is_a_violation() {
    // Through the library's root, and through the composition root.
    let root = "pub mod pricing; pub mod trips; pub use trips::Trip; pub mod startup;";
    let planted = [
        ("src/lib.rs", root),
        ("src/startup.rs", "pub use crate::trips::Trip;"),
        ("src/pricing/model.rs", "use crate::Trip;\nuse crate::startup;"),
    ];
    assert_eq!(violations_with(&planted), ["src/pricing/model.rs:1 layers", "src/pricing/model.rs:2 layers"]);
    let planted = [("src/lib.rs", "pub mod trips; pub use trips::*;")];
    assert_eq!(violations_with(&planted), ["src/lib.rs:1 globs"]);
}

#[test]
fn io_clocks_and_randomness_in_pure_files_are_violations() {
    let path = "src/trips/state_machine.rs";
    for text in [
        "async fn f() {}",
        "fn f() { let g = async { 1 }; }",
        "fn f(c: &Clock) { c.now(); }",
        "use std::time::Instant; struct S(Instant);",
        "use std::{fs as files}; fn f() { files::read(p); }",
        "fn f() { println!(\"{}\", std::io::stdin().x()); }",
        "use tokio::sync::mpsc;",
        "use crate::platform::db::Tx;",
    ] {
        assert_planted(path, text, "1 pure");
    }
    assert_planted(path, "use sqlx::PgPool;", "1 pure, 1 sqlx");
    assert_planted(path, "use rand::Rng;", "1 pure, 1 random");
    assert_planted(path, "#[derive(serde::Serialize)]\nstruct S;", "1 domain values");
    assert_planted("src/geo/mod.rs", "//! Where.\npub async fn f() {}", "2 pure");
}

#[test]
fn connections_and_http_in_commands_and_stores_are_violations() {
    let commands = "src/trips/commands.rs";
    assert_planted(commands, "use crate::platform::db::PgPool;", "1 commands, 1 sqlx");
    assert_planted(commands, "use crate::platform::http::wire;", "1 actix, 1 commands");
    assert_planted(commands, "use crate::platform::egress::Client;", "1 commands");
    assert_planted(commands, "async fn f(t: T) {\n    t.commit().await;\n}", "2 transactions");
    assert_planted(commands, "async fn f(t: T) {\n    tokio::select! { x = g() => {} }\n}", "2 cancellation");
    assert_planted(commands, "use tokio::time; async fn f() { time::timeout(d, g()).await; }", "1 cancellation");
    let store = "src/pricing/store.rs";
    assert_planted(store, "use sqlx::PgPool;", "1 store");
    assert_planted(store, "async fn f(c: C) { sqlx::Connection::begin(c).await; }", "1 transactions");
    assert_planted(store, "use reqwest::Client as Http;", "1 egress, 1 store");
}

#[test]
fn libraries_outside_their_place_are_violations() {
    assert_planted("src/trips/worker.rs", "fn f() { sqlx::query(\"\"); }", "1 sqlx");
    assert_planted("src/trips/worker.rs", "use actix_web::HttpResponse;", "1 actix");
    assert_planted("src/trips/worker.rs", "use reqwest as r;", "1 egress");
    assert_planted("src/trips/routes.rs", "use actix_web::HttpResponse;", "");
    assert_planted("src/trips/routes/start.rs", "#[actix_web::post(\"/\")] async fn f() {}", "");
    assert_planted("src/trips/events.rs", "use tokio::sync::*;", "1 globs");
    assert_planted("src/trips/events.rs", "use std::env;\nfn f() { env::var(\"X\"); }", "2 environment");
    assert_planted("src/startup.rs", "fn f() { std::env::var(\"X\"); }", "");
}

#[test]
fn clocks_and_randomness_outside_platform_are_violations() {
    let path = "src/trips/events.rs";
    assert_planted(path, "use chrono::{DateTime, Utc};\nfn f() { Utc::now(); }", "2 clock");
    assert_planted(path, "use std::time as t;\nfn f() { let g = t::Instant::now; }", "2 clock");
    assert_planted(path, "use std::thread;\nfn f() { thread::sleep(d); }", "2 blocking");
    assert_planted(path, "fn f() { rand::random::<u8>(); }", "1 random");
    assert_planted(path, "use uuid::Uuid;\nfn f() { dbg!(Uuid::now_v7()); }", "2 random");
}

#[test]
fn floats_near_money_are_violations() {
    let path = "src/pricing/model.rs";
    assert_planted(path, "fn f(x: f64) {}", "1 money");
    assert_planted(path, "fn f(x: i64) {\n    let y = x as f32;\n}", "2 money");
    assert_planted(path, "const RATE: R = R(1.15);", "1 money");
    assert_planted(path, "fn f() {\n    m!(x, 2.5);\n}", "2 money");
    assert_planted(path, "fn f(t: T) { m!(t.0.1, 0..5); t.0.1; }", "");
    assert_planted("src/supply/fleet.rs", "fn f(x: f64) {}", "");
}

#[test]
fn sql_clocks_are_violations() {
    let store = "src/pricing/store.rs";
    assert_planted(store, "const Q: &str = \"select\n now ( )\";", "2 sql clock");
    assert_planted(store, "fn f() {\n    query!(\"x < CURRENT_TIMESTAMP\", 1);\n}", "2 sql clock");
    assert_planted(store, "/// Never `now()`.\nconst K: (&str, &str) = (\"current_time\", \"know() now\");", "");
    let migration = "create table t (\n  -- not now()\n  at timestamptz default now()\n);";
    assert_eq!(violations_with(&[("migrations/1.sql", migration)]), ["migrations/1.sql:3 sql clock"]);
}

#[test]
fn unknown_and_undocumented_modules_are_violations() {
    assert_eq!(violations_with(&[("src/utils/mod.rs", "//! Bits.\npub struct U;")]), ["src/utils/mod.rs:1 modules"]);
    assert_eq!(violations_with(&[("src/helpers.rs", "pub struct U;")]), ["src/helpers.rs:1 modules"]);
    assert_eq!(violations_with(&[("src/audit/model.rs", "pub struct A;")]), ["src/audit/mod.rs:1 modules"]);
    assert_eq!(violations_with(&[("src/sandbox.rs", "pub struct A;")]), ["src/sandbox.rs:1 modules"]);
    assert_planted("src/trips/mod.rs", "pub mod state_machine; pub struct Trip;", "1 modules");
    assert_planted("src/trips/queries.rs", "//! Nothing yet.", "1 modules");
}

#[test]
fn routes_of_another_module_are_a_violation() {
    let routes = ("src/pricing/routes.rs", "pub fn quote() {}");
    let user = |text| violations_with(&[routes, ("src/trips/routes.rs", text)]);
    assert_eq!(user("use crate::pricing::routes::quote;"), ["src/trips/routes.rs:1 routes"]);
    assert_eq!(user("fn f() { super::routes::f(); }"), Vec::<String>::new());
    assert_eq!(
        violations_with(&[routes, ("src/startup.rs", "use crate::pricing::routes::quote;")]),
        Vec::<String>::new()
    );
}

#[test]
fn a_trait_with_one_implementation_is_a_violation() {
    let path = "src/trips/events.rs";
    assert_planted(path, "trait Id {}\nmacro_rules! id { ($t:ty) => { impl Id for $t {} } }", "");
    assert_planted(path, "struct A;\ntrait Sink {}\nimpl Sink for A {}", "2 traits");
    assert_planted(path, "trait Sink {}\nimpl Sink for u8 {}\nimpl Sink for u16 {}", "");
}

/// Plants every name of every ban in every place that it covers.
#[test]
fn every_ban_is_reported_everywhere_it_applies() {
    for ban in BANS {
        for (pattern, name) in ban.within.iter().flat_map(|p| ban.names.iter().map(move |n| (p, n))) {
            let place = match pattern.replace("**", "planted.rs").replace('*', "trips") {
                place if place.contains('/') => place,
                place => format!("trips/{place}"),
            };
            let text = match name.strip_prefix('.') {
                Some("await") => "fn f() { x.await; }".to_owned(),
                Some(method) => format!("fn f() {{ x.{method}(); }}"),
                None if *name == "async" => "async fn f() {}".to_owned(),
                None if *name == "{float}" => "const C: C = C(1.5);".to_owned(),
                None => format!("type T = {};", name.replace('*', "other")),
            };
            let path = format!("src/{place}");
            let found = violations_with(&[(&path, &text)]);
            let wanted = format!("{path}:1 {}", ban.rule);
            assert!(found.contains(&wanted), "`{text}` in {place}: wanted {wanted}, found {found:?}");
        }
    }
}
