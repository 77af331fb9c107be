//! `holdfast watch`: every number of a server's stores, live, in a browser or in a terminal.
//!
//! Three folders: [`known`] holds what is known of the server and its stores, and who follows it; [`page`] serves that
//! over HTTP, and [`tui`] draws it on a terminal. The two import from `known`, and never from each other.

mod known;
mod page;
mod tui;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::oneshot;

use self::known::fleet;
use self::known::server::Known;
use self::page::guard::{Guard, is_loopback};
use crate::connect::{ConnectArgs, Way};
use holdfast_lab::cleanup;

/// The server that is watched if none is named.
const SERVER: &str = "redis://127.0.0.1:6379";
/// The port where nothing else is asked for.
const PORT: u16 = 7_070;
/// Ports tried after one that is taken, before any free one is taken.
const PORTS_TRIED: u16 = 10;

/// Options of `holdfast watch`.
#[derive(clap::Args, Debug)]
pub struct WatchArgs {
    /// Without an address: the server at 127.0.0.1:6379. All its databases that have stores, unless one is named
    #[command(flatten)]
    connect: ConnectArgs,
    /// Where the page is served; another address than a loopback one needs a password [default: 127.0.0.1:7070; with
    /// --tui: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Ask for this password (HTTP Basic auth, any user name)
    #[arg(long, env = "HOLDFAST_WATCH_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Let the page, or the terminal view, write: redrive, cancel and pass orders, pause stores
    #[arg(long)]
    allow_writes: bool,
    /// Show it in this terminal; the page is served as well if --listen says where
    #[arg(long)]
    tui: bool,
}

/// Serves the page, or draws on the terminal, until the program is ended. Fails when the address is not valid, is
/// taken, or is open to others and there is no password; when there is no terminal to draw on.
pub fn run(args: WatchArgs) -> Result<()> {
    if args.tui {
        tui::terminal::require()?;
    }
    let password = args.password.as_deref().filter(|password| !password.is_empty());
    let wanted = match (&args.listen, args.tui) {
        (Some(text), _) => Some((address(text)?, text.as_str())),
        (None, true) => None,
        (None, false) => Some((SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT), "")),
    };
    if let Some((address, text)) = wanted {
        ensure!(
            password.is_some() || is_loopback(address.ip()),
            "--listen {text} is open to others: set a password (--password or HOLDFAST_WATCH_PASSWORD), or listen on \
             127.0.0.1",
        );
    }
    let way = args.connect.way(Some(SERVER))?.context("no server is named")?;
    let listen = |(address, _)| TcpListener::bind(address).with_context(|| format!("listening on {address}"));
    let listener = wanted.map(listen).transpose()?;
    cleanup::interrupt_means(0);
    let guard = Guard::of(password);
    if let (Some(listener), false) = (&listener, args.tui) {
        println!("holdfast watch: {} at {}", way.shown(), url_of(listener)?);
    }
    runtime()?.block_on(serve(listener, Arc::new(way), guard, args.allow_writes, args.tui))
}

/// Where the page of a sale is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nowhere.
    Off,
    /// At this loopback address; at another port if it is taken.
    At(SocketAddr),
}

impl Default for Beside {
    fn default() -> Beside {
        Beside::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT))
    }
}

impl std::fmt::Display for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Beside::Off => f.write_str("off"),
            Beside::At(address) => address.fmt(f),
        }
    }
}

impl std::str::FromStr for Beside {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Beside> {
        if text == "off" {
            return Ok(Beside::Off);
        }
        let address = address(text)?;
        ensure!(is_loopback(address.ip()), "must be a loopback address, or off, got {text}, which is open to others");
        Ok(Beside::At(address))
    }
}

/// The page next to other work, on a thread of its own. It ends with the value.
#[derive(Debug)]
pub struct Watch {
    url: String,
    _stop: oneshot::Sender<()>,
}

impl Watch {
    /// Watches the server from now on, whether it is up yet or not. `None` where that is not wanted, or where
    /// it cannot be: the other work goes on without it.
    pub fn beside(place: Beside, way: &Arc<Way>, writes: bool) -> Option<Watch> {
        let Beside::At(address) = place else { return None };
        Watch::start(address, way.clone(), writes)
            .inspect_err(|error| eprintln!("holdfast: no page to watch it: {error:#}"))
            .ok()
    }

    fn start(address: SocketAddr, way: Arc<Way>, writes: bool) -> Result<Watch> {
        let listener = bind_near(address)?;
        let url = url_of(&listener)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime()?;
        let serve = async move {
            tokio::select! {
                served = serve(Some(listener), way, Guard::Loopback, writes, false) => served,
                // The sender sends nothing: it is dropped.
                _ = stopped => Ok(()),
            }
        };
        let work = move || {
            if let Err(error) = runtime.block_on(serve) {
                eprintln!("holdfast: the page ended: {error:#}");
            }
        };
        std::thread::Builder::new().name("watch".into()).spawn(work).context("starting a thread")?;
        Ok(Watch { url, _stop: stop })
    }

    /// Where the page is: `http://127.0.0.1:7070/`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// One thread: it waits most of the time.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// Serves the page, if there is a listener, and draws on the terminal if `draws`, until the reader leaves.
async fn serve(listener: Option<TcpListener>, way: Arc<Way>, guard: Guard, writes: bool, draws: bool) -> Result<()> {
    let known = Known::new(way);
    let url = listener.as_ref().map(url_of).transpose()?;
    // Both end with the runtime.
    tokio::spawn(fleet::run(known.clone()));
    let page = listener.map(|listener| tokio::spawn(page::serve(listener, known.clone(), guard, writes)));
    match page {
        Some(page) if !draws => page.await.context("serving the page")?,
        _ => tui::show(known, writes, url).await,
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    let wanted = || format!("--listen must be an address and a port, such as 127.0.0.1:{PORT}, got '{text}'");
    match text.to_socket_addrs().with_context(wanted)?.next() {
        Some(address) => Ok(address),
        None => bail!(wanted()),
    }
}

/// Listens at the address, or at one of the next ports, or at any.
fn bind_near(address: SocketAddr) -> Result<TcpListener> {
    let next = (0..=PORTS_TRIED).filter_map(|step| address.port().checked_add(step));
    let ports = next.chain([0]);
    let mut bound = ports.map(|port| TcpListener::bind((address.ip(), port)));
    bound.find_map(Result::ok).with_context(|| format!("no port is free at {}", address.ip()))
}

fn url_of(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}/", listener.local_addr().context("asking for the own address")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_is_shown_to_this_machine_alone() {
        assert_eq!("off".parse::<Beside>().expect("a place"), Beside::Off);
        assert_eq!("127.0.0.1:7070".parse::<Beside>().expect("a place"), Beside::default());
        assert!("[::1]:80".parse::<Beside>().is_ok());
        for text in ["0.0.0.0:7070", "10.0.0.1:7070", "7070", "on"] {
            assert!(text.parse::<Beside>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let first = bind_near("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let taken = first.local_addr().expect("its address");
        let second = bind_near(taken).expect("another port").local_addr().expect("its address");
        assert_ne!(second.port(), taken.port());
    }
}
