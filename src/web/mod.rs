//! A small server for one page and its questions: few connections, all bounded, one thread.

mod guard;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

pub(crate) use guard::{Guard, new_token};

/// Connections at a time; more wait until the system refuses them.
const MOST_CONNECTIONS: usize = 32;
/// The largest question: a correction and a comment of a MiB each, every character escaped.
const MOST_BODY_BYTES: usize = 16 << 20;
/// A question that takes longer to arrive is dropped.
const LONGEST_QUESTION: Duration = Duration::from_secs(20);
/// A connection that takes longer, with its answer, is dropped.
const LONGEST_CONNECTION: Duration = Duration::from_secs(120);
/// How often a wish to end is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes of all headers of a question.
const MOST_HEADER_BYTES: usize = 16 << 10;

/// What a page is served by.
pub(crate) trait Site {
    /// The page.
    fn page(&self) -> &'static str;
    /// `Content-Security-Policy` of everything that is served.
    fn policy(&self) -> &str;
    /// The answer to a question, as JSON, or what is wrong with it.
    fn answer(&mut self, path: &str, question: &[u8]) -> Result<String, Refused>;
}

/// A question that is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) problem: String,
}

impl Refused {
    pub(crate) fn new(status: u16, problem: impl Into<String>) -> Self {
        Self { status, problem: problem.into() }
    }
}

/// Binds `address`.
pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    use anyhow::Context as _;
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves `site` until `stop` is no longer zero.
pub(crate) fn serve(
    listener: TcpListener,
    guard: Guard,
    site: Rc<RefCell<dyn Site>>,
    stop: &Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let served = Rc::new(Served { guard, site });
    LocalSet::new().block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        while stop.load(Ordering::SeqCst) == 0 {
            let Ok(place) = tokio::time::timeout(LOOK, Arc::clone(&places).acquire_owned()).await else {
                continue;
            };
            let Ok(accepted) = tokio::time::timeout(LOOK, listener.accept()).await else { continue };
            // A connection that broke before it was taken is no affair of the others.
            let Ok((stream, _)) = accepted else {
                // Where the system has no more of something, asking at once again gives none.
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let served = Rc::clone(&served);
            tokio::task::spawn_local(async move {
                let answer = service_fn(move |request| {
                    let served = Rc::clone(&served);
                    async move { Ok::<_, Infallible>(served.response(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(LONGEST_QUESTION)
                    .max_buf_size(MOST_HEADER_BYTES)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), answer);
                // Whoever went away has not asked.
                let _ = tokio::time::timeout(LONGEST_CONNECTION, connection).await;
                drop(place);
            });
        }
        Ok(())
    })
}

struct Served {
    guard: Guard,
    site: Rc<RefCell<dyn Site>>,
}

impl Served {
    async fn response(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, kind, body) = match self.answered(request).await {
            Ok((kind, body)) => (StatusCode::OK, kind, body),
            Err(refused) => {
                let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
                let body = serde_json::json!({"error": refused.problem}).to_string();
                (status, "application/json; charset=utf-8", body.into_bytes())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let policy = self.site.borrow().policy().to_owned();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, policy.as_str()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
            (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        response
    }

    async fn answered(&self, request: Request<Incoming>) -> Result<(&'static str, Vec<u8>), Refused> {
        self.guard.check(&request)?;
        if request.method() == Method::GET {
            return match request.uri().path() {
                "/" => Ok(("text/html; charset=utf-8", self.site.borrow().page().into())),
                _ => Err(Refused::new(404, "there is nothing here")),
            };
        }
        let path = request.uri().path().to_owned();
        let body = Limited::new(request.into_body(), MOST_BODY_BYTES).collect();
        let question = match tokio::time::timeout(LONGEST_QUESTION, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(Refused::new(413, "the question is too long, or broke off")),
            Err(_) => return Err(Refused::new(408, "the question took too long")),
        };
        let answer = self.site.borrow_mut().answer(&path, &question)?;
        Ok(("application/json; charset=utf-8", answer.into_bytes()))
    }
}
