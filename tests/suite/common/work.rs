//! Orders in workers' hands.

use holdfast_lab::wait::{DEADLINE, wait_until};

use super::client::Client;
use super::cmd;
use super::command::IntoCommand;
use super::resp::Reply;
use super::server::Server;
use super::shop::place_many;

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

/// Callers blocked right now, of any command.
pub fn blocked(client: &mut Client) -> usize {
    client.info("clients", "blocked_clients").parse().expect("a number")
}

/// A connection that waits for an order; when this returns, it is among the waiting callers.
pub fn waiter(server: &Server, arguments: &str) -> Client {
    let (mut waiter, mut watcher) = (server.client(), server.client());
    let before = blocked(&mut watcher);
    waiter.send(format!("ORDER.CLAIM {arguments}")).expect("sent");
    wait_until(DEADLINE, "the caller is blocked", || blocked(&mut watcher) > before);
    waiter
}

/// Places this many orders in the store `popup`, all of which are dead afterwards.
pub fn die_many(client: &mut Client, orders: usize) {
    place_many(client, "popup", 0..orders);
    let fail = |number: &usize| cmd!["ORDER.FAIL", "popup", format!("order-{number:010}"), "FATAL"];
    let all: Vec<usize> = (0..orders).collect();
    for part in all.chunks(1_000) {
        client.pipeline(&part.iter().map(fail).collect::<Vec<_>>());
    }
}

/// Rewrites the append-only file, and waits until that has ended successfully.
#[track_caller]
pub fn rewrite_log(client: &mut Client) {
    client.get("BGREWRITEAOF");
    wait_until(DEADLINE, "the append-only file is rewritten", || {
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled"].iter().all(|name| client.info("persistence", name) == "0")
    });
    assert_eq!(client.info("persistence", "aof_last_bgrewrite_status"), "ok");
}
