//! The routes, and what every answer has in common.

use std::net::SocketAddr;
use std::num::ParseIntError;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Extension, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::app::App;
use super::connections::Seat;
use super::guard::Guard;
use super::query::{self, parameter};
use super::{assets, prometheus, sse};
use crate::watch::known::action::{Action, Cancel, Pass, Pause};
use crate::watch::known::ask::AskError;
use crate::watch::known::browse;
use crate::watch::known::detail::Asker;
use crate::watch::known::id::bytes_of;
use crate::watch::known::model::Key;
use crate::watch::known::order::{self, Redrive};

/// Asked by those who keep the program running: they say up or away, nothing else, and ask for no password.
const HEALTH: &str = "/healthz";
const READY: &str = "/readyz";
/// Bytes of a request's body.
const BODY_MAX: usize = 16 * 1_024;
/// From a request's head until its body is there.
const BODY_TIME: Duration = Duration::from_secs(8);
/// Scripts and styles from this program alone, and nobody may put the page into a frame.
const CONTENT_SECURITY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// On every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// All routes, behind `guard`. Serve it with [`super::connections::Connections::serve`].
pub fn router(app: Arc<App>, guard: Guard) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route(HEALTH, get(health))
        .route(READY, get(ready))
        .route("/api/stores", get(stores))
        .route("/api/stores/{id}", get(store))
        .route("/api/stores/{id}/history", get(history))
        .route("/api/stores/{id}/orders/{order}", get(one_order))
        .route("/api/stores/{id}/orders", get(orders))
        .route("/api/stores/{id}/holds", get(holds))
        .route("/api/stores/{id}/holds/{hold}", get(one_hold))
        .route("/api/stores/{id}/skus", get(skus))
        .route("/api/stores/{id}/alerts", get(alerts))
        .route("/api/stores/{id}/skus/{sku}", get(one_sku))
        .route("/api/stores/{id}/find/{record}", get(find))
        .route("/api/stores/{id}/redrive", post(write::<Redrive>))
        .route("/api/stores/{id}/cancel", post(write::<Cancel>))
        .route("/api/stores/{id}/pass", post(write::<Pass>))
        .route("/api/stores/{id}/pause", post(write::<Pause>))
        .route("/api/events", get(events))
        .fallback(get(asset))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guarded))
        .with_state(app)
}

async fn guarded(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let is_open = [HEALTH, READY].contains(&request.uri().path());
    let checked = if is_open { Ok(()) } else { guard.check(peer, request.headers()) };
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err((status, text)) => Failure(status, text.to_string()).into_response(),
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        let ask = HeaderValue::from_static("Basic realm=\"holdfast\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// An error of the API: `{"error":"…"}`.
#[derive(Debug)]
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Failure {
        let status = match &error {
            AskError::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            AskError::Missing(_) => StatusCode::NOT_FOUND,
            AskError::Refused(_) => StatusCode::CONFLICT,
        };
        Failure(status, error.text().to_string())
    }
}

type Answer<T> = Result<T, Failure>;

fn json(body: &impl Serialize) -> Response {
    axum::Json(body).into_response()
}

/// The bytes of the path's parts: axum's own extractor takes UTF-8 alone.
struct Ids {
    store: Key,
    record: Vec<u8>,
}

impl<S: Sync> FromRequestParts<S> for Ids {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Ids, Self::Rejection> {
        // "/api/stores/{id}/orders/{order}"
        let mut ids = parts.uri.path().split('/').skip(3).step_by(2);
        let (store, record) = (ids.next().unwrap_or_default(), ids.next().unwrap_or_default());
        Ok(Ids { store: Key::of_id(store), record: bytes_of(record) })
    }
}

async fn asset(uri: Uri) -> Answer<impl IntoResponse> {
    let missing = || Failure(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()));
    let (kind, bytes) = assets::at(uri.path()).ok_or_else(missing)?;
    // Asked for again each time: another version of the program has another page.
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], bytes))
}

async fn metrics(State(app): State<Arc<App>>) -> Answer<impl IntoResponse> {
    let text = prometheus::exposition(&app.known)
        .await
        .map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text))
}

/// Whether the server answers.
async fn health(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match app.known.model.server().connected {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the server is away\n"),
    }
}

/// Whether all stores are found, so that `/metrics` and the page show them.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match app.known.model.is_complete() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the stores are not known yet\n"),
    }
}

async fn stores(State(app): State<Arc<App>>) -> Response {
    json(&app.known.model.overview(app.writes, None))
}

async fn store(State(app): State<Arc<App>>, ids: Ids) -> Answer<Response> {
    Ok(json(&*app.known.details.of(&ids.store).await?))
}

async fn history(State(app): State<Arc<App>>, ids: Ids, uri: Uri) -> Answer<Response> {
    let wrong = |_: ParseIntError| Failure(StatusCode::BAD_REQUEST, "points must be a whole number".into());
    let points = parameter(&uri, "points").map(str::parse).transpose().map_err(wrong)?;
    Ok(json(&app.known.histories.of(&ids.store, points).await?))
}

async fn one_order(State(app): State<Arc<App>>, ids: Ids) -> Answer<Response> {
    Ok(json(
        &order::get(&app.known.link, &ids.store, &ids.record)
            .await
            .map_err(|error| error.of_store(&ids.store.name()))?,
    ))
}

/// Carries out a question that looks at a store, over the connection that all share.
macro_rules! ask {
    ($app:ident, $store:expr, $question:path, $($argument:expr),*) => {{
        let mut connection = $app.known.link.ask(&$store)?;
        let mut asker = Asker { connection: &mut connection, key: &$store };
        $question(&mut asker, $($argument),*).await.map_err(|error| error.of_store(&$store.name()))?
    }};
}

fn wrong(text: String) -> Failure {
    Failure(StatusCode::BAD_REQUEST, text)
}

async fn orders(State(app): State<Arc<App>>, ids: Ids, uri: Uri) -> Answer<Response> {
    let (wanted, place) = (query::orders(&uri).map_err(wrong)?, query::place(&uri).map_err(wrong)?);
    Ok(json(&ask!(app, ids.store, browse::orders, &wanted, place)))
}

async fn holds(State(app): State<Arc<App>>, ids: Ids, uri: Uri) -> Answer<Response> {
    let (wanted, place) = (query::holds(&uri).map_err(wrong)?, query::place(&uri).map_err(wrong)?);
    Ok(json(&ask!(app, ids.store, browse::holds, &wanted, place)))
}

async fn skus(State(app): State<Arc<App>>, ids: Ids, uri: Uri) -> Answer<Response> {
    let (wanted, place) = (query::skus(&uri).map_err(wrong)?, query::place(&uri).map_err(wrong)?);
    Ok(json(&ask!(app, ids.store, browse::skus, &wanted, place)))
}

async fn alerts(State(app): State<Arc<App>>, ids: Ids, uri: Uri) -> Answer<Response> {
    let (before, count) = query::place_in_stream(&uri).map_err(wrong)?;
    Ok(json(&ask!(app, ids.store, browse::alerts, before, count)))
}

async fn one_hold(State(app): State<Arc<App>>, ids: Ids) -> Answer<Response> {
    query::check_id("hold", &ids.record).map_err(wrong)?;
    Ok(json(&ask!(app, ids.store, browse::hold, &ids.record)))
}

async fn one_sku(State(app): State<Arc<App>>, ids: Ids) -> Answer<Response> {
    query::check_id("sku", &ids.record).map_err(wrong)?;
    Ok(json(&ask!(app, ids.store, browse::sku, &ids.record)))
}

async fn find(State(app): State<Arc<App>>, ids: Ids) -> Answer<Response> {
    query::check_id("id", &ids.record).map_err(wrong)?;
    Ok(json(&ask!(app, ids.store, browse::kinds, &ids.record)))
}

async fn write<T: Action>(State(app): State<Arc<App>>, ids: Ids, request: Request) -> Answer<Response> {
    may_write(&app, request.headers())?;
    let body = match body_of(request).await? {
        Ok(body) => body,
        Err(refusal) => return Ok(refusal),
    };
    let action: T = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    let done = action.carry_out(&app.known.link, &ids.store).await;
    let done = done.map_err(|error| error.of_store(&ids.store.name()))?;
    app.known.details.forget(&ids.store).await;
    Ok(json(&done))
}

/// The body of a request that brings it in time; or the answer to one that is too large.
async fn body_of(request: Request) -> Answer<Result<Bytes, Response>> {
    let late = |_| Failure(StatusCode::REQUEST_TIMEOUT, format!("the body took longer than {BODY_TIME:?}"));
    let read = tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await.map_err(late)?;
    Ok(read.map_err(IntoResponse::into_response))
}

/// A write must be wanted by whoever started the program, and come from the page: no form and no script of another
/// site can send this header and this content type.
fn may_write(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let is = |name: HeaderName, wanted: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let refuse = |status, text: &str| Err(Failure(status, text.to_string()));
    match () {
        () if !app.writes => refuse(StatusCode::FORBIDDEN, "read-only: start with --allow-writes"),
        () if !is(HeaderName::from_static("x-holdfast"), "1") => {
            refuse(StatusCode::FORBIDDEN, "a write needs the header X-Holdfast: 1")
        }
        () if !is(header::CONTENT_TYPE, "application/json") => {
            let text = "a write needs the header Content-Type: application/json";
            refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
        }
        () => Ok(()),
    }
}

async fn events(State(app): State<Arc<App>>, Extension(seat): Extension<Arc<Seat>>, uri: Uri) -> Answer<Response> {
    let full = || {
        let text = format!("{} pages are open, and there can be no more", app.connections.pages_max());
        Failure(StatusCode::SERVICE_UNAVAILABLE, text)
    };
    let place = app.connections.page(&seat).ok_or_else(full)?;
    let store = parameter(&uri, "store").map(Key::of_id);
    Ok(Sse::new(ReceiverStream::new(sse::send(&app, store, place))).into_response())
}
