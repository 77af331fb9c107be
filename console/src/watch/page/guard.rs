//! Who may look: those on this machine, or those who know the password.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, header};
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The rule a request is let in by.
#[derive(Clone, Debug)]
pub enum Guard {
    /// From this machine only, and only by a name of this machine: a page from elsewhere whose name suddenly resolves
    /// to this machine (DNS rebinding) gets nothing.
    Loopback,
    /// From anywhere, with HTTP Basic auth; any user name. Kept as a digest: all comparisons take the same time.
    Password([u8; 32]),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 401 asks for the password, 403 does not.
    pub status: StatusCode,
    /// For people.
    pub text: &'static str,
}

impl Guard {
    /// The rule for a password, or for none.
    pub fn of(password: Option<&str>) -> Guard {
        password.map_or(Guard::Loopback, |password| Guard::Password(Sha256::digest(password).into()))
    }

    /// Lets a request in, or not.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        let forbidden = |text| Refusal { status: StatusCode::FORBIDDEN, text };
        match self {
            Guard::Loopback if !is_loopback(peer.ip()) => {
                Err(forbidden("only this machine may look on; set a password to allow others"))
            }
            Guard::Loopback if !names_this_machine(headers) => {
                Err(forbidden("the host in the request must be 127.0.0.1 or localhost"))
            }
            Guard::Loopback => Ok(()),
            Guard::Password(wanted) => {
                let given = given_password(headers).map(Sha256::digest);
                match given.is_some_and(|given| bool::from(given.as_slice().ct_eq(wanted))) {
                    true => Ok(()),
                    false => {
                        Err(Refusal { status: StatusCode::UNAUTHORIZED, text: "the password is missing or wrong" })
                    }
                }
            }
        }
    }
}

/// Whether an address is this machine's own, as it is or mapped into IPv6.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether the request names this machine, and nothing else, as its host.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
        (Some(host), None) => is_name_of_this_machine(host),
        _ => false,
    }
}

fn is_name_of_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => address,
        Some(_) => return false,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

fn given_password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = BASE64_STANDARD.decode(credentials.trim()).ok()?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some(credentials[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "127.1.2.3", "[::1]:7070", "[::1]"] {
            assert!(is_name_of_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::1]x", "[::2]"]
        {
            assert!(!is_name_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn without_a_password_only_this_machine_looks() {
        let guard = Guard::of(None);
        let here: SocketAddr = "127.0.0.1:5".parse().expect("an address");
        let host = headers(&[(header::HOST, "localhost:7070")]);
        assert_eq!(guard.check(here, &host), Ok(()));
        assert_eq!(guard.check("[::ffff:127.0.0.1]:5".parse().expect("an address"), &host), Ok(()));
        let status = |peer: &str, headers: &HeaderMap| {
            guard.check(peer.parse().expect("an address"), headers).expect_err("refused").status
        };
        assert_eq!(status("10.0.0.1:5", &host), StatusCode::FORBIDDEN);
        assert_eq!(status("127.0.0.1:5", &headers(&[(header::HOST, "evil.example")])), StatusCode::FORBIDDEN);
        assert_eq!(status("127.0.0.1:5", &headers(&[])), StatusCode::FORBIDDEN);
    }

    #[test]
    fn with_a_password_anybody_looks_who_knows_it() {
        let guard = Guard::of(Some("a:b ü"));
        let peer: SocketAddr = "10.0.0.1:5".parse().expect("an address");
        let with = |credentials: &str| {
            let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
            guard.check(peer, &headers(&[(header::AUTHORIZATION, &value)]))
        };
        assert_eq!(with("anyone:a:b ü"), Ok(()));
        assert_eq!(with(":a:b ü"), Ok(()));
        for wrong in ["anyone:a:b", "anyone:", "a:b ü", "anyone:a:b ü "] {
            assert_eq!(with(wrong).map_err(|refusal| refusal.status), Err(StatusCode::UNAUTHORIZED), "{wrong}");
        }
        let bearer = headers(&[(header::AUTHORIZATION, "Bearer a:b")]);
        assert!(guard.check(peer, &bearer).is_err() && guard.check(peer, &headers(&[])).is_err());
    }
}
