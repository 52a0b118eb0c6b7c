use super::*;

fn observed() -> Observed {
    let place = (Vec::new(), "postgres://127.0.0.1:1/none".to_owned(), PathBuf::from("/nowhere"));
    Observed::new(place, "The page.".to_owned(), DateTime::UNIX_EPOCH)
}

fn figures(at_s: f64, requests: f64, free: f64) -> Figures {
    let metrics_now = BTreeMap::from([
        ("requests_total".to_owned(), requests),
        ("drivers{state=\"free\"}".to_owned(), free),
        ("constant".to_owned(), 1.0),
        ("h_bucket{le=\"1\"}".to_owned(), requests),
    ]);
    Figures { at_s, metrics_now, ..Figures::default() }
}

async fn ask(observed: &Observed, panel: &str, (from, until): (u32, u32)) -> Value {
    let question = Question { from: Some(from), until: Some(until), id: None };
    observed.observe(panel, question).await.expect("a panel")
}

#[tokio::test]
async fn counters_are_rates_and_what_does_not_change_is_left_out() {
    let observed = observed();
    for (at_s, requests, free) in [(0.0, 0.0, 5.0), (4.0, 40.0, 4.0), (8.0, 160.0, 3.0), (12.0, 10.0, 2.0)] {
        observed.record(&figures(at_s, requests, free));
    }
    let seen = ask(&observed, "metrics", (0, 20)).await;
    let names: Vec<_> = seen["series"].as_array().expect("series").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["requests_total", "drivers{state=\"free\"}"]);
    // The counter was set back by a restart after eight seconds.
    assert_eq!(seen["series"][0]["points"], json!([[4.0, 10.0], [8.0, 30.0]]));
    let seen = ask(&observed, "metrics", (4, 8)).await;
    assert_eq!(seen["series"][0]["points"], json!([[4.0, 4.0], [8.0, 3.0]]), "{seen}");
    assert_eq!(seen["now_s"], json!(12.0));
}

#[tokio::test]
async fn slow_requests_are_kept_once_and_shown_by_duration() {
    let observed = observed();
    let request = |at_s: f64, ms: f64| RequestRecord {
        at_s,
        ms,
        operation: "POST /v1/trips".to_owned(),
        ..RequestRecord::default()
    };
    let with = |at_s, slowest: Vec<RequestRecord>| Figures { at_s, slowest, ..Figures::default() };
    observed.record(&with(2.0, vec![request(1.0, 50.0)]));
    observed.record(&with(3.0, vec![request(2.5, 90.0), request(1.0, 50.0)]));
    let all = ask(&observed, "slow", (0, 9)).await;
    let ms: Vec<_> = all["requests"].as_array().expect("requests").iter().map(|one| one["ms"].clone()).collect();
    assert_eq!(ms, [json!(90.0), json!(50.0)]);
    assert_eq!(ask(&observed, "slow", (2, 9)).await["requests"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn log_lines_of_the_range_are_shown_the_newest_first() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let line = |second: u32, message: &str| {
        format!(
            r#"{{"timestamp":"1970-01-01T00:00:{second:02}Z","level":"WARN","target":"a","fields":{{"message":"{message}","trace_id":"t{second}"}}}}"#
        )
    };
    std::fs::write(file.path(), [line(1, "one"), line(5, "five"), line(9, "nine")].join("\n")).expect("written");
    let place = (vec![file.path().to_owned()], String::new(), PathBuf::new());
    let observed = Observed::new(place, String::new(), DateTime::UNIX_EPOCH);
    let seen = ask(&observed, "logs", (2, 9)).await;
    let messages: Vec<_> =
        seen["entries"].as_array().expect("lines").iter().map(|one| one["message"].clone()).collect();
    assert_eq!(messages, ["a: nine", "a: five"]);
    assert_eq!(seen["entries"][0]["trace_id"], "t9");
}

#[tokio::test]
async fn database_that_is_away_and_unknown_panels_are_no_failure() {
    let observed = observed();
    assert!(ask(&observed, "database", (0, 1)).await["error"].is_string());
    assert_eq!(ask(&observed, "deploys", (0, 1)).await["commits"], json!([]));
    assert!(observed.observe("unknown", Question { from: None, until: None, id: None }).await.is_none());
}
