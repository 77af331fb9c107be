//! Opens connections: to a named server, to the primary that sentinels know, to a node of a cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode, cmd,
};
use tokio::sync::watch::Receiver;

use super::address::Address;
use super::primary::Primary;
use super::slots;

/// How long a connection may take until it stands.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the question for a store's node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Who asks, beyond what the address says.
#[derive(Default)]
pub struct Secrets {
    pub user: Option<String>,
    pub password: Option<String>,
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
    sentinel_password: Option<String>,
    certificates: Option<TlsCertificates>,
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
        let mut settings = address.hosts[0].redis_settings().clone();
        if let (None, Some(user)) = (settings.username(), &secrets.user) {
            settings = settings.set_username(user);
        }
        if let (None, Some(password)) = (settings.password(), &secrets.password) {
            settings = settings.set_password(password);
        }
        let host = |host: &ConnectionInfo| prepared(host.clone(), certificates.as_ref(), insecure);
        let hosts = address.hosts.iter().map(host).collect::<Result<_, _>>().context("reading the certificates")?;
        let Secrets { sentinel_password, .. } = secrets;
        let (primary, db, shown) = (address.primary, address.db, address.shown.into());
        Ok(Way { hosts, settings, primary, known: Primary::default(), sentinel_password, certificates, db, shown })
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

    /// Waits until the sentinels know another primary than this: for ever, where there are none.
    pub async fn until_left(&self, at: &ConnectionAddr) {
        if let Some(mut known) = self.known().cloned()
            && known.wait_for(|primary| is_other(at, primary)).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    fn known(&self) -> Option<&Receiver<Option<ConnectionAddr>>> {
        let find = || {
            let way = self.clone();
            async move || way.find().await
        };
        self.asks_sentinels().then(|| self.known.known(find))
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
        let info = at.clone().into_connection_info()?;
        Client::open(info.set_redis_settings(self.settings.clone().set_db(db)))
    }

    /// Where the server is now: the first of those named that answers, or the primary that the sentinels know. Fails
    /// when nobody answers.
    pub async fn find(&self) -> Result<ConnectionAddr, RedisError> {
        if let Some(primary) = &self.primary {
            return within(CONNECT_TIMEOUT, self.ask_sentinels(primary)).await;
        }
        for host in &self.hosts[..self.hosts.len() - 1] {
            if self.open(host, 0, ANSWER_TIMEOUT).await.is_ok() {
                return Ok(host.clone());
            }
        }
        Ok(self.hosts[self.hosts.len() - 1].clone())
    }

    async fn ask_sentinels(&self, primary: &str) -> Result<ConnectionAddr, RedisError> {
        let mut builder = SentinelClientBuilder::new(self.hosts.iter().cloned(), primary, SentinelServerType::Master)?;
        if let ConnectionAddr::TcpTls { insecure, .. } = &self.hosts[0] {
            let mode = if *insecure { TlsMode::Insecure } else { TlsMode::Secure };
            builder = builder.set_client_to_redis_tls_mode(mode);
            if let Some(certificates) = &self.certificates {
                builder = builder.set_client_to_redis_certificates(certificates.clone());
            }
        }
        if let Some(user) = self.settings.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = self.settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        Ok(builder.build()?.async_get_client().await?.get_connection_info().addr().clone())
    }

    /// A connection to a server, whose commands may take this long. Fails when it does not answer.
    pub async fn open(
        &self,
        at: &ConnectionAddr,
        db: i64,
        answer_timeout: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_timeout));
        self.client(at, db)?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Where the store is now: in a cluster the primary that has its slot. Fails when nobody answers, or knows.
    pub async fn find_store(&self, store: &str) -> Result<ConnectionAddr, RedisError> {
        let mut last = None;
        for host in self.candidates().await? {
            match self.ask_for(&host, store).await {
                Ok(found) => return Ok(found),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| lost("no server is named")))
    }

    /// Whom to ask for the store: each host may be a node that is away.
    async fn candidates(&self) -> Result<Vec<ConnectionAddr>, RedisError> {
        if self.asks_sentinels() { Ok(vec![self.find().await?]) } else { Ok(self.hosts.clone()) }
    }

    async fn ask_for(&self, host: &ConnectionAddr, store: &str) -> Result<ConnectionAddr, RedisError> {
        let mut connection = self.open(host, 0, ANSWER_TIMEOUT).await?;
        let nodes = slots::primaries(&mut connection, &host_of(host)).await?;
        if nodes.is_empty() {
            return Ok(host.clone());
        }
        let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(store).query_async(&mut connection).await?;
        let node = nodes.iter().find(|node| node.has(slot)).ok_or_else(|| lost("no node has the store's slot"))?;
        Ok(self.node(&node.host, node.port))
    }
}

fn is_other(at: &ConnectionAddr, primary: &Option<ConnectionAddr>) -> bool {
    primary.as_ref().is_some_and(|primary| primary != at)
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
