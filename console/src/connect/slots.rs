//! A cluster as one of its nodes knows it: which primaries there are, and who has which slots.

use redis::aio::ConnectionLike;
use redis::{FromRedisValue, RedisError, Value, cmd};

/// A primary that has slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub host: String,
    pub port: u16,
    /// First and last of each range.
    slots: Vec<(u16, u16)>,
}

impl Node {
    pub fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

/// The primaries, in the order of their first slots. `asked` is the host of the node that is asked, for one that does
/// not know its own. Empty: the server is no cluster. Fails when the server does not answer.
pub async fn primaries(connection: &mut impl ConnectionLike, asked: &str) -> Result<Vec<Node>, RedisError> {
    match cmd("CLUSTER").arg("SLOTS").query_async(connection).await {
        Ok(reply) => Ok(read(&reply, asked)),
        Err(error) if error.code() == Some("ERR") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read(reply: &Value, asked: &str) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let Value::Array(ranges) = reply else { return nodes };
    for range in ranges {
        let Value::Array(parts) = range else { continue };
        let [first, last, Value::Array(primary), ..] = parts.as_slice() else { continue };
        let number = |value: Option<&Value>| value.and_then(|value| u16::from_redis_value_ref(value).ok());
        let host = primary.first().and_then(|host| String::from_redis_value_ref(host).ok());
        let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.to_string());
        let (Some(first), Some(last), Some(port)) = (number(Some(first)), number(Some(last)), number(primary.get(1)))
        else {
            continue;
        };
        match nodes.iter_mut().find(|node| (&node.host, node.port) == (&host, port)) {
            Some(node) => node.slots.push((first, last)),
            None => nodes.push(Node { host, port, slots: vec![(first, last)] }),
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_one_primary_are_one_node() {
        let text = "*3\r\n*4\r\n:0\r\n:99\r\n*3\r\n$1\r\na\r\n:7000\r\n$2\r\nid\r\n\
                    *3\r\n$1\r\nc\r\n:7002\r\n$2\r\nid\r\n\
                    *3\r\n:100\r\n:199\r\n*3\r\n$-1\r\n:7001\r\n$2\r\nid\r\n\
                    *3\r\n:200\r\n:16383\r\n*3\r\n$1\r\na\r\n:7000\r\n$2\r\nid\r\n";
        let nodes = read(&redis::parse_redis_value(text.as_bytes()).expect("a reply"), "seed");
        let names: Vec<_> = nodes.iter().map(|node| format!("{}:{}", node.host, node.port)).collect();
        assert_eq!(names, ["a:7000", "seed:7001"]);
        assert!(nodes[0].has(0) && nodes[0].has(16_383) && !nodes[0].has(100) && nodes[1].has(150));
    }
}
