//! The header and the claims of a token, read by the letter of RFC 7515 (JWS) and RFC 7519 (JWT). Pure: the signature is verified
//! elsewhere, and before anything here counts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::Role;
use crate::platform::clock::MachineTime;

/// How far `nbf` may be ahead: the issuer's clock may be. Synchronized clocks differ by less than a second. An expiry gets no such
/// allowance: an issuer that wants a longer life writes a later `exp`.
const NOT_BEFORE_LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// The types of tokens that are accepted: the two names of RFC 7519 and RFC 7515, and the access tokens of RFC 9068. Another type,
/// such as `logout+jwt`, is for another purpose and no proof of a caller (RFC 8725, 3.11).
const TYPES: [&str; 3] = ["JWT", "JOSE", "at+jwt"];

/// The years that a time in RFC 3339 can have, as seconds since 1970: 0000 to 9999.
const RFC_3339_SECONDS: std::ops::Range<f64> = -62_167_219_200.0..253_402_300_800.0;

/// The issuer and the audience that every token must name. `None`: tokens need not name one.
#[derive(Debug, Clone, Default)]
pub struct ExpectedClaims {
    /// The value of `iss`.
    pub issuer: Option<String>,
    /// The value of `aud`, or one of its values. `None`: a token for any audience is for another service.
    pub audience: Option<String>,
}

/// The header parameters that have a meaning besides the signature. Others are ignored, as RFC 7515, 4 demands; in particular no key
/// is taken from a token (`jwk`, `jku`, `x5c`, `x5u`).
#[derive(Debug, Deserialize)]
pub struct Header {
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    cty: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<bool>,
}

impl Header {
    /// Reads the header of a token in compact form; `None` if it has another form.
    pub fn read(token: &str) -> Option<Self> {
        let (encoded, _) = token.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
    }

    /// Checks that the token can be understood.
    ///
    /// # Errors
    /// The reason for the caller.
    pub fn check(&self) -> Result<(), &'static str> {
        // No extension is supported, so that each one that must be understood is unknown (RFC 7515, 4.1.11).
        if self.crit.is_some() {
            return Err("The token's header demands extensions (`crit`) that this service does not support.");
        }
        // RFC 7797, 7.
        if self.b64 == Some(false) {
            return Err("The token's claims are not in base 64 (`b64`).");
        }
        if self.cty.as_deref().is_some_and(|kind| is_type(kind, "JWT")) {
            return Err("The token contains another token (`cty`) instead of claims.");
        }
        match &self.typ {
            Some(kind) if !TYPES.iter().any(|name| is_type(kind, name)) => {
                Err("The token is of another type (`typ`) than `JWT` and `at+jwt`.")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a media type is `application/{name}`. Case does not count, and the prefix may be absent (RFC 7515, 4.1.9).
fn is_type(text: &str, name: &str) -> bool {
    let short = text.split_once('/').filter(|(prefix, _)| prefix.eq_ignore_ascii_case("application"));
    short.map_or(text, |(_, short)| short).eq_ignore_ascii_case(name)
}

/// The claims of RFC 7519, and `role`. Other claims are ignored, a repeated one makes the token invalid.
#[derive(Debug, Deserialize)]
pub struct Claims {
    /// The subject.
    pub sub: String,
    /// The subject's role.
    pub role: Role,
    exp: NumericDate,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    /// When the token was issued. It decides nothing, but must be a time.
    #[serde(default, deserialize_with = "present", rename = "iat")]
    _iat: Option<NumericDate>,
    /// The token's id. It decides nothing, but must be a text.
    #[serde(default, deserialize_with = "present", rename = "jti")]
    _jti: Option<String>,
}

impl Claims {
    /// Reads a set of claims, which is a JSON object.
    pub fn read(json: &str) -> Option<Self> {
        // serde would also take an array of the values.
        if json.trim_start().starts_with('{') { serde_json::from_str(json).ok() } else { None }
    }

    /// Returns the time of expiry.
    pub fn expires_at(&self) -> MachineTime {
        self.exp.0
    }

    /// Checks that the token is valid now, for this service. The expiry is not checked here.
    ///
    /// # Errors
    /// The reason for the caller.
    pub fn check(&self, expected: &ExpectedClaims, now: MachineTime) -> Result<(), &'static str> {
        if self.nbf.is_some_and(|NumericDate(start)| start > now + NOT_BEFORE_LEEWAY) {
            return Err("The token is not valid yet (`nbf`).");
        }
        if expected.issuer.is_some() && self.iss != expected.issuer {
            return Err("The token does not name the required issuer (`iss`).");
        }
        // A token with an audience is only for services that identify themselves with one of its values (RFC 7519, 4.1.3).
        let is_for_us = match (&self.aud, expected.audience.as_deref()) {
            (None, None) => true,
            (Some(audience), Some(name)) => audience.contains(name),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_for_us { Ok(()) } else { Err("The token is for another audience (`aud`).") }
    }
}

/// The value of `aud`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn contains(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

/// Seconds since 1970 as a JSON number, with or without a fraction (RFC 7519, 2).
#[derive(Debug, Clone, Copy)]
struct NumericDate(MachineTime);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        let time = Some(seconds).filter(|seconds| RFC_3339_SECONDS.contains(seconds));
        let time = time.and_then(|seconds| DateTime::<Utc>::from_timestamp_micros((seconds * 1e6).round() as i64));
        time.map(|time| Self(MachineTime::new(time))).ok_or_else(|| D::Error::custom("a time out of range"))
    }
}

/// Reads an optional member. `null` is a value like any other, and mostly one of the wrong type.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn now() -> MachineTime {
        MachineTime::new(DateTime::from_timestamp(NOW_S, 0).expect("in range"))
    }

    fn header(json: &str) -> Option<bool> {
        Header::read(&format!("{}.e30.", URL_SAFE_NO_PAD.encode(json))).map(|header| header.check().is_ok())
    }

    /// Whether claims with these members are valid; `None` if they cannot be read.
    fn valid(members: &str, expected: &ExpectedClaims) -> Option<bool> {
        let json = format!(r#"{{"sub":"rdr_x","role":"rider","exp":{NOW_S}.5{members}}}"#);
        Claims::read(&json).map(|claims| claims.check(expected, now()).is_ok())
    }

    #[test]
    fn header_that_demands_or_declares_something_else_is_refused() {
        for good in ["{}", r#"{"typ":"jwt"}"#, r#"{"typ":"application/at+JWT"}"#, r#"{"typ":"JOSE","b64":true}"#] {
            assert_eq!(header(good), Some(true), "{good}");
        }
        for unknown in [r#"{"kid":"1","jku":"https://x","new":null,"cty":"json"}"#, r#"{"alg":1}"#] {
            assert_eq!(header(unknown), Some(true), "{unknown}");
        }
        for bad in [
            r#"{"crit":["exp"]}"#,
            r#"{"crit":[]}"#,
            r#"{"crit":null}"#,
            r#"{"crit":["b64"],"b64":true}"#,
            r#"{"b64":false}"#,
            r#"{"cty":"jwt"}"#,
            r#"{"typ":"logout+jwt"}"#,
            r#"{"typ":"text/jwt"}"#,
            r#"{"typ":""}"#,
        ] {
            assert_ne!(header(bad), Some(true), "{bad}");
        }
        for unreadable in [r#"{"typ":null}"#, r#"{"typ":1}"#, r#"{"typ":"JWT","typ":"JWT"}"#, "{", "\u{e9}"] {
            assert_eq!(header(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn numeric_date_may_have_a_fraction_and_must_be_a_number_in_range() {
        let read = |json: &str| serde_json::from_str::<NumericDate>(json).ok().map(|NumericDate(time)| time);
        for (json, micros) in [
            ("1800000000", 1_800_000_000_000_000),
            ("1800000000.25", 1_800_000_000_250_000),
            ("1.8e9", 1_800_000_000_000_000),
            ("-0.5", -500_000),
        ] {
            assert_eq!(read(json), DateTime::from_timestamp_micros(micros).map(MachineTime::new), "{json}");
        }
        for json in ["\"1800000000\"", "null", "true", "[1]", "1e30", "-1e30", "253402300800", "1e999", "NaN"] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn token_is_valid_from_its_not_before_with_five_seconds_of_leeway() {
        let nbf = |seconds: f64| valid(&format!(r#","nbf":{seconds}"#), &ExpectedClaims::default());
        assert_eq!(nbf(NOW_S as f64 - 0.5), Some(true));
        assert_eq!(nbf(NOW_S as f64 + 5.0), Some(true));
        assert_eq!(nbf(NOW_S as f64 + 5.25), Some(false));
        assert_eq!(valid(r#","nbf":null"#, &ExpectedClaims::default()), None);
    }

    #[test]
    fn issuer_and_audience_must_be_those_expected() {
        let expected = |issuer: Option<&str>, audience: Option<&str>| ExpectedClaims {
            issuer: issuer.map(str::to_owned),
            audience: audience.map(str::to_owned),
        };
        let none = expected(None, None);
        assert_eq!(valid("", &none), Some(true));
        assert_eq!(valid(r#","iss":"any","jti":"1","iat":9e9,"other":[]"#, &none), Some(true));
        for audience in [r#""rides""#, r#"["rides"]"#, "[]"] {
            assert_eq!(valid(&format!(r#","aud":{audience}"#), &none), Some(false), "{audience}");
        }
        let ours = expected(Some("https://id"), Some("rides"));
        for (claims, is_valid) in [
            (r#","iss":"https://id","aud":"rides""#, true),
            (r#","iss":"https://id","aud":["other","rides"]"#, true),
            (r#","iss":"https://id","aud":["other"]"#, false),
            (r#","iss":"https://id","aud":"Rides""#, false),
            (r#","iss":"https://id""#, false),
            (r#","iss":"https://id/","aud":"rides""#, false),
            (r#","aud":"rides""#, false),
        ] {
            assert_eq!(valid(claims, &ours), Some(is_valid), "{claims}");
        }
    }

    #[test]
    fn claim_of_the_wrong_type_or_twice_cannot_be_read() {
        for members in [
            r#","iss":1"#,
            r#","aud":1"#,
            r#","aud":["a",1]"#,
            r#","iat":"now""#,
            r#","jti":7"#,
            r#","sub":"rdr_y""#,
            r#","exp":9e9"#,
            r#","nbf":1,"nbf":2"#,
        ] {
            assert_eq!(valid(members, &ExpectedClaims::default()), None, "{members}");
        }
        assert!(Claims::read(&format!(r#"["rdr_x","rider",{NOW_S}]"#)).is_none());
    }
}
