//! HTTP clients: none takes a proxy from the environment. Calls to this machine would go to it, and so would the provider's secrets.

use crate::{rules::Violation, source::Source};

/// How a client begins that uses the proxies of the environment, whatever follows.
const WITH_PROXIES: [&str; 3] = ["reqwest::Client::new()", " Client::new()", "reqwest::get("];

/// Finds the clients without `.no_proxy()` in the statement that builds them.
pub fn proxies(sources: &[Source]) -> Vec<Violation> {
    let found = |source: &Source, at: usize| Violation {
        file: source.path.clone(),
        line: source.text[..at].lines().count(),
        rule: "proxies",
        message:
            "a client uses the proxies of the environment; build it with `.no_proxy()`, or by `launcher::http_client()`"
                .to_owned(),
    };
    let of_file = |source: &Source| -> Vec<Violation> {
        let built = source.text.match_indices("Client::builder()").filter(|(at, _)| {
            let statement = source.text[*at..].split(';').next().unwrap_or_default();
            !statement.contains(".no_proxy()")
        });
        let other = WITH_PROXIES.into_iter().flat_map(|name| source.text.match_indices(name));
        built.chain(other).map(|(at, _)| found(source, at)).collect()
    };
    sources.iter().flat_map(of_file).collect()
}

#[test]
fn client_with_the_proxies_of_the_environment_is_a_violation() {
    let lines = |text: &str| proxies(&[Source::new("x.rs", text)]).iter().map(|one| one.line).collect::<Vec<_>>();
    assert_eq!(lines("fn f() {\n    let c = reqwest::Client::builder().build();\n}"), [2]);
    assert_eq!(lines("let c = Client::new();"), [1]);
    assert_eq!(lines("\nlet c = reqwest::Client::new();"), [2]);
    assert_eq!(lines("let c = Client::builder()\n    .timeout(t)\n    .no_proxy()\n    .build();"), []);
    assert_eq!(lines("let c = Client::builder().build(); d.no_proxy();"), [1]);
    assert_eq!(lines("let c = ProviderClient::new(platform);"), []);
}
