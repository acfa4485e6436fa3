//! Answers that any request may have.

use super::Refusal;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer of some type.
pub(super) fn of_type(content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A line for whoever did not get what was asked for.
fn refusal(status: StatusCode, line: &str) -> Refusal {
    let mut response = of_type("text/plain; charset=utf-8", format!("{line}\n"));
    *response.status_mut() = status;
    Box::new(response)
}

/// The same, with a header.
fn refusal_with(
    status: StatusCode,
    line: &str,
    name: header::HeaderName,
    value: &'static str,
) -> Refusal {
    let mut response = refusal(status, line);
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}

/// Who are you?
pub(super) fn unauthorized(line: &str) -> Refusal {
    let basic = "Basic realm=\"damselfly\", charset=\"UTF-8\"";
    let status = StatusCode::UNAUTHORIZED;
    refusal_with(status, line, header::WWW_AUTHENTICATE, basic)
}

/// You may not.
pub(super) fn forbidden(line: &str) -> Refusal {
    refusal(StatusCode::FORBIDDEN, line)
}

/// Only GET and HEAD.
pub(super) fn method_not_allowed() -> Refusal {
    let line = "only GET and HEAD are answered here";
    let mut response = refusal_with(
        StatusCode::METHOD_NOT_ALLOWED,
        line,
        header::ALLOW,
        "GET, HEAD",
    );
    close(&mut response);
    response
}

/// A request with a body: what is behind it on the connection can't be told.
pub(super) fn no_bodies() -> Refusal {
    let mut response = refusal(
        StatusCode::PAYLOAD_TOO_LARGE,
        "requests have no bodies here",
    );
    close(&mut response);
    response
}

fn close(response: &mut Response<String>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// Nothing is there; this is.
pub(super) fn not_found<'a>(paths: impl Iterator<Item = &'a str>) -> Refusal {
    let paths: Vec<_> = paths.collect();
    let line = format!("there is nothing here; see {}", paths.join(", "));
    refusal(StatusCode::NOT_FOUND, &line)
}
