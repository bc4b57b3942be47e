//! Servers at work: original and converted answer the same requests in turn, each started anew from the same directory with the same
//! configuration.

mod nginx;
mod place;
mod postgresql;
mod process;
mod redis;
mod service;

pub use service::Service;

/// All servers with their loads.
pub fn services() -> Vec<Service> {
    [postgresql::services(), nginx::services(), redis::services()].into_iter().flatten().collect()
}
