//! Opens connections: to a named server, to the primary that sentinels know, to a node of a cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream::{FuturesOrdered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, Value, cmd,
};
use tokio::sync::watch::Receiver;

use super::address::Address;
use super::primary::{Primary, is_other};
use crate::store;

/// How long a connection may take until it stands.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a server may take to say where something is.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a sentinel may take to say where the primary is, and the primary to say that it is one.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Who asks, beyond what the address says.
#[derive(Default)]
pub struct Secrets {
    pub user: Option<String>,
    pub password: Option<String>,
    pub sentinel_user: Option<String>,
    pub sentinel_password: Option<String>,
}

/// The way to a server. Connects to nobody by itself; shows no password.
#[derive(Clone)]
pub struct Way {
    /// Servers, or sentinels.
    hosts: Vec<ConnectionAddr>,
    /// The user and the password.
    settings: RedisConnectionInfo,
    /// The name of the primary that the sentinels know.
    primary: Option<String>,
    /// Where they say it is, for those who stay connected.
    known: Primary,
    /// The user and the password for the sentinels themselves.
    sentinel_settings: RedisConnectionInfo,
    db: Option<i64>,
    shown: Arc<str>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Way").field(&self.shown).finish()
    }
}

impl Way {
    /// The way that an address says. Fails when a certificate or a key cannot be used.
    pub fn new(
        address: Address,
        secrets: Secrets,
        certificates: Option<TlsCertificates>,
        insecure: bool,
    ) -> Result<Way> {
        let settings = address.hosts[0].redis_settings().clone();
        let settings = with_secrets(settings, secrets.user, secrets.password);
        let nobody = RedisConnectionInfo::default();
        let sentinel_settings = with_secrets(nobody, secrets.sentinel_user, secrets.sentinel_password);
        let host = |host: &ConnectionInfo| prepared(host.clone(), certificates.as_ref(), insecure);
        let hosts = address.hosts.iter().map(host).collect::<Result<_, _>>().context("reading the certificates")?;
        let (primary, db, shown) = (address.primary, address.db, address.shown.into());
        Ok(Way { hosts, settings, primary, known: Primary::default(), sentinel_settings, db, shown })
    }

    /// The way to a server of our own.
    pub fn to(url: &str) -> Result<Way> {
        let wrong = |what| anyhow::anyhow!("the address of a server {what}");
        Way::new(Address::parse(url, false).map_err(wrong)?, Secrets::default(), None, false)
    }

    /// Where it leads, without a password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The database, if one is named.
    pub fn db(&self) -> Option<i64> {
        self.db
    }

    /// Whether sentinels know the server: it may be another one at any time.
    pub fn asks_sentinels(&self) -> bool {
        self.primary.is_some()
    }

    /// Whether the sentinels know another primary than this by now.
    pub fn has_left(&self, at: &ConnectionAddr) -> bool {
        self.known().is_some_and(|known| is_other(at, &known.borrow()))
    }

    /// The primary that the sentinels know, looked for from now on; `None` where there are none.
    pub fn known(&self) -> Option<Receiver<Option<ConnectionAddr>>> {
        let name = self.primary.as_ref()?;
        let find = || {
            let (way, name) = (Way { known: Primary::default(), ..self.clone() }, name.clone());
            async move || way.ask_sentinels(&name).await
        };
        Some(self.known.known(find))
    }

    /// The servers that are named, or the sentinels.
    pub fn hosts(&self) -> &[ConnectionAddr] {
        &self.hosts
    }

    /// The node that an answer of another node says to ask, as the key is there already and the slot is not.
    pub fn asked(&self, error: &RedisError, from: &ConnectionAddr) -> Option<ConnectionAddr> {
        let (node, _) = error.redirect_node().filter(|_| store::code(error) == "ASK")?;
        let (host, port) = node.rsplit_once(':')?;
        // A node that does not know the other's name means a port of its own host.
        let host = if ["", "?"].contains(&host) { host_of(from) } else { host.to_string() };
        Some(self.node(&host, port.parse().ok()?))
    }

    /// Where a node of the same cluster is.
    pub fn node(&self, host: &str, port: u16) -> ConnectionAddr {
        match &self.hosts[0] {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: host.to_string(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.to_string(), port),
        }
    }

    /// The client of a server at this address.
    pub fn client(&self, at: &ConnectionAddr, db: i64) -> Result<Client, RedisError> {
        client(at, self.settings.clone().set_db(db))
    }

    /// Where the server is now: the first of those named that answers, or the primary that the sentinels know. Fails
    /// when nobody answers.
    pub async fn find(&self) -> Result<ConnectionAddr, RedisError> {
        if let Some(name) = &self.primary {
            return self.find_primary(name).await;
        }
        for host in &self.hosts[..self.hosts.len() - 1] {
            if self.open(host, 0, ANSWER_TIMEOUT).await.is_ok() {
                return Ok(host.clone());
            }
        }
        Ok(self.hosts[self.hosts.len() - 1].clone())
    }

    /// The primary that the sentinels know; while none of them answers, the one they knew last, if it still is one.
    async fn find_primary(&self, name: &str) -> Result<ConnectionAddr, RedisError> {
        let found = self.ask_sentinels(name).await;
        match (found, self.known.last()) {
            (Ok(primary), _) => {
                self.known.set(&primary);
                Ok(primary)
            }
            (Err(error), Some(last)) => self.must_be_primary(&last).await.map(|()| last).map_err(|_| error),
            (Err(error), None) => Err(error),
        }
    }

    /// Asks all sentinels at once. The first that is named and knows the primary is believed: they may disagree for a
    /// while, and whoever believed now the one and now the other would go to and fro.
    async fn ask_sentinels(&self, name: &str) -> Result<ConnectionAddr, RedisError> {
        first_of(self.hosts.iter().map(|sentinel| within(SENTINEL_TIMEOUT, self.ask_sentinel(sentinel, name)))).await
    }

    async fn ask_sentinel(&self, sentinel: &ConnectionAddr, name: &str) -> Result<ConnectionAddr, RedisError> {
        let client = client(sentinel, self.sentinel_settings.clone())?;
        let mut connection = connected(&client, ANSWER_TIMEOUT).await?;
        // SENTINEL MASTERS names the old one until the last replica follows the new one, which may take minutes.
        let ask = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).take();
        let address: Option<(String, u16)> = ask.query_async(&mut connection).await?;
        let (host, port) = address.ok_or_else(|| lost(&format!("the sentinels know no primary {name}")))?;
        let primary = self.node(&host, port);
        self.must_be_primary(&primary).await?;
        Ok(primary)
    }

    /// Fails for a server that is no primary, whatever others say, and for one that does not answer.
    async fn must_be_primary(&self, at: &ConnectionAddr) -> Result<(), RedisError> {
        let mut connection = self.open(at, 0, ANSWER_TIMEOUT).await?;
        let role: Vec<Value> = cmd("ROLE").query_async(&mut connection).await?;
        let is_primary = role.first().is_some_and(|role| store::plain(role) == "master");
        if is_primary { Ok(()) } else { Err(lost("the sentinels name a server that is no primary")) }
    }

    /// A connection to a server, whose commands may take this long. Fails when it does not answer.
    pub async fn open(
        &self,
        at: &ConnectionAddr,
        db: i64,
        answer_timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        connected(&self.client(at, db)?, answer_timeout).await
    }
}

/// These, with the user and the password where they name none.
fn with_secrets(
    mut settings: RedisConnectionInfo,
    user: Option<String>,
    password: Option<String>,
) -> RedisConnectionInfo {
    if let (None, Some(user)) = (settings.username(), user) {
        settings = settings.set_username(user);
    }
    if let (None, Some(password)) = (settings.password(), password) {
        settings = settings.set_password(password);
    }
    settings
}

fn client(at: &ConnectionAddr, settings: RedisConnectionInfo) -> Result<Client, RedisError> {
    Client::open(at.clone().into_connection_info()?.set_redis_settings(settings))
}

async fn connected(client: &Client, answer_timeout: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(answer_timeout));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The host of an address; of a socket this machine.
pub fn host_of(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => "127.0.0.1".to_string(),
    }
}

/// An address with what TLS needs.
fn prepared(
    host: ConnectionInfo,
    certificates: Option<&TlsCertificates>,
    is_insecure: bool,
) -> Result<ConnectionAddr, RedisError> {
    let ConnectionAddr::TcpTls { host: name, port, insecure, tls_params } = host.addr().clone() else {
        return Ok(host.addr().clone());
    };
    let addr = ConnectionAddr::TcpTls { host: name, port, insecure: insecure || is_insecure, tls_params };
    match certificates {
        None => Ok(addr),
        Some(certificates) => {
            let client = Client::build_with_tls(host.set_addr(addr), certificates.clone())?;
            Ok(client.get_connection_info().addr().clone())
        }
    }
}

/// An error of a server that cannot be reached.
pub fn lost(text: &str) -> RedisError {
    std::io::Error::new(std::io::ErrorKind::NotConnected, text.to_string()).into()
}

/// An outcome within a time, or that of a server that cannot be reached.
pub async fn within<T>(time: Duration, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(lost("no answer in time")))
}

/// Does all at once; the first success in their order is the outcome. Fails when there is none.
pub async fn first_of<T, F>(all: impl IntoIterator<Item = F>) -> Result<T, RedisError>
where
    F: Future<Output = Result<T, RedisError>>,
{
    let mut outcomes = all.into_iter().collect::<FuturesOrdered<F>>();
    let mut last = lost("no server is named");
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}
