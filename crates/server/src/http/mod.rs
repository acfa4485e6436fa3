//! HTTP on the ports of RESP: what Prometheus and people with a browser read.
//!
//! A connection whose first line is a request of HTTP/1 ([`mod@sniff`]) is served by hyper from there on; all others never come here.
//! A request is answered to whoever may run INFO ([`access`]). One table, [`ROUTES`], names what can be asked for. Bounds: the size
//! of a head and the time for it, the time in which a peer takes bytes ([`stream`]), and `maxclients`; requests have no bodies.

mod access;
mod answer;
mod metrics;
mod sniff;
mod status;
mod stream;
mod timer;

pub(crate) use sniff::{FIRST_BYTES, Sniffed, begins_as_http, sniff};

use crate::builder::Shared;
use crate::clients::Buffers;
use crate::net::Stream;
use crate::service::SessionHost;
use damselfly_engine::Session;
use damselfly_engine::thread::Thread;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Time for the head of a request, and between two requests.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// Bytes that a head may have.
const MAX_HEAD: usize = 16 * 1024;
/// Lines that a head may have.
const MAX_HEADERS: usize = 64;

/// An answer on its way. It has its type; what all answers have is added to it.
type Answering = Pin<Box<dyn Future<Output = Response<String>>>>;

/// An answer that is no success.
type Refusal = Box<Response<String>>;

/// What can be asked for.
struct Route {
    path: &'static str,
    answer: fn(Visit) -> Answering,
}

/// All of it.
static ROUTES: &[Route] = &[
    Route {
        path: "/",
        answer: |visit| Box::pin(status::page(visit)),
    },
    Route {
        path: "/metrics",
        answer: |visit| Box::pin(metrics::answer(visit)),
    },
    Route {
        path: "/status.json",
        answer: |visit| Box::pin(status::json(visit)),
    },
];

/// What a route knows of a request.
pub(crate) struct Visit {
    /// The thread that it is answered on.
    pub(crate) thread: Rc<Thread>,
    /// The server.
    pub(crate) shared: Shared,
}

/// Serves a connection of which `input` has been read already, to its end.
pub(crate) async fn serve(stream: Stream, session: Session, host: Rc<SessionHost>, input: Vec<u8>) {
    let (id, kill) = (session.id, host.entry.kill_token());
    let line = stream::Line::new(stream, input);
    let stream = stream::HttpStream::new(line.clone(), host.clone());
    let session = Rc::new(RefCell::new(session));
    let service = service_fn(|request| {
        let (session, host) = (session.clone(), host.clone());
        async move { Ok::<_, Infallible>(respond(&session, &host, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(timer::TokioTimer)
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let served = tokio::select! {
        served = http.serve_connection(stream, service) => served,
        () = kill.cancelled() => Ok(()),
    };
    if let Err(error) = served {
        tracing::debug!(id, %error, "HTTP connection failed");
        if error.is_timeout() {
            line.say_that_it_took_too_long().await;
        }
    }
    if let Ok(session) = Rc::try_unwrap(session) {
        session.into_inner().end().await;
    }
}

async fn respond(
    session: &RefCell<Session>,
    host: &SessionHost,
    request: Request<Incoming>,
) -> Response<String> {
    let shared = host.server.shared.clone();
    let mut response = match admit(session, &request) {
        Ok(answer) => {
            let thread = session.borrow().thread.clone();
            answer(Visit { thread, shared }).await
        }
        Err(refusal) => *refusal,
    };
    // Not idle; and CLIENT LIST shows whose request it was.
    host.entry.update(&session.borrow(), Buffers::default());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Who answers a request; else why nobody does.
fn admit(
    session: &RefCell<Session>,
    request: &Request<Incoming>,
) -> Result<fn(Visit) -> Answering, Refusal> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(answer::method_not_allowed());
    }
    if !request.body().is_end_stream() {
        return Err(answer::no_bodies());
    }
    access::check(&mut session.borrow_mut(), request.headers())?;
    let path = request.uri().path();
    let route = ROUTES.iter().find(|route| route.path == path);
    let route = route.ok_or_else(|| answer::not_found(ROUTES.iter().map(|route| route.path)))?;
    Ok(route.answer)
}
