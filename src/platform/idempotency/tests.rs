use super::fingerprint;

#[test]
fn every_part_of_a_request_counts_and_none_runs_into_the_next() {
    let one = fingerprint("POST", "/v1/trips", "a=1", b"{}");
    assert_eq!(one, fingerprint("POST", "/v1/trips", "a=1", b"{}"));
    let others = [
        fingerprint("PUT", "/v1/trips", "a=1", b"{}"),
        fingerprint("POST", "/v1/trip", "sa=1", b"{}"),
        fingerprint("POST", "/v1/trips", "a=2", b"{}"),
        fingerprint("POST", "/v1/trips", "", b"{}"),
        fingerprint("POST", "/v1/trips", "a=1", b"{ }"),
        fingerprint("POST", "/v1/trips", "a=1{", b"}"),
    ];
    assert!(others.iter().all(|other| *other != one));
}
