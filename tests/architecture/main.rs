//! Checks of the structure: layers, pure files, dependencies, lengths, language, links, the design book.
//!
//! The tables below are the rules of `ARCHITECTURE.md`; the submodules read the source and apply them. A violation is
//! reported with file, line and remedy. `planted.rs` breaks every rule on purpose and expects exactly that report.

mod arithmetic;
mod book;
mod cycles;
mod dependencies;
mod language;
mod lengths;
mod links;
mod names;
mod planted;
mod proxies;
mod resolve;
mod rules;
mod source;

use std::{fs, path::Path};

use rules::{Ban, Violation};
use source::{Source, matches};

/// The modules and their layers. A module imports only from layers below.
const LAYERS: &[(&str, u8)] = &[
    ("geo", 0),
    ("platform", 0),
    ("supply", 1),
    ("demand", 1),
    ("payments", 1),
    ("pricing", 2),
    ("trips", 3),
    ("dispatch", 4),
    ("audit", 5),
    ("reconciliation", 5),
    ("webhooks", 5),
    ("sandbox", 6),
];

/// Imports allowed within a layer: `(from, to)`. Geo uses the ids and times of platform; the audit's invariant `provider` is
/// reconciliation's comparison.
const SAME_LAYER: &[(&str, &str)] = &[("geo", "platform"), ("audit", "reconciliation")];

/// Files and folders at the top of `src/` that put the modules together. They may name every module; no module names
/// them.
const COMPOSITION_ROOT: &[&str] = &["main", "lib", "startup", "cli", "workers", "api", "demo", "local"];

/// Globs over other crates that are allowed.
const ALLOWED_GLOBS: &[&str] = &["proptest::prelude"];

/// Traits with one implementation in `src/` that stay, because the others are elsewhere.
const ALLOWED_TRAITS: &[&str] = &[];

/// Dependencies that a crate must not have: simulated riders and drivers use the service over HTTP only.
const FORBIDDEN_DEPENDENCIES: &[(&str, &str)] = &[
    ("crates/city/Cargo.toml", "sqlx"),
    ("crates/city/Cargo.toml", "actix-web"),
    ("crates/trigger/Cargo.toml", "sqlx"),
    ("crates/trigger/Cargo.toml", "actix-web"),
];

/// Files and functions (`file::name`) over the limit, with their allowed length. The list may only shrink.
const LONG: &[(&str, usize)] = &[];

/// Names that a kind of file must not use.
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
        because: "decisions are pure functions over values: `now`, ids and randomness are arguments, and the caller does \
                  the I/O",
    },
    Ban {
        rule: "domain values",
        within: &["*/state_machine.rs", "*/plan.rs", "*/model.rs"],
        except: &["geo/**", "platform/**"],
        names: &["serde", "utoipa"],
        because: "domain values are not wire formats; rows and DTOs have types of their own and convert",
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
        because: "a command takes `&mut Tx`: it loads, calls the state machine, writes, and publishes events; it never \
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
        because: "a store takes `&mut PgConnection`: rows in, domain values out",
    },
    Ban {
        rule: "transactions",
        within: &["*/**"],
        except: &["platform/db.rs"],
        names: &[".begin", ".commit", ".rollback", "*::begin", "*::commit", "*::rollback"],
        because: "platform::db begins and ends every transaction, so that key, effect and response commit together",
    },
    Ban {
        rule: "cancellation",
        within: &["*/commands.rs", "*/commands/**", "*/store.rs", "*/store/**", "platform/db.rs"],
        except: &[],
        names: &["*::select", "*::select_biased", "*::timeout", "*::timeout_at", "*::abortable"],
        because: "a future that owns a connection is never dropped before it completes: sqlx would leave the connection \
                  in an open transaction (transact-rs/sqlx#4393)",
    },
    Ban {
        rule: "sqlx",
        within: &["**"],
        except: &["*/store.rs", "*/store/**", "platform/**", "main.rs", "startup.rs", "cli/**"],
        names: &["sqlx"],
        because: "a module's SQL is in its store",
    },
    Ban {
        rule: "actix",
        within: &["**"],
        except: &["platform/http/**", "*/routes.rs", "*/routes/**", "main.rs", "startup.rs", "api/**"],
        names: &["actix_web", "actix_http", "actix_rt", "actix_ws"],
        because: "only platform::http, api and each module's routes use actix",
    },
    Ban {
        rule: "egress",
        within: &["**"],
        // The demo is a client of the service, not a part of it.
        except: &["platform/egress.rs", "platform/egress/**", "demo.rs", "local.rs"],
        names: &["reqwest"],
        because: "platform::egress is the only HTTP client; its time-outs and limits are in one place",
    },
    Ban {
        rule: "money",
        within: &["payments/**", "pricing/**", "platform/money.rs"],
        except: &[],
        names: &["f32", "f64", "{float}", ".as_f64"],
        because: "money is integer minor units, no float is used near it; meters and seconds are integers too",
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
        because: "both clocks are arguments; only platform/clock.rs reads the system clock",
    },
    Ban {
        rule: "random",
        within: &["**"],
        except: &["platform/random.rs"],
        names: &[
            "rand",
            "getrandom",
            "uuid::Uuid::new_v4",
            "uuid::Uuid::now_v7",
            "uuid::Uuid::new_v7",
            "type_safe_id::TypeSafeId::new",
        ],
        because: "randomness is passed in; only platform/random.rs throws, so that a seed repeats a run",
    },
    Ban {
        rule: "blocking",
        within: &["**"],
        except: &[],
        names: &["std::thread::sleep"],
        because: "it blocks a worker thread; wait for the event itself, or use tokio's timer",
    },
    Ban {
        rule: "environment",
        within: &["**"],
        except: &["main.rs", "startup.rs", "platform/config.rs", "platform/config/**"],
        names: &["std::env::var", "std::env::var_os", "std::env::vars", "std::env::vars_os"],
        because: "configuration is read once; a module receives its part as a value",
    },
];

/// Decisions without I/O: state machines, plans, models, and single pure files.
const PURE: &[&str] = &[
    "geo/**",
    "demand/sketch.rs",
    "demand/surge.rs",
    "demand/zones.rs",
    "dispatch/hints.rs",
    "supply/checkpoint.rs",
    "supply/fleet.rs",
    "supply/fleet/**",
    "*/state_machine.rs",
    "*/state_machine/**",
    "*/plan.rs",
    "*/model.rs",
    "*/model/**",
    "payments/provider/breaker.rs",
    "payments/provider/retry_budget.rs",
    "sandbox/rehearsal/check.rs",
    "sandbox/rehearsal/content.rs",
    "sandbox/rehearsal/links.rs",
    "sandbox/rehearsal/marking.rs",
    "sandbox/rehearsal/marking/**",
    "sandbox/rehearsal/prompts.rs",
    "sandbox/rehearsal/report.rs",
    "sandbox/rehearsal/report/**",
    "sandbox/rehearsal/schedule.rs",
    "sandbox/rehearsal/session.rs",
    "sandbox/rehearsal/session/**",
    "sandbox/rehearsal/view.rs",
    "sandbox/rehearsal/view/**",
    "trips/offer.rs",
];

const COMMANDS: &[&str] = &["*/commands.rs", "*/commands/**"];

const STORES: &[&str] = &["*/store.rs", "*/store/**"];

/// Applies every rule that looks at `src/` and `migrations/`.
fn inspect(sources: &[Source], migrations: &[Source]) -> Vec<Violation> {
    let tree = source::parse(sources);
    let names = resolve::Names::new(&tree);
    let mut found = [
        rules::modules(&tree),
        rules::layers(&tree, &names),
        rules::bans(&tree, &names, BANS),
        rules::globs(&tree, &names),
        rules::foreign_routes(&tree, &names),
        rules::lone_traits(&tree, ALLOWED_TRAITS),
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
    assert!(found.is_empty(), "{} violations:\n{list}", found.len());
}

#[test]
fn source_follows_the_architecture() {
    let sources = source::read(root(), "src", "rs");
    assert!(sources.len() > 1, "src/ was not found");
    assert_none(&inspect(&sources, &source::read(root(), "migrations", "sql")));
}

#[test]
fn every_layer_is_drawn_in_architecture_md() {
    let drawn = drawn_modules(&read("ARCHITECTURE.md").text);
    for (module, layer) in LAYERS {
        let path = format!("src/{module}/mod.rs");
        assert!(root().join(&path).exists(), "LAYERS lists {module}, but {path} is missing");
        let drawn_at = drawn.iter().filter(|(name, _)| name == module).map(|(_, layer)| *layer).collect::<Vec<_>>();
        assert_eq!(
            drawn_at,
            [*layer],
            "ARCHITECTURE.md draws {module}/ elsewhere; drawing and src/ change in one commit"
        );
    }
}

/// Returns the modules of a drawing, which are words that end with a slash, and the number of their layer. Rules of dashes separate the
/// layers; the first line of a layer has its number.
fn drawn_modules(drawing: &str) -> Vec<(String, u8)> {
    let mut layer = 0;
    let mut found = Vec::new();
    for line in drawing.lines().filter(|line| line.starts_with(" │")) {
        let number = line.split_once(" layer ").and_then(|(_, rest)| rest.trim().parse().ok());
        layer = number.unwrap_or(layer);
        let modules = line.split_whitespace().filter_map(|word| word.strip_suffix('/'));
        found.extend(modules.map(|module| (module.to_owned(), layer)));
    }
    found
}

#[test]
fn patterns_of_the_rules_match_a_file() {
    let sources = source::read(root(), "src", "rs");
    let patterns = BANS.iter().flat_map(|ban| ban.within.iter().chain(ban.except)).chain(PURE);
    let stale: Vec<_> = patterns
        .filter(|pattern| {
            !sources.iter().any(|file| file.path.strip_prefix("src/").is_some_and(|path| matches(pattern, path)))
        })
        .collect();
    assert!(stale.is_empty(), "these patterns match no file, so their rule checks nothing: {stale:?}");
}

#[test]
fn no_file_or_function_exceeds_its_length() {
    let folders = ["src", "crates", "tests"];
    let sources: Vec<Source> = folders.into_iter().flat_map(|folder| source::read(root(), folder, "rs")).collect();
    assert_none(&lengths::lengths(&sources, LONG));
}

#[test]
fn no_http_client_uses_the_proxies_of_the_environment() {
    let folders = [
        "src",
        "crates",
        "tests/api",
        "tests/harness",
        "tests/payments",
        "tests/recovery",
        "tests/rides",
        "tests/sandbox",
    ];
    let sources: Vec<Source> = folders.into_iter().flat_map(|folder| source::read(root(), folder, "rs")).collect();
    assert_none(&proxies::proxies(&sources));
}

#[test]
fn every_dependency_is_explained() {
    let members = source::read(root(), "crates", "toml");
    let page = read(dependencies::PAGE).text;
    let root = read("Cargo.toml");
    assert_none(&dependencies::dependencies(&root, &members, &page, FORBIDDEN_DEPENDENCIES));
}

#[test]
fn every_decision_page_is_indexed() {
    let index = read("docs/decisions/README.md").text;
    for page in source::read(root(), "docs/decisions", "md") {
        let name = page.path.trim_start_matches("docs/decisions/");
        let listed = name == "README.md" || index.contains(&format!("({name})"));
        assert!(listed, "docs/decisions/README.md does not list {name}");
    }
}
