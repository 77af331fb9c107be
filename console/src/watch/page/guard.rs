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

impl Guard {
    /// The rule for a password, or for none.
    pub fn of(password: Option<&str>) -> Guard {
        password.map_or(Guard::Loopback, |password| Guard::Password(Sha256::digest(password).into()))
    }

    /// Lets a request in, or says why not: with 401, which asks for the password, or 403.
    pub fn check(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let forbidden = |text| Err((StatusCode::FORBIDDEN, text));
        match self {
            Guard::Loopback if !is_loopback(peer.ip()) => {
                forbidden("only this machine may look on; set a password to allow others")
            }
            Guard::Loopback if !names_this_machine(headers) => {
                forbidden("the host in the request must be 127.0.0.1 or localhost")
            }
            Guard::Loopback => Ok(()),
            Guard::Password(wanted) => {
                let given = given_password(headers).map(Sha256::digest);
                let is_right = given.is_some_and(|given| bool::from(given.as_slice().ct_eq(wanted)));
                is_right.then_some(()).ok_or((StatusCode::UNAUTHORIZED, "the password is missing or wrong"))
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

    fn is_let_in(guard: &Guard, peer: &str, name: header::HeaderName, value: &str) -> bool {
        let headers = HeaderMap::from_iter([(name, value.parse().expect("a value"))]);
        guard.check(peer.parse().expect("an address"), &headers).is_ok()
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "127.1.2.3", "[::1]:7070", "[::1]"] {
            assert!(is_name_of_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::1]x", "[::2]"] {
            assert!(!is_name_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn without_a_password_only_this_machine_looks() {
        let look = |peer: &str| is_let_in(&Guard::of(None), peer, header::HOST, "localhost:7070");
        assert!(look("127.0.0.1:5") && look("[::ffff:127.0.0.1]:5") && !look("10.0.0.1:5"));
    }

    #[test]
    fn a_password_may_hold_any_character() {
        let with = |credentials: &str| {
            let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
            is_let_in(&Guard::of(Some("a:b ü")), "10.0.0.1:5", header::AUTHORIZATION, &value)
        };
        assert!(with("anyone:a:b ü") && with(":a:b ü"));
        assert!(["anyone:a:b", "anyone:", "a:b ü", "anyone:a:b ü "].into_iter().all(|wrong| !with(wrong)));
    }
}
