//! Requests of the crate object_store, exchanged by ureq: in the thread that asks, in bounded time and memory, and by TLS
//! unless with this machine. What comes to nothing is a [`Failure`], whatever the crate makes of it.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use ureq::http::{Request, Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};
use url::Url;

use super::address::is_local;
use super::answer::{self, Failure};

/// How long a connection may take to be made,
const CONNECT: Duration = Duration::from_secs(4);
/// an answer to begin,
const ANSWER: Duration = Duration::from_secs(5);
/// and a transfer to stand still (or a store to take in what it was sent).
const STILL: Duration = Duration::from_secs(10);
/// A whole request may take this, and more by its size:
const WHOLE: Duration = Duration::from_secs(15);
/// slower transfers save no time, in bytes a second.
const SLOWEST: u64 = 1 << 20;
/// No list or error is longer, in bytes.
const MOST_TEXT: u64 = 1 << 20;
/// So much is read at once, in bytes.
const STEP: usize = 64 << 10;

/// Who exchanges requests.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// With this machine.
    local: Agent,
    /// With others; only then are certificates needed.
    remote: Arc<OnceLock<Result<Agent, String>>>,
    name: &'static str,
}

impl Exchange {
    /// Nothing is sent yet. `name` is how it names itself.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { local: agent(name, true, None), remote: Arc::default(), name }
    }

    /// Whether `url` may be asked at all: an error says why not.
    pub(crate) fn check(&self, url: &Url) -> Result<(), String> {
        self.agent(url).map(|_| ())
    }

    fn agent(&self, url: &Url) -> Result<Agent, String> {
        let is_local = is_local(url);
        match url.scheme() {
            "https" => {}
            "http" if is_local => return Ok(self.local.clone()),
            _ => return Err("it is not encrypted, and not of this machine".into()),
        }
        let make = || tls().map(|tls| agent(self.name, is_local, Some(tls)));
        self.remote.get_or_init(make).clone()
    }

    fn exchange(&self, request: HttpRequest, body: &[u8]) -> Result<HttpResponse, Failure> {
        let impossible = |why| Failure::NoAnswer { why, late: true };
        let uri = request.uri().to_string();
        let url = Url::parse(&uri).map_err(|_| impossible("its address is none".into()))?;
        let agent = self.agent(&url).map_err(impossible)?;
        let most = wanted(&request).unwrap_or(MOST_TEXT);
        let (parts, _) = request.into_parts();
        let has_body = matches!(parts.method.as_str(), "PUT" | "POST");
        let patience = patience(body.len() as u64);
        let late = |error: ureq::Error| answer::no_answer(&error, patience);
        let answer = if has_body {
            let request = agent.configure_request(Request::from_parts(parts, body));
            agent.run(request.timeout_global(Some(patience)).build())
        } else {
            let request = agent.configure_request(Request::from_parts(parts, ()));
            agent.run(request.timeout_recv_response(Some(ANSWER)).build())
        };
        let answer = accepted(answer.map_err(late)?)?;
        let (parts, mut body) = answer.into_parts();
        let len = parts.headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        let len = len.and_then(|text| text.parse().ok()).unwrap_or(most);
        let bytes = read(&mut body, most, self::patience(most.min(len)))?;
        Ok(HttpResponse::from_parts(parts, bytes.into()))
    }
}

#[async_trait]
impl HttpService for Exchange {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let request = HttpRequest::from_parts(parts, body.clone().into());
        // Its kind is unknown, so that nobody but the client above tries again.
        let failed = |failure| HttpError::new(HttpErrorKind::Unknown, failure);
        self.exchange(request, &body).map_err(failed)
    }
}

impl HttpConnector for Exchange {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

fn agent(name: &str, is_local: bool, tls: Option<TlsConfig>) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections_per_host(64)
        .user_agent(name)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(STILL))
        .timeout_per_write(Some(STILL));
    if is_local {
        config = config.proxy(None);
    }
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    config.build().new_agent()
}

/// How many bytes a request for a range asks for.
fn wanted(request: &HttpRequest) -> Option<u64> {
    let range = request.headers().get(header::RANGE)?.to_str().ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some(last.checked_sub(first)?.saturating_add(1))
}

/// How long a transfer of so many bytes may take.
fn patience(size: u64) -> Duration {
    WHOLE + Duration::from_secs(size / SLOWEST)
}

/// The first `most` bytes of a body.
fn read(body: &mut Body, most: u64, patience: Duration) -> Result<Vec<u8>, Failure> {
    let since = Instant::now();
    let mut bytes = Vec::new();
    let mut step = vec![0; STEP];
    let mut body = body.with_config().limit(most.saturating_add(1)).reader();
    loop {
        let left = usize::try_from(most - bytes.len() as u64).unwrap_or(STEP).min(STEP);
        // One read(2), however little it gives: each may take its time, and so may not all of them.
        let read = body.read(&mut step[..left]);
        let read = read.map_err(|error| answer::no_answer(&ureq::Error::from(error), patience))?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes.extend(&step[..read]);
        if since.elapsed() > patience {
            let why = format!("it took longer than {} s", patience.as_secs());
            return Err(Failure::NoAnswer { why, late: true });
        }
    }
}

/// An answer that says yes.
fn accepted(mut answer: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = answer.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let region = answer.headers().get("x-amz-bucket-region").and_then(|text| text.to_str().ok());
    let is_plain = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let region = region.filter(is_plain).unwrap_or_default().to_owned();
    // Azure says it here as well, and nowhere else in answers to HEAD.
    let code = answer.headers().get("x-ms-error-code").and_then(|text| text.to_str().ok());
    let code = code.map(|code| format!("<Code>{code}</Code>"));
    let body = answer.body_mut().with_config().limit(MOST_TEXT).read_to_vec().unwrap_or_default();
    let code = answer::code(&code.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()));
    Err(Failure::Refused { status, code, region })
}

/// With the certificates that this machine trusts.
fn tls() -> Result<TlsConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(
            "this machine trusts no certificates; install ca-certificates, or name a file of \
                    them by SSL_CERT_FILE"
                .into(),
        );
    }
    let roots: Vec<_> =
        found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}
