//! Requests to a store: signed by rusty-s3, exchanged by ureq. Their addresses carry signatures, so no
//! address is ever shown.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use rusty_s3::S3Action;
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response};
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};
use url::Url;

use super::answer::{self, Failure};
use super::endpoint::Endpoint;
use super::health::Health;
use crate::purpose::Purpose;

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
/// A request that failed at once is made again after this time.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a signature holds: clocks may differ by as much (S3's RequestTimeTooSkewed).
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// As many names are in one answer (Amazon S3 API Reference, ListObjectsV2).
const MOST_LISTED: usize = 1000;
/// No list or error is longer, in bytes.
const MOST_TEXT: u64 = 1 << 20;

/// Who makes requests.
pub(crate) struct Client {
    endpoint: Endpoint,
    /// As the user calls it.
    place: String,
    agent: Agent,
    /// As [`crate::Purpose::saves_time`].
    saves_time: bool,
    reading: Health,
    writing: Health,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a request comes to.
type Tried<T> = Result<T, Failure>;

impl Client {
    /// Nothing is sent yet.
    pub(crate) fn new(
        endpoint: Endpoint,
        place: String,
        purpose: &Purpose,
    ) -> Result<Self, String> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(64)
            .user_agent(purpose.agent)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(STILL))
            .timeout_per_write(Some(STILL));
        if endpoint.is_local {
            config = config.proxy(None);
        }
        if endpoint.bucket.base_url().scheme() == "https" {
            config = config.tls_config(tls()?);
        }
        let agent = config.build().new_agent();
        let (reading, writing) = (Health::default(), Health::default());
        Ok(Self { endpoint, place, agent, saves_time: purpose.saves_time, reading, writing })
    }

    /// The first request. If the store refuses it, the error says what to do; one that does not answer
    /// is not asked again.
    pub(crate) fn begin(&self, prefix: &str) -> Result<(), String> {
        let failure = match self.again(|| self.try_list(prefix, 1)) {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        if let Some(advice) = failure.advice(&self.endpoint.shown) {
            return Err(advice);
        }
        if !self.saves_time {
            return Err(format!("{} does not answer ({})", self.endpoint.shown, failure.clause()));
        }
        self.reading.bad(&failure);
        self.reading.end();
        self.writing.end();
        Ok(())
    }

    /// The names of at most `most` objects whose names begin so.
    pub(crate) fn list(&self, prefix: &str, most: usize) -> io::Result<Vec<String>> {
        self.ask(&self.reading, || self.try_list(prefix, most))
    }

    fn try_list(&self, prefix: &str, most: usize) -> Tried<Vec<String>> {
        let mut names = Vec::new();
        let mut more = None;
        loop {
            let part = self.try_list_from(prefix, most - names.len(), more.as_deref())?;
            names.extend(part.contents.into_iter().map(|object| object.key));
            // A store that gives the same again and again would never end.
            let next = part.next_continuation_token.filter(|next| more.as_ref() != Some(next));
            if next.is_none() || names.len() >= most {
                return Ok(names);
            }
            more = next;
        }
    }

    /// A part of a list, as many as the store gives at once.
    fn try_list_from(
        &self,
        prefix: &str,
        most: usize,
        from: Option<&str>,
    ) -> Tried<ListObjectsV2Response> {
        let mut list = self.endpoint.bucket.list_objects_v2(Some(&self.endpoint.credentials));
        list.with_prefix(prefix);
        list.with_max_keys(most.min(MOST_LISTED));
        if let Some(from) = from {
            list.with_continuation_token(from);
        }
        let body = self.fetch(&self.signed(&list), MOST_TEXT, WHOLE)?;
        let parsed = str::from_utf8(&body).ok().and_then(|t| ListObjectsV2::parse_response(t).ok());
        parsed.ok_or_else(|| Failure::NoAnswer {
            why: "the answer was not that of an S3 store".into(),
            late: false,
        })
    }

    /// When an object was made, if it is there.
    pub(crate) fn modified(&self, object: &str) -> io::Result<Option<SystemTime>> {
        let part = self.ask(&self.reading, || self.try_list_from(object, 1, None))?;
        let found = part.contents.into_iter().find(|found| found.key == object);
        let time = found.map(|found| humantime::parse_rfc3339_weak(&found.last_modified));
        time.transpose().map_err(|_| io::Error::other("its time was not understood"))
    }

    /// An object of at most `most` bytes.
    pub(crate) fn get(&self, object: &str, most: u64) -> io::Result<Vec<u8>> {
        let bucket = &self.endpoint.bucket;
        let action = bucket.get_object(Some(&self.endpoint.credentials), object);
        self.ask(&self.reading, || self.fetch(&self.signed(&action), most, patience(most)))
    }

    /// Bytes of an object.
    pub(crate) fn get_range(&self, object: &str, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let Some(last) = len.checked_sub(1) else { return Ok(Vec::new()) };
        let range = format!("bytes={offset}-{}", offset.saturating_add(last));
        let bucket = &self.endpoint.bucket;
        let action = bucket.get_object(Some(&self.endpoint.credentials), object);
        let patience = patience(len);
        let got = self.ask(&self.reading, || {
            let mut answer = self.exchange_get(&self.signed(&action), patience, Some(&range))?;
            // Who does not know ranges sends all of it.
            if answer.status().as_u16() != 206 && offset > 0 {
                let why = "it sent something else than the part that was asked for".into();
                return Err(Failure::NoAnswer { why, late: true });
            }
            read(&mut answer, len, patience)
        });
        match got {
            // Nothing is there from that offset on.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Vec::new()),
            other => other,
        }
    }

    /// Makes an object of these bytes if there is none. Returns whether it did.
    pub(crate) fn put_new(&self, object: &str, bytes: &[u8]) -> io::Result<bool> {
        let action = self.endpoint.bucket.put_object(Some(&self.endpoint.credentials), object);
        let patience = patience(bytes.len() as u64);
        let put = self
            .ask(&self.writing, || self.exchange_put(&self.signed(&action), patience, bytes, true));
        match put {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&self, object: &str) -> io::Result<()> {
        let action = self.endpoint.bucket.delete_object(Some(&self.endpoint.credentials), object);
        let removed = self.ask(&self.writing, || {
            let request = self.agent.delete(self.signed(&action).as_str()).config();
            let request = request.timeout_global(Some(WHOLE)).build();
            let answer = request.call().map_err(|error| answer::no_answer(&error, WHOLE))?;
            accepted(answer).map(|_| ())
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The size of an object, if it is there.
    pub(crate) fn size(&self, object: &str) -> io::Result<Option<u64>> {
        let action = self.endpoint.bucket.head_object(Some(&self.endpoint.credentials), object);
        let size = self.ask(&self.reading, || {
            let request = self.agent.head(self.signed(&action).as_str()).config();
            let request = request.timeout_global(Some(WHOLE)).timeout_recv_response(Some(ANSWER));
            let answer =
                request.build().call().map_err(|error| answer::no_answer(&error, WHOLE))?;
            let answer = accepted(answer)?;
            // An answer to HEAD has no body, whatever its header says of one.
            let len = answer.headers().get("content-length").and_then(|text| text.to_str().ok());
            Ok(len.and_then(|text| text.parse().ok()))
        });
        match size {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    /// Makes an object of these bytes.
    pub(crate) fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()> {
        let action = self.endpoint.bucket.put_object(Some(&self.endpoint.credentials), object);
        let patience = patience(bytes.len() as u64);
        self.ask(&self.writing, || self.exchange_put(&self.signed(&action), patience, bytes, false))
    }

    /// As [`crate::Storage::failures`].
    pub(crate) fn failures(&self) -> Option<String> {
        let (count, first) = match (self.reading.failures(), self.writing.failures()) {
            (None, None) => return None,
            (Some((read, first)), Some((written, _))) => (read + written, first),
            (Some(one), None) | (None, Some(one)) => one,
        };
        let (place, shown) = (&self.place, &self.endpoint.shown);
        let requests = if count == 1 { "a request" } else { &*format!("{count} requests") };
        Some(format!("{place}: {requests} to {shown} came to nothing ({first})"))
    }

    fn signed<'a>(&self, action: &impl S3Action<'a>) -> Url {
        action.sign(SIGNED_FOR)
    }

    /// Makes a request, a second time if that may help.
    fn again<T>(&self, mut request: impl FnMut() -> Tried<T>) -> Tried<T> {
        match request() {
            Err(failure) if failure.may_pass() => {
                sleep(PAUSE);
                request()
            }
            done => done,
        }
    }

    /// Makes a request, a second time if that may help, unless too many have come to nothing.
    fn ask<T>(&self, health: &Health, request: impl FnMut() -> Tried<T>) -> io::Result<T> {
        if self.saves_time && health.is_over() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        match self.again(request) {
            Ok(answer) => {
                health.good();
                Ok(answer)
            }
            Err(failure) if failure.is_missing() => {
                health.good();
                Err(io::ErrorKind::NotFound.into())
            }
            Err(failure) if failure.condition().is_some() => {
                health.good();
                Err(failure.condition().unwrap_or(io::ErrorKind::Other).into())
            }
            Err(failure) => {
                health.bad(&failure);
                Err(io::Error::other(failure.clause()))
            }
        }
    }

    fn exchange_get(
        &self,
        url: &Url,
        patience: Duration,
        range: Option<&str>,
    ) -> Tried<Response<Body>> {
        let mut request = self.agent.get(url.as_str());
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.config();
        let request = request.timeout_global(Some(patience)).timeout_recv_response(Some(ANSWER));
        let answer = request.build().call().map_err(|error| answer::no_answer(&error, patience))?;
        accepted(answer)
    }

    fn exchange_put(
        &self,
        url: &Url,
        patience: Duration,
        body: impl ureq::AsSendBody,
        is_new: bool,
    ) -> Tried<()> {
        let mut request = self.agent.put(url.as_str());
        if is_new {
            request = request.header("if-none-match", "*");
        }
        let request = request.config();
        let request = request.timeout_global(Some(patience)).build();
        let answer = request.send(body).map_err(|error| answer::no_answer(&error, patience))?;
        let mut answer = accepted(answer)?;
        let _ = answer.body_mut().with_config().limit(MOST_TEXT).read_to_vec();
        Ok(())
    }

    fn fetch(&self, url: &Url, most: u64, patience: Duration) -> Tried<Vec<u8>> {
        read(&mut self.exchange_get(url, patience, None)?, most, patience)
    }
}

/// The first `most` bytes of an answer.
fn read(answer: &mut Response<Body>, most: u64, patience: Duration) -> Tried<Vec<u8>> {
    let mut bytes = Vec::new();
    let body = answer.body_mut().with_config().limit(most.saturating_add(1)).reader();
    body.take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| answer::no_answer(&ureq::Error::from(error), patience))?;
    Ok(bytes)
}

/// How long a transfer of so many bytes may take.
fn patience(size: u64) -> Duration {
    WHOLE + Duration::from_secs(size / SLOWEST)
}

/// An answer that says yes.
fn accepted(mut answer: Response<Body>) -> Tried<Response<Body>> {
    let status = answer.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let region = answer.headers().get("x-amz-bucket-region").and_then(|text| text.to_str().ok());
    let is_plain = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let region = region.filter(is_plain).unwrap_or_default().to_owned();
    let body = answer.body_mut().with_config().limit(MOST_TEXT).read_to_vec().unwrap_or_default();
    let code = answer::code(&String::from_utf8_lossy(&body));
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
