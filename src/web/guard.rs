//! Who may ask: a page of this machine, from the address that was printed, by whoever knows the token.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request};

use super::Refused;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 24;
/// The header of a question with the token; no page of another origin can send it unasked.
const TOKEN: HeaderName = HeaderName::from_static("x-token");

/// A new token: letters and digits only, so that it stands in an address as it is.
pub(crate) fn new_token() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("cannot draw a token: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What every request is held against.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    address: SocketAddr,
    token: String,
}

impl Guard {
    /// `address` is the one that is listened on.
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token }
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.token)
    }

    /// Whether the request may be answered.
    pub(crate) fn check<T>(&self, request: &Request<T>) -> Result<(), Refused> {
        let headers = request.headers();
        let host = only(headers, &header::HOST).ok_or_else(|| Refused::new(400, "expected one `Host`"))?;
        if !self.is_ours(host) {
            // A name that leads here was given by somebody else: DNS rebinding.
            return Err(Refused::new(421, "expected the address that rtune printed in `Host`"));
        }
        match *request.method() {
            Method::GET => {
                let query = request.uri().query().unwrap_or_default();
                let token = query.split('&').find_map(|part| part.strip_prefix("token="));
                self.knows(token)
            }
            Method::POST => {
                let origin = only(headers, &header::ORIGIN);
                if origin != Some(format!("http://{host}").as_str()) {
                    return Err(Refused::new(
                        403,
                        "expected a question from the page itself, by its `Origin`",
                    ));
                }
                let kind = only(headers, &header::CONTENT_TYPE).unwrap_or_default();
                if kind.split(';').next().map(str::trim) != Some("application/json") {
                    return Err(Refused::new(415, "expected `Content-Type: application/json`"));
                }
                self.knows(only(headers, &TOKEN))
            }
            _ => Err(Refused::new(405, "expected GET or POST")),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let port = self.address.port();
        let Some(name) = host.strip_suffix(&format!(":{port}")) else {
            return port == 80 && self.is_our_name(host);
        };
        self.is_our_name(name)
    }

    /// Who listens on every address may be reached by any of them, but by no name that could be another's.
    fn is_our_name(&self, name: &str) -> bool {
        let own = self.address.ip();
        if name.eq_ignore_ascii_case("localhost") {
            return own.is_loopback() || own.is_unspecified();
        }
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_ok_and(|ip| ip == own || own.is_unspecified())
    }

    fn knows(&self, token: Option<&str>) -> Result<(), Refused> {
        let token = token.unwrap_or_default();
        // Every byte is looked at, so that the time says nothing of where the first wrong one stands.
        let differing =
            token.bytes().zip(self.token.bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
        if token.len() == self.token.len() && differing == 0 {
            return Ok(());
        }
        Err(Refused::new(403, "expected the token: open the address that rtune printed"))
    }
}

/// The value of a header that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str) -> Guard {
        Guard::new(address.parse().expect("an address"), "0123456789abcdef".to_owned())
    }

    fn asked(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).expect("a request")
    }

    fn status(guard: &Guard, request: &Request<()>) -> u16 {
        guard.check(request).map_or_else(|refused| refused.status, |()| 200)
    }

    #[test]
    fn the_page_is_for_who_knows_the_token_and_the_address() {
        let local = guard("127.0.0.1:8080");
        let get = |uri: &str, host: &str| status(&local, &asked(Method::GET, uri, &[("host", host)]));
        let right = "/?token=0123456789abcdef";
        assert_eq!(get(right, "127.0.0.1:8080"), 200);
        assert_eq!(get(right, "localhost:8080"), 200);
        for (uri, host, expected) in [
            ("/", "127.0.0.1:8080", 403),
            ("/?token=0123456789abcdeg", "127.0.0.1:8080", 403),
            ("/?token=0123456789abcde", "127.0.0.1:8080", 403),
            (right, "127.0.0.1:8081", 421),
            (right, "127.0.0.1", 421),
            (right, "127.0.0.2:8080", 421),
            (right, "rebound.example:8080", 421),
            (right, "127.0.0.1:8080.rebound.example", 421),
        ] {
            assert_eq!(get(uri, host), expected, "{uri} of {host}");
        }
        assert_eq!(status(&local, &asked(Method::GET, right, &[])), 400);
        let two = [("host", "127.0.0.1:8080"), ("host", "127.0.0.1:8080")];
        assert_eq!(status(&local, &asked(Method::GET, right, &two)), 400);
    }

    #[test]
    fn a_question_comes_from_the_page_itself() {
        let local = guard("127.0.0.1:8080");
        let whole = [
            ("host", "127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080"),
            ("content-type", "application/json"),
            ("x-token", "0123456789abcdef"),
        ];
        assert_eq!(status(&local, &asked(Method::POST, "/api/case", &whole)), 200);
        for (name, value, expected) in [
            ("origin", "http://localhost:8080", 403),
            ("origin", "null", 403),
            ("origin", "https://127.0.0.1:8080", 403),
            ("content-type", "text/plain", 415),
            ("x-token", "wrong", 403),
        ] {
            let changed = whole.map(|(own, old)| (own, if own == name { value } else { old }));
            assert_eq!(
                status(&local, &asked(Method::POST, "/api/case", &changed)),
                expected,
                "{name}: {value}"
            );
            let without: Vec<(&str, &str)> = whole.into_iter().filter(|(own, _)| *own != name).collect();
            assert!(status(&local, &asked(Method::POST, "/api/case", &without)) >= 400, "no {name}");
        }
        assert_eq!(status(&local, &asked(Method::PUT, "/api/case", &whole)), 405);
    }

    #[test]
    fn who_listens_everywhere_is_reached_by_addresses_and_by_no_name() {
        let open = guard("0.0.0.0:8080");
        let get =
            |host: &str| status(&open, &asked(Method::GET, "/?token=0123456789abcdef", &[("host", host)]));
        assert_eq!((get("192.0.2.7:8080"), get("[::1]:8080"), get("localhost:8080")), (200, 200, 200));
        assert_eq!((get("review.example:8080"), get("192.0.2.7:81")), (421, 421));
        assert_eq!(new_token().expect("drawn").len(), 2 * TOKEN_BYTES);
        assert_ne!(new_token().expect("drawn"), new_token().expect("drawn"));
    }
}
