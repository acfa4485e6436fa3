//! The status page, and the document that it draws. The page is one file: its style and its script are in it, and nothing else may
//! run in it (a Content-Security-Policy with their hashes).

mod document;

use super::{Visit, answer};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use document::Document;
use hyper::Response;
use hyper::header::{self, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const SCRIPT: &str = include_str!("page/script.js");
const STYLE: &str = include_str!("page/style.css");

/// The page with all that is in it.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("page/page.html")
        .replace("{style}", STYLE)
        .replace("{script}", SCRIPT)
});

/// What the page may do: run its script, use its style, and ask where it came from.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    HeaderValue::from_str(&policy).expect("base64 has no characters that a header can't have")
});

/// Answers with the page.
pub(super) async fn page(_: Visit) -> Response<String> {
    let mut response = answer::of_type("text/html; charset=utf-8", PAGE.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    let no_referrer = HeaderValue::from_static("no-referrer");
    headers.insert(header::REFERRER_POLICY, no_referrer);
    let same_origin = HeaderValue::from_static("same-origin");
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(name), same_origin.clone());
    }
    response
}

/// Answers with the figures.
pub(super) async fn json(visit: Visit) -> Response<String> {
    let document = Document::gather(&visit.thread, visit.shared).await;
    let text = serde_json::to_string(&document).expect("all keys of its maps are strings");
    answer::of_type("application/json", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_that_makes_no_markup_of_text() {
        for forbidden in ["{style}", "{script}", "http://", "https://", "//cdn"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "Function(",
        ] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
        // The browser hashes what stands between the tags, which must end where the files do.
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="));
        assert!(PAGE.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(PAGE.contains(&format!("<style>{STYLE}</style>")));
    }
}
