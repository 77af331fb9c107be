//! What the query of a request asks for.

use axum::http::Uri;
use holdfast_engine::base::units::MAX_ID_BYTES;
use holdfast_engine::terms::states::OrderState;

use crate::watch::known::browse::{PAGE_DEFAULT, PAGE_MAX, Place, WantedHolds, WantedOrders, WantedSkus};
use crate::watch::known::id::bytes_of;
use crate::watch::known::sample::EntryId;

/// A parameter of the query, still percent-encoded.
pub fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Which orders are wanted. Fails, with a text, when a parameter cannot be.
pub fn orders(uri: &Uri) -> Result<WantedOrders, String> {
    let state = text(uri, "state").map(|name| OrderState::by_name(&name).ok_or_else(|| unknown_state(&name)));
    Ok(WantedOrders {
        state: state.transpose()?,
        customer: id(uri, "customer", 1)?,
        lane: id(uri, "lane", 0)?,
        late: flag(uri, "late")?,
    })
}

/// Which holds are wanted. Fails, with a text, when a parameter cannot be.
pub fn holds(uri: &Uri) -> Result<WantedHolds, String> {
    Ok(WantedHolds { customer: id(uri, "customer", 1)?, sku: id(uri, "sku", 1)? })
}

/// Which SKUs are wanted. Fails, with a text, when a parameter cannot be.
pub fn skus(uri: &Uri) -> Result<WantedSkus, String> {
    Ok(WantedSkus { part: id(uri, "part", 0)?.unwrap_or_default(), low: flag(uri, "low")? })
}

/// Where the page begins, and how much it has. Fails, with a text, when a parameter cannot be.
pub fn place(uri: &Uri) -> Result<Place, String> {
    let cursor = parameter(uri, "cursor").map_or(Ok(0), str::parse);
    Ok(Place { cursor: cursor.map_err(|_| wrong_cursor(uri))?, count: count(uri)? })
}

fn count(uri: &Uri) -> Result<usize, String> {
    match parameter(uri, "count").map_or(Ok(PAGE_DEFAULT), str::parse).unwrap_or(0) {
        count @ 1..=PAGE_MAX => Ok(count),
        _ => Err(format!("count must be an integer from 1 to {PAGE_MAX}, got '{}'", shown(uri, "count"))),
    }
}

fn wrong_cursor(uri: &Uri) -> String {
    format!("cursor must be 0 or the next of the last page, got '{}'", shown(uri, "cursor"))
}

/// The entry of a stream before which the page begins, `None` from the newest on; and how much it has. Fails, with a
/// text, when a parameter cannot be.
pub fn place_in_stream(uri: &Uri) -> Result<(Option<EntryId>, usize), String> {
    let count = count(uri)?;
    match parameter(uri, "cursor") {
        None | Some("0") => Ok((None, count)),
        Some(cursor) => EntryId::of(cursor).map(|id| (Some(id), count)).ok_or_else(|| wrong_cursor(uri)),
    }
}

/// Checks an id of the path: the server would refuse it otherwise, and count that.
pub fn check_id(name: &str, id: &[u8]) -> Result<(), String> {
    check_length(name, id, 1)
}

fn check_length(name: &str, id: &[u8], least: usize) -> Result<(), String> {
    let is_right = (least..=MAX_ID_BYTES).contains(&id.len());
    is_right.then_some(()).ok_or_else(|| format!("{name} must be {least} to {MAX_ID_BYTES} bytes, got {}", id.len()))
}

fn id(uri: &Uri, name: &str, least: usize) -> Result<Option<Vec<u8>>, String> {
    let Some(id) = text(uri, name) else { return Ok(None) };
    check_length(name, &id, least).map(|()| Some(id))
}

fn flag(uri: &Uri, name: &str) -> Result<bool, String> {
    match parameter(uri, name) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(format!("{name} must be 0 or 1, got '{}'", shown(uri, name))),
    }
}

fn text(uri: &Uri, name: &str) -> Option<Vec<u8>> {
    parameter(uri, name).map(bytes_of)
}

fn shown(uri: &Uri, name: &str) -> String {
    String::from_utf8_lossy(&text(uri, name).unwrap_or_default()).into_owned()
}

fn unknown_state(name: &[u8]) -> String {
    let known = OrderState::ALL.map(OrderState::name).join(" ");
    format!("state must be one of {known}, got '{}'", String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(query: &str) -> Uri {
        format!("/api/stores/popup/orders?{query}").parse().expect("a URI")
    }

    #[test]
    fn what_is_not_named_is_any_and_an_empty_lane_is_the_default_one() {
        assert_eq!(orders(&uri("")), Ok(WantedOrders::default()));
        let wanted = orders(&uri("state=dead&customer=a%2F1&lane=&late=1")).expect("orders");
        assert_eq!((wanted.state, wanted.late), (Some(OrderState::Dead), true));
        assert_eq!((wanted.customer, wanted.lane), (Some(b"a/1".to_vec()), Some(Vec::new())));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let long = "x".repeat(513);
        for (query, text) in [
            ("state=lost", "state must be one of queued"),
            ("customer=", "customer must be 1 to 512 bytes, got 0"),
            ("late=yes", "late must be 0 or 1, got 'yes'"),
            (&format!("lane={long}"), "lane must be 0 to 512 bytes, got 513"),
        ] {
            let error = orders(&uri(query)).expect_err(query);
            assert!(error.starts_with(text), "{query}: {error}");
        }
        for query in ["cursor=x", "cursor=-1", "count=0", "count=201", "count=many"] {
            assert!(place(&uri(query)).is_err(), "{query}");
        }
        for query in ["cursor=x", "cursor=7", "cursor=-1", "cursor=1-", "cursor=1-1-1", "count=201"] {
            assert!(place_in_stream(&uri(query)).is_err(), "{query}");
        }
        assert_eq!(place_in_stream(&uri("cursor=0")), Ok((None, PAGE_DEFAULT)));
        assert_eq!(place_in_stream(&uri("cursor=7-1&count=9")), Ok((Some(EntryId { ms: 7, seq: 1 }), 9)));
        assert_eq!(place(&uri("cursor=7&count=200")).map(|place| (place.cursor, place.count)), Ok((7, 200)));
    }
}
