//! What a store's answer means, and what is said of it. Nothing is shown that the store sends but codes:
//! its sentences may repeat what was signed.

use std::io;
use std::time::Duration;

use ureq::Timeout;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.clause())]
pub(crate) enum Failure {
    /// The store refuses it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// S3's code, if there is one.
        code: String,
        /// The region in which the bucket is, if the store says so.
        region: String,
    },
    /// There is no answer, or none that can be understood.
    NoAnswer {
        /// Why, as a clause.
        why: String,
        /// It took all the time that a request has.
        late: bool,
    },
}

impl Failure {
    /// What is asked for is not there, which is no failure of the store's.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *status == 404 && !["NoSuchBucket", "ContainerNotFound"].contains(&code.as_str())
            }
            Self::NoAnswer { .. } => false,
        }
    }

    /// Somebody else writes the same object just now.
    fn is_conflict(&self) -> bool {
        let Self::Refused { status: 409, code, .. } = self else { return false };
        ["ConditionalRequestConflict", "OperationAborted"].contains(&code.as_str())
    }

    /// What a condition of the request has come to, which is no failure of the store's either: there is such an object already, or
    /// it has nothing where the range begins.
    pub(crate) fn condition(&self) -> Option<io::ErrorKind> {
        match self {
            _ if self.is_conflict() => None,
            Self::Refused { status: 409 | 412, .. } => Some(io::ErrorKind::AlreadyExists),
            Self::Refused { status: 416, .. } => Some(io::ErrorKind::InvalidInput),
            _ => None,
        }
    }

    /// Whether the same request may be answered a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                matches!(status, 408 | 429 | 500..) || self.is_conflict()
            }
            Self::NoAnswer { late, .. } => !late,
        }
    }

    /// Whether it will be so all the time.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::Refused { .. }) && !self.may_pass()
    }

    /// As a clause.
    pub(crate) fn clause(&self) -> String {
        match self {
            Self::Refused { status, code, .. } if code.is_empty() => {
                format!("the answer was HTTP status {status}")
            }
            Self::Refused { code, .. } => format!("the answer was {code}"),
            Self::NoAnswer { why, .. } => why.clone(),
        }
    }

    /// What to do about a refusal of the first request; `None` if nothing, as it may pass. `rights` says what credentials must
    /// be and allow.
    pub(crate) fn advice(&self, endpoint: &str, rights: &str) -> Option<String> {
        let Self::Refused { status, code, region } = self else { return None };
        let said = match code.is_empty() {
            true => format!("HTTP status {status}"),
            false => code.clone(),
        };
        let elsewhere = (300..400).contains(status)
            || matches!(
                code.as_str(),
                "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError"
            );
        Some(match status {
            _ if elsewhere && region.is_empty() => {
                format!("{endpoint} wants another region ({said}); set AWS_REGION to the bucket's")
            }
            _ if elsewhere => format!("the bucket is in another region; set AWS_REGION={region}"),
            404 => format!("{endpoint} has no such bucket ({said})"),
            401 | 403 => format!("{endpoint} refuses these credentials ({said}): {rights}"),
            _ if self.may_pass() => return None,
            _ => format!("{endpoint} refuses to list it ({said})"),
        })
    }
}

/// The code in an answer's body: `<Error><Code>NoSuchKey</Code> ...`.
pub(crate) fn code(body: &str) -> String {
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map(|(code, _)| code).unwrap_or_default();
    let is_code = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_code { code.into() } else { String::new() }
}

/// Of an exchange that failed. The error's own text may have the address with the signature in it.
pub(crate) fn no_answer(error: &ureq::Error, patience: Duration) -> Failure {
    let late = matches!(error, ureq::Error::Timeout(_));
    let why = match error {
        ureq::Error::Timeout(Timeout::Resolve) => "its host was not found in time".into(),
        ureq::Error::Timeout(Timeout::Connect) => "it could not be connected to in time".into(),
        ureq::Error::Timeout(Timeout::Global | Timeout::PerCall) => {
            format!("it took longer than {} s", patience.as_secs())
        }
        ureq::Error::Timeout(_) => "it did not answer in time".into(),
        ureq::Error::HostNotFound => "its host is not known".into(),
        ureq::Error::Io(error) => match error.get_ref().and_then(|e| e.downcast_ref()) {
            Some::<&rustls::Error>(error) => format!("the connection is not safe: {error}"),
            None => format!("the connection failed: {error}"),
        },
        ureq::Error::ConnectionFailed => "it could not be connected to".into(),
        ureq::Error::Rustls(error) => format!("the connection is not safe: {error}"),
        ureq::Error::Tls(what) => format!("the connection is not safe: {what}"),
        ureq::Error::Protocol(_) => "the answer was not HTTP".into(),
        _ => "the exchange failed".into(),
    };
    Failure::NoAnswer { why, late }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Failure {
        Failure::Refused { status, code: code.into(), region: "eu-west-1".into() }
    }

    #[test]
    fn codes() {
        let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>x</Message>";
        assert_eq!(code(body), "NoSuchBucket");
        assert_eq!(code("<Code>a b</Code>"), "");
        assert_eq!(code("<Code>"), "");
    }

    #[test]
    fn what_they_mean() {
        assert!(refused(404, "NoSuchKey").is_missing() && refused(404, "").is_missing());
        assert!(!refused(404, "NoSuchBucket").is_missing());
        assert!(refused(503, "SlowDown").may_pass() && !refused(503, "SlowDown").is_lasting());
        assert!(refused(403, "ExpiredToken").is_lasting());
        assert_eq!(refused(412, "").condition(), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(
            refused(409, "BlobAlreadyExists").condition(),
            Some(io::ErrorKind::AlreadyExists)
        );
        // Whether the other one succeeds is not known yet.
        let conflict = refused(409, "ConditionalRequestConflict");
        assert!(conflict.condition().is_none() && conflict.may_pass());
        for (status, code, words) in [
            (301, "PermanentRedirect", "AWS_REGION=eu-west-1"),
            (400, "AuthorizationHeaderMalformed", "AWS_REGION=eu-west-1"),
            (400, "InvalidToken", "refuses to list it (InvalidToken)"),
            (403, "", "HTTP status 403"),
            (404, "NoSuchBucket", "no such bucket"),
        ] {
            let advice = refused(status, code).advice("https://x", "rights").unwrap();
            assert!(advice.contains(words), "{advice}");
        }
        assert_eq!(refused(500, "InternalError").advice("https://x", "rights"), None);
    }
}
