//! The address of a server, of several sentinels, or of nodes of a cluster, as people write it.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The port of a sentinel that names none.
const SENTINEL_PORT: u16 = 26_379;

/// What an address says.
#[derive(Clone, Debug)]
pub struct Address {
    /// Where to connect to, each with the user and the password: servers, or sentinels.
    pub hosts: Vec<ConnectionInfo>,
    /// The name of the primary that the sentinels know; `None`: the hosts are servers.
    pub primary: Option<String>,
    /// The database, if one is named.
    pub db: Option<i64>,
    /// The address without user and password.
    pub shown: String,
}

impl Address {
    /// Reads an address; `is_tls` decides for one that names no scheme. Fails with what it must be; the text is never
    /// in the error, as it may have a password in it.
    pub fn parse(text: &str, is_tls: bool) -> Result<Address, String> {
        let default = if is_tls { "rediss" } else { "redis" };
        let (scheme, rest) = text.trim().split_once("://").unwrap_or((default, text.trim()));
        match scheme {
            "unix" | "redis+unix" | "valkey+unix" => unix(scheme, rest),
            "redis" | "rediss" | "valkey" | "valkeys" => tcp(scheme, scheme, rest, false),
            "redis-sentinel" => tcp(scheme, "redis", rest, true),
            "rediss-sentinel" => tcp(scheme, "rediss", rest, true),
            _ => Err("must be redis://host:port, rediss://, unix://, redis-sentinel:// or host:port".into()),
        }
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.hosts.iter().any(|host| matches!(host.addr(), ConnectionAddr::TcpTls { .. }))
    }
}

fn unix(scheme: &str, rest: &str) -> Result<Address, String> {
    let wrong = |_| "must be unix:///path/of/the/socket".to_string();
    let host = format!("{scheme}://{rest}").into_connection_info().map_err(wrong)?;
    let db = rest.contains("db=").then(|| host.redis_settings().db());
    let ConnectionAddr::Unix(path) = host.addr() else { return Err("must be the path of a socket".into()) };
    let shown = format!("unix://{}{}", path.display(), db.map_or(String::new(), |db| format!("?db={db}")));
    Ok(Address { hosts: vec![host], primary: None, db, shown })
}

/// `user:password@host:port,host:port/NAME/DB`; the name is that of a sentinel's primary.
fn tcp(shown: &str, scheme: &str, rest: &str, is_sentinel: bool) -> Result<Address, String> {
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let (tail, fragment) = tail.split_once('#').unwrap_or((tail, ""));
    if !["", "insecure"].contains(&fragment) {
        return Err("must have nothing behind #, or insecure".into());
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let primary = if is_sentinel { Some(primary_name(segments.next())?) } else { None };
    let (dbs, query): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("db="));
    let db = segments.next().or_else(|| dbs.first().map(|pair| &pair["db=".len()..])).map(database).transpose()?;
    if segments.next().is_some() {
        return Err("must end with the number of a database, got more behind it".into());
    }
    let default_port = if is_sentinel { SENTINEL_PORT } else { 6_379 };
    let hosts: Vec<String> = hosts.split(',').map(|host| with_port(host.trim(), default_port)).collect();
    let info = |host: &String| {
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
        let url = format!("{scheme}://{user}{host}/?{}{fragment}", query.join("&"));
        url.into_connection_info().map_err(|error| format!("must be redis://host:port ({})", error.category()))
    };
    let infos = hosts.iter().map(info).collect::<Result<_, _>>()?;
    let part = |text: Option<String>| text.map_or(String::new(), |text| format!("/{text}"));
    let db_shown = part(db.filter(|db| *db != 0 || is_sentinel).map(|db| db.to_string()));
    let shown = format!("{shown}://{}{}{db_shown}", hosts.join(","), part(primary.clone()));
    Ok(Address { hosts: infos, primary, db, shown })
}

fn primary_name(segment: Option<&str>) -> Result<String, String> {
    let name = segment.ok_or("must name the primary: redis-sentinel://host:port,host:port/NAME")?;
    Ok(percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned())
}

fn database(text: &str) -> Result<i64, String> {
    text.parse().ok().filter(|db| *db >= 0).ok_or_else(|| format!("must name a database from 0 up, got '{text}'"))
}

fn with_port(host: &str, default: u16) -> String {
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    match host.rsplit_once(':') {
        Some(("", port)) => format!("127.0.0.1:{port}"),
        Some((_, port)) if !port.ends_with(']') => host.to_string(),
        _ => format!("{host}:{default}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text, false).map_or_else(|error| format!("error: {error}"), |address| address.shown)
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("shop:7000", "redis://shop:7000"),
            ("shop", "redis://shop:6379"),
            (":7000", "redis://127.0.0.1:7000"),
            ("[::1]:7000", "redis://[::1]:7000"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("redis://user:secret@shop:7000/2", "redis://shop:7000/2"),
            ("redis://shop?db=3", "redis://shop:6379/3"),
            ("rediss://:secret@a,b:7001", "rediss://a:6379,b:7001"),
            ("redis-sentinel://:secret@a,b:26380/mymaster", "redis-sentinel://a:26379,b:26380/mymaster"),
            ("rediss-sentinel://a/my%20master/4", "rediss-sentinel://a:26379/my master/4"),
            ("unix:///run/redis.sock?db=2&pass=secret", "unix:///run/redis.sock?db=2"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_database_is_known_only_if_it_is_named() {
        let db = |text: &str| Address::parse(text, false).expect("an address").db;
        assert_eq!([db("a"), db("redis://a/"), db("a/0"), db("a/2")], [None, None, Some(0), Some(2)]);
        assert_eq!([db("unix:///a"), db("redis-sentinel://a/m"), db("redis-sentinel://a/m/1")], [None, None, Some(1)]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for text in [
            "http://user:secret@shop",
            "redis://user:secret@shop:x",
            "redis://user:secret@shop/x",
            "redis://user:secret@shop/1/2",
            "redis-sentinel://user:secret@shop",
            "redis://user:secret@shop#loud",
        ] {
            let error = shown(text);
            assert!(error.starts_with("error: must") && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn the_password_is_for_every_host() {
        let address = Address::parse("redis://u:p%40@a,b", false).expect("an address");
        assert!(address.hosts.iter().all(|host| host.redis_settings().password() == Some("p@")));
        assert_eq!(address.hosts.len(), 2);
    }
}
