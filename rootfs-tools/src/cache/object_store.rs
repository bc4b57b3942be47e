//! A cache in an S3-compatible object store: the objects `PREFIX/entries/KEY/NAME` and
//! `PREFIX/recipes/NAME`, each written by one request, so that it is there whole or not at all.
//!
//! A store that fails does no harm: what it does not give is not in the cache. It is a run's own fault
//! only where it refuses the first request ([`client::Client::begin`]).

mod answer;
mod client;
mod endpoint;
mod health;

use std::ffi::OsString;
use std::io;

use super::place::Place;
use super::storage::{Storage, is_name};
use client::Client;
use endpoint::Endpoint;

/// Part of a bucket.
#[derive(Debug)]
pub struct ObjectStore {
    client: Client,
    /// What all names begin with.
    prefix: String,
}

impl ObjectStore {
    /// Opens it with what the environment says of endpoint and credentials; an error says why it cannot
    /// be used.
    pub fn open(
        bucket: &str,
        prefix: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let endpoint = Endpoint::find(bucket, variable)?;
        let place = Place::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let client = Client::new(endpoint, place.to_string())?;
        client.begin(&prefix)?;
        Ok(Self { client, prefix })
    }

    fn entries_of(&self, key: &str) -> String {
        format!("{}entries/{key}/", self.prefix)
    }

    fn recipe_name(&self, name: &str) -> String {
        format!("{}recipes/{name}", self.prefix)
    }
}

impl Storage for ObjectStore {
    fn entries(&self, key: &str, most: usize) -> io::Result<Vec<String>> {
        let prefix = self.entries_of(key);
        let objects = self.client.list(&prefix, most)?;
        let names = objects.iter().filter_map(|object| object.strip_prefix(&prefix));
        Ok(names.filter(|name| is_name(name)).take(most).map(String::from).collect())
    }

    fn entry(&self, key: &str, name: &str, most: u64) -> io::Result<Vec<u8>> {
        self.client.get(&format!("{}{name}", self.entries_of(key)), most)
    }

    fn recipe(&self, name: &str, size: u64) -> io::Result<Vec<u8>> {
        self.client.get(&self.recipe_name(name), size)
    }

    fn has_recipe(&self, name: &str, size: u64) -> io::Result<bool> {
        Ok(self.client.size(&self.recipe_name(name))? == Some(size))
    }

    fn keep_recipe(&self, name: &str, recipe: &[u8]) -> io::Result<()> {
        self.client.put(&self.recipe_name(name), recipe)
    }

    fn keep_entry(&self, key: &str, name: &str, entry: &[u8]) -> io::Result<()> {
        self.client.put(&format!("{}{name}", self.entries_of(key)), entry)
    }

    fn trouble(&self) -> Option<String> {
        self.client.trouble()
    }
}
