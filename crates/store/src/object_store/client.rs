//! Requests to a store: made by the crate object_store, exchanged by [`super::exchange`], and made again once or not at all.

use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use super::answer::Failure;
use super::endpoint::Endpoint;
use super::health::Health;

/// A request that failed at once is made again after this time, of a store that only saves time once;
const PAUSE: Duration = Duration::from_millis(200);
/// of others more often, each time after three times as long.
const TRIES: u32 = 4;
/// As many names are in one answer (Amazon S3 API Reference, ListObjectsV2).
const MOST_LISTED: usize = 1000;

/// Who makes requests.
pub(crate) struct Client {
    endpoint: Endpoint,
    /// As the user calls it.
    place: String,
    /// What the crate wants to be run by. Nothing waits in it: requests are exchanged where they are made.
    runtime: Runtime,
    saves_time: bool,
    reading: Health,
    writing: Health,
    /// The store has been seen to heed the conditions of writes.
    heeds: OnceLock<()>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a request comes to.
type Tried<T> = Result<T, Failure>;

/// An object's bytes, and what they are known by.
struct Got {
    bytes: Vec<u8>,
    version: UpdateVersion,
}

impl Client {
    /// Nothing is sent yet.
    pub(crate) fn new(endpoint: Endpoint, place: String, saves_time: bool) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| format!("it cannot be begun: {error}"))?;
        let (reading, writing, heeds) = Default::default();
        Ok(Self { endpoint, place, runtime, saves_time, reading, writing, heeds })
    }

    /// The first request. If the store refuses it, the error says what to do; one that does not answer
    /// is not asked again.
    pub(crate) fn begin(&self, prefix: &str) -> Result<(), String> {
        // A web server gives files, and no lists.
        if self.endpoint.lists.is_none() {
            return Ok(());
        }
        let failure = match self.again(|| self.try_list(prefix, 1)) {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        if let Some(advice) = failure.advice(&self.endpoint.shown, self.endpoint.rights) {
            return Err(advice);
        }
        if !self.saves_time {
            return Err(format!("{}: {}", self.endpoint.shown, failure.clause()));
        }
        self.reading.bad(&failure);
        self.reading.end();
        self.writing.end();
        Ok(())
    }

    /// The names of at most `most` objects whose names begin so.
    pub(crate) fn list(&self, prefix: &str, most: usize) -> io::Result<Vec<String>> {
        if self.endpoint.lists.is_none() {
            let why = "a web server gives files and no lists of them";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        self.ask(&self.reading, || self.try_list(prefix, most))
    }

    fn try_list(&self, prefix: &str, most: usize) -> Tried<Vec<String>> {
        let mut names = Vec::new();
        let mut more = None;
        loop {
            let (part, next) = self.try_list_from(prefix, most - names.len(), more.clone())?;
            names.extend(part);
            // A store that gives the same again and again would never end.
            let next = next.filter(|next| more.as_ref() != Some(next));
            if next.is_none() || names.len() >= most {
                return Ok(names);
            }
            more = next;
        }
    }

    /// A part of a list, as many as the store gives at once, and how to go on.
    fn try_list_from(
        &self,
        prefix: &str,
        most: usize,
        from: Option<String>,
    ) -> Tried<(Vec<String>, Option<String>)> {
        let Some(lists) = &self.endpoint.lists else { return Ok((Vec::new(), None)) };
        let options = PaginatedListOptions {
            max_keys: Some(most.clamp(1, MOST_LISTED)),
            page_token: from,
            ..PaginatedListOptions::default()
        };
        let part = self.run(
            "the answer was not that of an object store",
            lists.0.list_paginated(Some(prefix), options),
        )?;
        let names = part.result.objects.into_iter().map(|object| object.location.to_string());
        Ok((names.collect(), part.page_token.filter(|token| !token.is_empty())))
    }

    /// The first `most` bytes of an object.
    pub(crate) fn get(&self, object: &str, most: u64) -> io::Result<Vec<u8>> {
        self.ask(&self.reading, || Ok(self.try_get(object, 0, most)?.bytes))
    }

    /// Bytes of an object.
    pub(crate) fn get_range(&self, object: &str, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        self.ask(&self.reading, || Ok(self.try_get(object, offset, len)?.bytes))
    }

    fn try_get(&self, object: &str, offset: u64, len: u64) -> Tried<Got> {
        let range = offset..offset.saturating_add(len);
        let nothing = |version| Got { bytes: Vec::new(), version };
        let unknown = UpdateVersion { e_tag: None, version: None };
        if range.is_empty() {
            return Ok(nothing(unknown));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let other = "it sent something else than the part that was asked for";
        let got = self.run(other, async {
            let got = self.endpoint.objects.get_opts(&Path::from(object), options).await?;
            let (e_tag, version) = (got.meta.e_tag.clone(), got.meta.version.clone());
            let bytes = got.bytes().await?.to_vec();
            Ok(Got { bytes, version: UpdateVersion { e_tag, version } })
        });
        match got {
            // Nothing is there from that offset on.
            Err(failure) if failure.condition() == Some(io::ErrorKind::InvalidInput) => {
                Ok(nothing(unknown))
            }
            other => other,
        }
    }

    /// The size of an object and when it was made, if it is there.
    fn head(&self, object: &str) -> io::Result<Option<(u64, i64)>> {
        let head = self.ask(&self.reading, || {
            let path = Path::from(object);
            let head = self.endpoint.objects.head(&path);
            let head = self.run("the answer was not that of an object store", head)?;
            Ok((head.size, head.last_modified.timestamp()))
        });
        match head {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// The size of an object, if it is there.
    pub(crate) fn size(&self, object: &str) -> io::Result<Option<u64>> {
        Ok(self.head(object)?.map(|(size, _)| size))
    }

    /// When an object was made, if it is there.
    pub(crate) fn modified(&self, object: &str) -> io::Result<Option<SystemTime>> {
        let Some((_, seconds)) = self.head(object)? else { return Ok(None) };
        // A store that says no time must not make it look old.
        match u64::try_from(seconds) {
            Ok(seconds @ 1..) => Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))),
            _ => Err(io::Error::other("the store does not say when it was put there")),
        }
    }

    fn try_put(&self, object: &str, bytes: &[u8], mode: PutMode) -> Tried<()> {
        let payload = PutPayload::from(bytes.to_vec());
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = Path::from(object);
        let put = self.endpoint.objects.put_opts(&path, payload, options);
        self.run("the answer was not that of an object store", put).map(|_| ())
    }

    /// Makes an object of these bytes.
    pub(crate) fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.ask(&self.writing, || self.try_put(object, bytes, PutMode::Overwrite))
    }

    /// Makes an object of these bytes if there is none. Returns whether it did.
    pub(crate) fn put_new(&self, object: &str, bytes: &[u8]) -> io::Result<bool> {
        self.writable()?;
        let put = self.ask(&self.writing, || self.try_put(object, bytes, PutMode::Create));
        match put {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Makes an object of the bytes `after` in the place of the one that has the bytes `before`. Returns whether it did: not if
    /// there is another, or none, by now.
    pub(crate) fn replace(&self, object: &str, before: &[u8], after: &[u8]) -> io::Result<bool> {
        self.writable()?;
        let most = (before.len() as u64).saturating_add(1);
        let got = match self.ask(&self.reading, || self.try_get(object, 0, most)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        if got.bytes != before {
            return Ok(false);
        }
        self.check_conditions(object)?;
        let put = self.ask(&self.writing, || {
            self.try_put(object, after, PutMode::Update(got.version.clone()))
        });
        match put {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
                ) =>
            {
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Whether the store heeds conditions: one that puts an object in the place of another that is not there does not.
    fn check_conditions(&self, object: &str) -> io::Result<()> {
        if self.heeds.get().is_some() {
            return Ok(());
        }
        let probe = format!("{object}.probe");
        let nobody = UpdateVersion { e_tag: Some("\"0\"".into()), version: Some("1".into()) };
        let put =
            self.ask(&self.writing, || self.try_put(&probe, b"", PutMode::Update(nobody.clone())));
        match put {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
                ) =>
            {
                self.heeds.get_or_init(|| ());
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.remove(&probe)?;
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the store does not heed conditions of writes (If-Match)",
                ))
            }
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&self, object: &str) -> io::Result<()> {
        self.writable()?;
        let removed = self.ask(&self.writing, || {
            let path = Path::from(object);
            self.run(
                "the answer was not that of an object store",
                self.endpoint.objects.delete(&path),
            )
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn writable(&self) -> io::Result<()> {
        match self.endpoint.lists {
            Some(_) => Ok(()),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a web server is read from, and not written to",
            )),
        }
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

    /// Has the crate do something. Where it is not content with an answer that says yes, `else_` is what is said: its own words
    /// may repeat addresses and answers.
    fn run<T>(
        &self,
        else_: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Tried<T> {
        self.runtime.block_on(request).map_err(|error| {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(one) = cause {
                if let Some(failure) = one.downcast_ref::<Failure>() {
                    return failure.clone();
                }
                cause = one.source();
            }
            Failure::NoAnswer { why: else_.into(), late: true }
        })
    }

    /// Makes a request, and again if that may help.
    fn again<T>(&self, mut request: impl FnMut() -> Tried<T>) -> Tried<T> {
        let mut left = if self.saves_time { 1 } else { TRIES - 1 };
        let mut pause = PAUSE;
        loop {
            match request() {
                Err(failure) if failure.may_pass() && left > 0 => {
                    sleep(pause);
                    (left, pause) = (left - 1, pause * 3);
                }
                done => return done,
            }
        }
    }

    /// Makes a request, and again if that may help, unless too many have come to nothing.
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
}
