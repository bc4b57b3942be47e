//! Where a store is and who asks it, by the variables that the services' own tools know.

mod access;
mod azure;
mod google;
mod s3;
mod web;

use std::ffi::OsString;

pub(crate) use access::Endpoint;
use access::Variables;

use super::exchange::Exchange;
use crate::place::{Place, Service};

impl Endpoint {
    /// Finds it; an error says which variable to set.
    pub(crate) fn find(
        place: &Place,
        exchange: Exchange,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let variables = Variables(variable);
        match place {
            Place::Bucket { service: Service::S3, bucket, .. } => {
                s3::find(bucket, exchange, &variables)
            }
            Place::Bucket { service: Service::Google, bucket, .. } => {
                google::find(bucket, exchange, &variables)
            }
            Place::Bucket { service: Service::Azure, bucket, .. } => {
                azure::find(bucket, exchange, &variables)
            }
            Place::Web(address) => web::find(address, exchange),
            Place::Directory(_) => Err("it is a directory".into()),
        }
    }
}
