//! A store in an S3-compatible object store: the objects `PREFIX/FOLDER/NAME` and
//! `PREFIX/FOLDER/WITHIN/NAME`, each written by one request, so that it is there whole or not at all.
//!
//! A store that fails does no harm: what it does not give is not there. It is the user's own error only where
//! it refuses the first request ([`client::Client::begin`]).

mod answer;
mod client;
mod endpoint;
mod health;

use std::ffi::OsString;
use std::io;
use std::time::SystemTime;

use crate::place::Place;
use crate::purpose::Purpose;
use crate::storage::{Folder, Storage, is_name};
use client::Client;
use endpoint::Endpoint;

/// Part of a bucket.
#[derive(Debug)]
pub(crate) struct ObjectStore {
    client: Client,
    /// What all names begin with.
    prefix: String,
}

impl ObjectStore {
    /// Opens it with what the environment says of endpoint and credentials; an error says why it cannot
    /// be used.
    pub(crate) fn open(
        bucket: &str,
        prefix: &str,
        purpose: &Purpose,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::find(bucket, variable)?;
        let place = Place::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let client = Client::new(endpoint, place.to_string(), purpose)?;
        client.begin(&prefix)?;
        Ok(Self { client, prefix })
    }

    /// What the names of a folder's objects begin with.
    fn folder(&self, folder: Folder<'_>) -> String {
        let Folder { top, within } = folder;
        match within {
            Some(within) => format!("{}{top}/{within}/", self.prefix),
            None => format!("{}{top}/", self.prefix),
        }
    }

    fn object(&self, folder: Folder<'_>, name: &str) -> String {
        format!("{}{name}", self.folder(folder))
    }
}

impl Storage for ObjectStore {
    fn list(&self, folder: Folder<'_>, most: usize) -> io::Result<Vec<String>> {
        let prefix = self.folder(folder);
        let objects = self.client.list(&prefix, most)?;
        let names = objects.iter().filter_map(|object| object.strip_prefix(&prefix));
        Ok(names.filter(|name| is_name(name)).take(most).map(String::from).collect())
    }

    fn get(&self, folder: Folder<'_>, name: &str, most: u64) -> io::Result<Vec<u8>> {
        self.client.get(&self.object(folder, name), most)
    }

    fn size(&self, folder: Folder<'_>, name: &str) -> io::Result<Option<u64>> {
        self.client.size(&self.object(folder, name))
    }

    fn get_range(
        &self,
        folder: Folder<'_>,
        name: &str,
        offset: u64,
        len: u64,
    ) -> io::Result<Vec<u8>> {
        self.client.get_range(&self.object(folder, name), offset, len)
    }

    fn put(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.client.put(&self.object(folder, name), bytes)
    }

    fn put_new(&self, folder: Folder<'_>, name: &str, bytes: &[u8]) -> io::Result<bool> {
        self.client.put_new(&self.object(folder, name), bytes)
    }

    fn remove(&self, folder: Folder<'_>, name: &str) -> io::Result<()> {
        self.client.remove(&self.object(folder, name))
    }

    fn modified(&self, folder: Folder<'_>, name: &str) -> io::Result<Option<SystemTime>> {
        self.client.modified(&self.object(folder, name))
    }

    fn failures(&self) -> Option<String> {
        self.client.failures()
    }
}
