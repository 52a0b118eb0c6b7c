//! The walls of the house, checked: `src/` is the whiteboard drawing of the system, and this keeps it true.
//!
//! The tables below are the rules; `house/` holds what reads the source and applies them. A broken rule is reported
//! with file, line, and what to do about it. When the drawing itself changes, change `ARCHITECTURE.md` and the tables
//! in the same commit. `house/planted.rs` breaks every rule on purpose and looks for exactly that report.

#[path = "house/dependencies.rs"]
mod dependencies;
#[path = "house/lengths.rs"]
mod lengths;
#[path = "house/names.rs"]
mod names;
#[path = "house/planted.rs"]
mod planted;
#[path = "house/resolve.rs"]
mod resolve;
#[path = "house/rules.rs"]
mod rules;
#[path = "house/source.rs"]
mod source;

use std::{fs, path::Path};

use rules::{Ban, Violation};
use source::Source;

/// The rooms and their floors. A room names only rooms on floors below.
const FLOORS: &[(&str, u8)] = &[
    ("geo", 0),
    ("platform", 0),
    ("supply", 1),
    ("payments", 1),
    ("pricing", 2),
    ("trips", 3),
    ("dispatch", 4),
    ("ops", 5),
    ("sandbox", 5),
    ("webhooks", 5),
];

/// The one door on a floor: `(from, to)`. Geo is made of the ground's own values (ids, times).
const NEIGHBOURS: &[(&str, &str)] = &[("geo", "platform")];

/// Files and folders at the top of `src/` that put the house together: they may name every room, and no room names
/// them.
const HALL: &[&str] = &["main", "lib", "startup", "cli", "workers", "document", "doors", "demo", "local"];

/// Globs over other crates that say no more than their name does.
const ALLOWED_GLOBS: &[&str] = &["proptest::prelude"];

/// Traits with one implementation that stay, because the others are outside of `src/`.
const KEPT_TRAITS: &[&str] = &[];

/// Dependencies that a crate must not have: riders and drivers know the service by HTTP alone.
const STRANGERS: &[(&str, &str)] = &[
    ("crates/city/Cargo.toml", "sqlx"),
    ("crates/city/Cargo.toml", "actix-web"),
    ("crates/trigger/Cargo.toml", "sqlx"),
    ("crates/trigger/Cargo.toml", "actix-web"),
];

/// Files and functions (`file::name`) over the limit, with the length that they may have. The list only shrinks.
const LONG: &[(&str, usize)] = &[];

/// What each piece of furniture must not touch.
const BANS: &[Ban] = &[
    Ban {
        rule: "pure",
        within: PURE,
        except: &[],
        names: &[
            "async",
            ".await",
            "sqlx",
            "tokio",
            "tokio_util",
            "futures_util",
            "actix_web",
            "reqwest",
            "std::fs",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "std::env",
            "crate::platform::db",
            "crate::platform::egress",
            "crate::platform::http",
            "std::time::Instant",
            "std::time::SystemTime",
            ".now",
            "*::now",
            "rand",
        ],
        because: "this file decides, as pure functions over values; `now`, ids and randomness come in as arguments, \
                  and whoever calls it does the I/O",
    },
    Ban {
        rule: "domain values",
        within: &["*/machine.rs", "*/plan.rs", "*/model.rs"],
        except: &["geo/**", "platform/**"],
        names: &["serde", "utoipa"],
        because: "a room's domain values are not wire formats; rows and DTOs have their own types and convert",
    },
    Ban {
        rule: "commands",
        within: COMMANDS,
        except: &[],
        names: &[
            "actix_web",
            "reqwest",
            "crate::platform::egress",
            "crate::platform::http",
            "*::PgPool",
            "crate::platform::db::Db",
            ".pool",
            ".transaction",
        ],
        because: "a command takes `&mut Tx`: it loads, asks the machine, writes and puts events in the outbox; it never \
                  speaks HTTP, calls the provider, or takes a connection of its own",
    },
    Ban {
        rule: "store",
        within: STORES,
        except: &[],
        names: &[
            "actix_web",
            "reqwest",
            "crate::platform::egress",
            "crate::platform::http",
            "*::PgPool",
            "crate::platform::db::Db",
            ".pool",
            ".transaction",
        ],
        because: "a store takes `&mut PgConnection`: SQL in, domain values out",
    },
    Ban {
        rule: "one door",
        within: &["*/**"],
        except: &["platform/db.rs", "platform/db/**"],
        names: &[".begin", ".commit", ".rollback", "*::begin", "*::commit", "*::rollback"],
        because: "platform::db begins and ends every transaction, so that key, effect and response commit together",
    },
    Ban {
        rule: "cancellation",
        within: &["*/commands.rs", "*/commands/**", "*/store.rs", "*/store/**", "platform/db.rs", "platform/db/**"],
        except: &[],
        names: &["*::select", "*::select_biased", "*::timeout", "*::timeout_at", "*::abortable"],
        because: "a future that owns a connection is never dropped half-way: sqlx would leave it inside an open \
                  transaction (transact-rs/sqlx#4393)",
    },
    Ban {
        rule: "sqlx",
        within: &["**"],
        except: &["*/store.rs", "*/store/**", "platform/**", "main.rs", "startup.rs", "cli/**", "cli.rs"],
        names: &["sqlx"],
        because: "a room's SQL stands in its store.rs",
    },
    Ban {
        rule: "actix",
        within: &["**"],
        except: &[
            "platform/http.rs",
            "platform/http/**",
            "*/routes.rs",
            "*/routes/**",
            "main.rs",
            "startup.rs",
            "doors/**",
        ],
        names: &["actix_web", "actix_http", "actix_rt", "actix_ws"],
        because: "actix is known to platform::http and to the rooms' routes.rs alone",
    },
    Ban {
        rule: "egress",
        within: &["**"],
        // The demo is a client of the service, and not a part of it.
        except: &["platform/egress.rs", "platform/egress/**", "demo.rs", "local.rs"],
        names: &["reqwest"],
        because: "platform::egress is the only HTTP client, with its time-outs and limits in one place",
    },
    Ban {
        rule: "money",
        within: &["payments/**", "pricing/**", "platform/money.rs"],
        except: &[],
        names: &["f32", "f64", "{float}", ".as_f64"],
        because: "money is integer minor units, and no float stands in its reach; metres and seconds come in as integers",
    },
    Ban {
        rule: "clock",
        within: &["**"],
        except: &["platform/clock.rs"],
        names: &[
            "chrono::Utc::now",
            "chrono::Local",
            "std::time::SystemTime::now",
            "std::time::Instant::now",
            "tokio::time::Instant::now",
        ],
        because: "both clocks are values and passed in; only platform/clock.rs asks the machine",
    },
    Ban {
        rule: "dice",
        within: &["**"],
        except: &["platform/dice.rs"],
        names: &[
            "rand",
            "getrandom",
            "uuid::Uuid::new_v4",
            "uuid::Uuid::now_v7",
            "uuid::Uuid::new_v7",
            "type_safe_id::TypeSafeId::new",
        ],
        because: "randomness is passed in; only platform/dice.rs throws, so that a seed repeats a run",
    },
    Ban {
        rule: "blocking",
        within: &["**"],
        except: &[],
        names: &["std::thread::sleep"],
        because: "it holds a worker thread that others wait for; wait for the event itself, or use tokio's timer",
    },
    Ban {
        rule: "environment",
        within: &["**"],
        except: &["main.rs", "startup.rs", "platform/config.rs", "platform/config/**"],
        names: &["std::env::var", "std::env::var_os", "std::env::vars", "std::env::vars_os"],
        because: "the configuration is read once, whole; a room gets its own part of it as a value",
    },
];

/// Decisions without I/O. Beside the three kinds that every room has, single files that say so of themselves.
const PURE: &[&str] = &[
    "geo/**",
    "supply/fleet.rs",
    "supply/fleet/**",
    "*/machine.rs",
    "*/machine/**",
    "*/plan.rs",
    "*/plan/**",
    "*/model.rs",
    "*/model/**",
    "payments/gateway/breaker.rs",
    "payments/gateway/budget.rs",
];

const COMMANDS: &[&str] = &["*/commands.rs", "*/commands/**"];

const STORES: &[&str] = &["*/store.rs", "*/store/**"];

/// Applies every rule that looks at `src/` and `migrations/`.
fn inspect(sources: &[Source], migrations: &[Source]) -> Vec<Violation> {
    let tree = source::parse(sources);
    let names = resolve::Names::new(&tree);
    let mut found = [
        rules::rooms(&tree),
        rules::floors(&tree, &names),
        rules::bans(&tree, &names, BANS),
        rules::globs(&tree, &names),
        rules::lone_traits(&tree, KEPT_TRAITS),
        rules::sql_clocks(&tree, migrations),
    ]
    .concat();
    found.sort();
    found.dedup();
    found
}

fn read(path: &str) -> Source {
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    Source::new(path, &text)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_none(found: &[Violation]) {
    let list: String = found.iter().map(|violation| format!("  {violation}\n")).collect();
    assert!(found.is_empty(), "{} broken rules of the house:\n{list}", found.len());
}

#[test]
fn the_walls_stand() {
    let sources = source::read(root(), "src", "rs");
    assert!(sources.len() > 1, "src/ was not found");
    assert_none(&inspect(&sources, &source::read(root(), "migrations", "sql")));
}

#[test]
fn the_picture_is_the_house() {
    let picture = read("ARCHITECTURE.md");
    for (room, _) in FLOORS {
        let face = format!("src/{room}/mod.rs");
        assert!(root().join(&face).exists(), "tests/house.rs has a room {room}, but there is no {face}");
        let drawn = picture.text.contains(&format!("{room}/"));
        assert!(drawn, "ARCHITECTURE.md does not draw {room}/; the picture and src/ change in one commit");
    }
}

#[test]
fn nothing_grows_past_its_length() {
    let folders = ["src", "crates", "tests"];
    let sources: Vec<Source> = folders.into_iter().flat_map(|folder| source::read(root(), folder, "rs")).collect();
    assert_none(&lengths::lengths(&sources, LONG));
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let members = source::read(root(), "crates", "toml");
    let page = read(dependencies::PAGE).text;
    let root = read("Cargo.toml");
    assert_none(&dependencies::dependencies(&root, &members, &page, STRANGERS));
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/decisions/README.md").text;
    for page in source::read(root(), "docs/decisions", "md") {
        let name = page.path.trim_start_matches("docs/decisions/");
        let listed = name == "README.md" || index.contains(&format!("({name})"));
        assert!(listed, "docs/decisions/README.md does not list {name}");
    }
}
