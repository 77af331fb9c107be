//! Orders in workers' hands.

use super::client::Client;
use super::command::IntoCommand;
use super::resp::Reply;

/// An order as ORDER.CLAIM hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub order: String,
    pub token: i64,
    pub attempt: i64,
    pub placed_at: i64,
    pub deadline: i64,
}

impl Claimed {
    /// Reads the map of one order.
    #[track_caller]
    pub fn of(reply: &Reply) -> Claimed {
        let number = |name| reply.field(name).int();
        Claimed {
            order: reply.field("order").text(),
            token: number("token"),
            attempt: number("attempt"),
            placed_at: number("placed-at"),
            deadline: number("deadline"),
        }
    }

    /// Reads a reply of ORDER.CLAIM.
    #[track_caller]
    pub fn all(reply: &Reply) -> Vec<Claimed> {
        reply.array().iter().map(Claimed::of).collect()
    }
}

/// What a command that claims hands out.
#[track_caller]
pub fn claim(client: &mut Client, command: impl IntoCommand) -> Vec<Claimed> {
    Claimed::all(&client.get(command))
}

/// The one order that a command that claims hands out.
#[track_caller]
pub fn claim_one(client: &mut Client, command: impl IntoCommand) -> Claimed {
    let mut claimed = claim(client, command);
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.remove(0)
}

/// The ids of what was handed out.
pub fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.order.as_str()).collect()
}

/// A field of an order, as text (nil is empty).
#[track_caller]
pub fn order_field(client: &mut Client, order: &str, field: &str) -> String {
    match client.get(format!("ORDER.GET popup {order}")).field(field) {
        Reply::Nil => String::new(),
        Reply::Int(number) => number.to_string(),
        value => value.text(),
    }
}
