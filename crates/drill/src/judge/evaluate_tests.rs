use serde_json::json;

use super::*;

fn limit(text: &str) -> Limit {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn numbers_are_compared_with_their_limits() {
    assert!(holds(&limit("at_least = 0.9"), 0.9, None) && !holds(&limit("at_least = 0.9"), 0.89, None));
    assert!(holds(&limit("at_most = 5"), 5.0, None) && !holds(&limit("at_most = 5"), 5.1, None));
    let either = limit("at_most = 50\ntimes_healthy = 3");
    assert!(holds(&either, 40.0, None), "below the absolute limit");
    assert!(holds(&either, 90.0, Some(30.0)) && !holds(&either, 91.0, Some(30.0)));
    assert!(!holds(&either, 60.0, None), "there is no healthy run to compare with");
    assert!(holds(&limit("of_healthy = 0.8"), 8.0, Some(10.0)) && !holds(&limit("of_healthy = 0.8"), 7.9, Some(10.0)));
}

#[test]
fn too_few_counted_fail_a_check_that_would_hold() {
    let check = "kind = \"status\"\nwhat = \"Quotes are answered.\"\noperation = \"POST /v1/quotes\"\nstatuses = [503]\n\
                 limit.at_most = 0.01\namong.count_min = 5";
    let check: CheckSpec = toml::from_str(check).unwrap_or_else(|error| panic!("{error}"));
    let result = judge_check(&check, &RunResult::default(), None);
    assert!(!result.held && result.seen == "nothing that counts", "{result:?}");
    assert!(result.expected.contains("of 5 at least"), "{result:?}");
}

#[test]
fn audit_names_violated_invariants_with_examples() {
    let report = json!({"violations": {"keys": 0, "offers": 2}, "provider": "checked",
                        "examples": [{"invariant": "offers", "subject": "ofr_1", "detail": "is pending"}]});
    let results = audit(&report);
    assert_eq!(results.len(), 1);
    assert!(!results[0].held && results[0].seen.contains("ofr_1: is pending"), "{results:?}");
    let clean = audit(&json!({"violations": {"keys": 0}, "provider": "checked", "examples": []}));
    assert!(clean.len() == 1 && clean[0].held);
    assert!(!audit(&json!("it failed"))[0].held);
    assert!(!audit(&json!({"violations": {}, "provider": "unchecked"}))[0].held);
}
