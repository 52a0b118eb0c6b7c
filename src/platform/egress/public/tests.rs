use std::net::{Ipv4Addr, TcpListener};

use super::*;

/// Addresses at the edges of each special network.
const SPECIAL: &str = "\
    0.0.0.0 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 \
    172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.255.255 198.18.0.1 198.19.255.255 \
    198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 \
    ::ffff:10.0.0.1 ::ffff:8.8.8.8 64:ff9b::a00:1 64:ff9b:1::1 100::1 2001::1 2001:1ff::1 2001:db8::1 \
    2002:a00:1:: 3fff::1 3fff:fff:ffff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1";

/// Their public neighbors.
const PUBLIC: &str = "\
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 169.253.255.255 \
    172.15.255.255 172.32.0.0 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255 2001:200::1 \
    2001:4860:4860::8888 2003::1 2606:4700::1111 3ffe::1";

#[test]
fn only_special_addresses_are_not_public() {
    for (list, verdict) in [(SPECIAL, false), (PUBLIC, true)] {
        for ip in list.split_whitespace() {
            assert_eq!(is_public(ip.parse().expect("an address")), verdict, "{ip}");
        }
    }
}

#[test]
fn target_is_https_on_a_public_address() {
    let long = format!("https://example.com/{}", "x".repeat(URL_BYTES_MAX));
    let cases = [
        ("https://example.com/hooks?a=b", Ok(())),
        ("https://example.com:8443/", Ok(())),
        ("https://1.1.1.1", Ok(())),
        ("https://[2606:4700::1111]/", Ok(())),
        ("", Err(TargetError::NotAUrl)),
        ("/hooks", Err(TargetError::NotAUrl)),
        ("example.com", Err(TargetError::NotAUrl)),
        (&long, Err(TargetError::NotAUrl)),
        ("http://example.com/", Err(TargetError::Scheme)),
        ("ftp://example.com/", Err(TargetError::Scheme)),
        ("file:///etc/passwd", Err(TargetError::NotAUrl)),
        ("gopher://127.0.0.1:25/", Err(TargetError::Scheme)),
        ("https://user@example.com/", Err(TargetError::CredentialsOrFragment)),
        ("https://:secret@example.com/", Err(TargetError::CredentialsOrFragment)),
        ("https://example.com/#part", Err(TargetError::CredentialsOrFragment)),
        ("https://example.com:22/", Err(TargetError::Port)),
        ("https://example.com:80/", Err(TargetError::Port)),
        ("https://127.0.0.1/", Err(TargetError::NotPublic)),
        ("https://127.1/", Err(TargetError::NotPublic)),
        ("https://2130706433/", Err(TargetError::NotPublic)),
        ("https://0x7f000001/", Err(TargetError::NotPublic)),
        ("https://017700000001/", Err(TargetError::NotPublic)),
        ("https://127.0.0.1./", Err(TargetError::NotPublic)),
        ("https://１２７.0.0.1/", Err(TargetError::NotPublic)),
        ("https://169.254.169.254/latest/meta-data", Err(TargetError::NotPublic)),
        ("https://[::1]/", Err(TargetError::NotPublic)),
        ("https://[::ffff:127.0.0.1]/", Err(TargetError::NotPublic)),
        ("https://[::ffff:7f00:1]/", Err(TargetError::NotPublic)),
        ("https://[fd00:ec2::254]/", Err(TargetError::NotPublic)),
        ("https://10.0.0.1/", Err(TargetError::NotPublic)),
        ("https://0.0.0.0/", Err(TargetError::NotPublic)),
        ("https://localhost/", Err(TargetError::NotPublic)),
        ("https://LOCALHOST./", Err(TargetError::NotPublic)),
        ("https://a.localhost/", Err(TargetError::NotPublic)),
        ("http://localhost/", Err(TargetError::NotPublic)),
    ];
    for (text, verdict) in cases {
        assert_eq!(Target::parse(text, AddressPolicy::PublicOnly).map(|_| ()), verdict, "{text}");
    }
}

#[test]
fn loopback_policy_adds_only_this_machine() {
    let cases = [
        ("http://127.0.0.1:9000/", Ok(())),
        ("http://[::1]:9000/", Ok(())),
        ("http://localhost:9000/", Ok(())),
        ("https://localhost:9000/", Ok(())),
        ("https://example.com/", Ok(())),
        ("ftp://localhost/", Err(TargetError::Scheme)),
        ("http://example.com/", Err(TargetError::Scheme)),
        ("http://10.0.0.1/", Err(TargetError::Scheme)),
        ("https://10.0.0.1/", Err(TargetError::NotPublic)),
        ("https://[::ffff:127.0.0.1]/", Err(TargetError::NotPublic)),
        ("https://0.0.0.0/", Err(TargetError::NotPublic)),
    ];
    for (text, verdict) in cases {
        assert_eq!(Target::parse(text, AddressPolicy::PublicAndLoopback).map(|_| ()), verdict, "{text}");
    }
}

#[tokio::test]
async fn name_that_resolves_to_loopback_is_not_called() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let port = listener.local_addr().expect("an address").port();
    let target = Target(Url::parse(&format!("http://localhost:{port}/")).expect("a URL"));
    let headers = || ["a", "b", "c"].map(|name| (name, String::new()));
    let post = Post { target: &target, headers: headers(), body: String::new() };
    let egress = PublicEgress::new(AddressPolicy::PublicOnly).expect("a client");
    assert_eq!(egress.post(post).await, Err(PostFailure::NotPublic));
    assert!(listener.accept().is_err(), "a connection was made");
}

#[tokio::test]
async fn unknown_name_and_closed_port_are_no_connection() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr()).expect("a port").port();
    let egress = PublicEgress::new(AddressPolicy::PublicAndLoopback).expect("a client");
    for url in ["https://ridematch.invalid/".to_owned(), format!("http://127.0.0.1:{port}/")] {
        let target = Target::parse(&url, AddressPolicy::PublicAndLoopback).expect("a target");
        let headers = ["a", "b", "c"].map(|name| (name, String::new()));
        let post = Post { target: &target, headers, body: String::new() };
        assert_eq!(egress.post(post).await, Err(PostFailure::NoConnection), "{url}");
    }
}
