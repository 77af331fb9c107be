//! The connections that the page is served over: how many there may be, how long each may take, and which one is closed
//! when there are too many.
//!
//! Nobody who opens connections and leaves them (half a request, an idle one, an answer that is not read) can keep
//! others out: a newcomer is always let in, and the connection closed for it is the one over which nothing came or went
//! for the longest time. Pages that look on have nothing to say for a long time and are not among these; they have a
//! bound of their own, half of all places.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

/// Connections at a time, where the process may open twice as many files.
const CONNECTIONS_MAX: usize = 512;
/// Connections at a time, however few files the process may open.
const CONNECTIONS_MIN: usize = 16;
/// From the first moment of a connection, or from the end of an answer, until the head of a request is there.
const HEAD_TIME: Duration = Duration::from_secs(8);
/// Bytes of a request's first line and headers, and of what is kept unread or unsent of a connection.
const HEAD_MAX: usize = 32 * 1_024;
const BUFFER_MAX: usize = 64 * 1_024;
/// A reader who takes no byte for this long is given up.
const STALL_TIME: Duration = Duration::from_secs(15);
/// From an accept that failed (no file is left, for example) to the next one.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Connections {
    most: usize,
    /// Places for pages that look on.
    pages: Arc<Semaphore>,
    began: Instant,
    open: Mutex<Vec<Arc<Seat>>>,
}

#[derive(Debug, Default)]
pub struct Seat {
    /// When a byte came or went last: microseconds since the first connection could be made.
    active_us: AtomicU64,
    is_page: AtomicBool,
    close: Notify,
}

/// A page's place. The connection counts as a page's as long as it lives.
#[derive(Debug)]
pub struct PagePlace {
    seat: Arc<Seat>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for PagePlace {
    fn drop(&mut self) {
        self.seat.is_page.store(false, Ordering::Relaxed);
    }
}

impl Connections {
    /// As many as this process can have.
    pub fn new() -> Arc<Connections> {
        let most = (open_files_max() / 2).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Arc::new(Connections::with(most))
    }

    fn with(most: usize) -> Connections {
        let pages = Arc::new(Semaphore::new(most / 2));
        Connections { most, pages, began: Instant::now(), open: Mutex::default() }
    }

    /// How many pages can look on at a time.
    pub fn pages_max(&self) -> usize {
        self.most / 2
    }

    /// A place for a page on this connection; none when all are taken.
    pub fn page(&self, seat: &Arc<Seat>) -> Option<PagePlace> {
        let permit = self.pages.clone().try_acquire_owned().ok()?;
        seat.is_page.store(true, Ordering::Relaxed);
        Some(PagePlace { seat: seat.clone(), _permit: permit })
    }

    /// Accepts connections and answers their requests, for ever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, router: Router) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => drop(tokio::spawn(self.clone().answer(stream, peer, router.clone()))),
                // A connection that broke before it was accepted is nobody's.
                Err(error) if is_of_one_connection(&error) => {}
                // Where no file is left, one connection has to be closed.
                Err(_) => {
                    self.close_one();
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    async fn answer(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, router: Router) {
        let seat = self.take_seat();
        let io = Active { stream, stall: None, seat: seat.clone(), connections: self.clone() };
        let service = {
            let seat = seat.clone();
            service_fn(move |request: Request<Incoming>| {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                request.extensions_mut().insert(seat.clone());
                router.clone().call(request)
            })
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_header_size(HEAD_MAX)
            .max_buf_size(BUFFER_MAX)
            .serve_connection(TokioIo::new(io), service);
        tokio::select! {
            // How it ended is the reader's business: it left, was too slow, or did not speak HTTP.
            _ = connection => {}
            () = seat.close.notified() => {}
        }
        self.with_open(|open| open.retain(|other| !Arc::ptr_eq(other, &seat)));
    }

    fn take_seat(&self) -> Arc<Seat> {
        if self.with_open(|open| open.len()) >= self.most {
            self.close_one();
        }
        let seat = Arc::new(Seat { active_us: self.now_us().into(), ..Seat::default() });
        self.with_open(|open| open.push(seat.clone()));
        seat
    }

    /// Closes the connection over which nothing came or went for the longest time; no page's.
    fn close_one(&self) {
        let closed = self.with_open(|open| {
            let others = open.iter().enumerate().filter(|(_, seat)| !seat.is_page.load(Ordering::Relaxed));
            let (place, _) = others.min_by_key(|(_, seat)| seat.active_us.load(Ordering::Relaxed))?;
            Some(open.swap_remove(place))
        });
        closed.into_iter().for_each(|seat| seat.close.notify_one());
    }

    fn with_open<T>(&self, work: impl FnOnce(&mut Vec<Arc<Seat>>) -> T) -> T {
        work(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

fn open_files_max() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes the structure that it is given, and nothing else.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if status == 0 { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { 0 }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection's stream, which notes when a byte came or went, and fails when none goes for too long.
struct Active {
    stream: TcpStream,
    /// Ends when what is to be sent has waited for too long.
    stall: Option<Pin<Box<Sleep>>>,
    seat: Arc<Seat>,
    connections: Arc<Connections>,
}

impl Active {
    fn note(&self) {
        self.seat.active_us.store(self.connections.now_us(), Ordering::Relaxed);
    }
}

impl AsyncRead for Active {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.note();
        }
        read
    }
}

impl AsyncWrite for Active {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.stall = None;
            self.note();
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_TIME)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader takes nothing")))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_silent_for_longest_makes_room() {
        let connections = Connections::with(3);
        let seats: Vec<_> = (0..3).map(|_| connections.take_seat()).collect();
        for (seat, us) in seats.iter().zip([30, 10, 20]) {
            seat.active_us.store(us, Ordering::Relaxed);
        }
        let page = connections.page(&seats[1]).expect("a place");
        assert!(connections.page(&seats[0]).is_none(), "half of the places are for pages");
        let newcomer = connections.take_seat();
        let is_open = |seat| connections.with_open(|open| open.iter().any(|other| Arc::ptr_eq(other, seat)));
        assert_eq!([&seats[0], &seats[1], &seats[2], &newcomer].map(is_open), [true, true, false, true]);
        drop(page);
        connections.take_seat();
        assert!(!is_open(&seats[1]), "a page that has left is no page");
    }
}
