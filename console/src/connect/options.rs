//! The options that say where a server is, and who asks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use redis::{ClientTlsConfig, TlsCertificates};

use super::address::Address;
use super::way::{Secrets, Way};

/// The password, as redis-cli takes it from the environment.
const PASSWORD: &str = "REDISCLI_AUTH";
/// The user and the password of the sentinels themselves.
const SENTINEL_USER: &str = "HOLDFAST_SENTINEL_USER";
const SENTINEL_PASSWORD: &str = "HOLDFAST_SENTINEL_PASSWORD";

/// Where the server is, and who asks. Passwords belong into files or the environment.
#[derive(clap::Args, Clone, Default)]
pub struct ConnectArgs {
    /// The server: host:port, redis://[user:password@]host:port[/db], rediss:// for TLS, unix://,
    /// redis-sentinel://host:port,host:port/NAME; of a cluster any node
    #[arg(long, env = "HOLDFAST_URL", hide_env_values = true)]
    url: Option<String>,
    /// Read the URL from a file
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// The user, if the URL names none
    #[arg(long)]
    user: Option<String>,
    /// Read the password from a file [default: what REDISCLI_AUTH says; for sentinels HOLDFAST_SENTINEL_PASSWORD, and
    /// HOLDFAST_SENTINEL_USER if they have users]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// TLS: trust the authorities in this file, and no other [default: those of the system]
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// TLS: our certificate
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// TLS: the key of our certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// TLS: trust any certificate
    #[arg(long)]
    insecure: bool,
}

impl std::fmt::Debug for ConnectArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectArgs").finish_non_exhaustive()
    }
}

impl ConnectArgs {
    /// The way to the server that is named, or to the one at `default`; `None` if there is neither. Fails when the
    /// address is none, or a file cannot be read.
    pub fn way(&self, default: Option<&str>) -> Result<Option<Way>> {
        let url = match &self.url_file {
            Some(path) => Some(secret_of(path)?),
            None => self.url.clone().filter(|url| !url.is_empty()).or_else(|| default.map(str::to_string)),
        };
        let Some(url) = url else { return Ok(None) };
        let wants_tls = self.insecure || self.cacert.is_some() || self.cert.is_some();
        let wrong = |what| anyhow::anyhow!("the address of a server {what}");
        let address = Address::parse(&url, wants_tls).map_err(wrong)?;
        ensure!(
            address.is_tls() || !wants_tls,
            "--cacert, --cert and --insecure are for TLS: the address must be rediss://, got {}",
            address.shown
        );
        let secrets = Secrets {
            user: self.user.clone(),
            password: self.password()?,
            sentinel_user: variable(SENTINEL_USER),
            sentinel_password: variable(SENTINEL_PASSWORD),
        };
        Way::new(address, secrets, self.certificates()?, self.insecure).map(Some)
    }

    fn password(&self) -> Result<Option<String>> {
        match &self.password_file {
            Some(path) => secret_of(path).map(Some),
            None => Ok(variable(PASSWORD)),
        }
    }

    fn certificates(&self) -> Result<Option<TlsCertificates>> {
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("reading {}", path.display()));
        let root_cert = self.cacert.as_ref().map(read).transpose()?;
        let client_tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
            _ => None,
        };
        let has_any = root_cert.is_some() || client_tls.is_some();
        Ok(has_any.then_some(TlsCertificates { client_tls, root_cert }))
    }
}

/// What the environment says, if it says anything.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The text of a file without the end of its line.
fn secret_of(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}
