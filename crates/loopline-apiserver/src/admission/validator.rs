//! Validators in the same process: engines of policies that decide about writes without being
//! called over the network.
//!
//! A [`Validator`] sees what a validating webhook would see, the `request` of an
//! `AdmissionReview`, and answers with a [`Verdict`]. It is asked about every write of an object
//! or of a part of one, after the validating webhooks and before quotas are counted; it selects by
//! itself what it cares about. What shapes admission itself is never shown to it, so that a policy
//! cannot lock out the one who would correct it.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::matching::is_exempt;
use super::{Admission, AdmissionFuture, Attributes, review};
use crate::Server;
use crate::status::Result;

/// What a validator says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why the write is refused; each reason is told. None of them allows it.
    pub denials: Vec<String>,
    /// What the client is told where the write is allowed.
    pub warnings: Vec<String>,
}

/// A boxed future of a validator.
pub type VerdictFuture<'a> = Pin<Box<dyn Future<Output = Result<Verdict>> + Send + 'a>>;

/// Decides about writes, in the same process.
pub trait Validator: Send + Sync + 'static {
    /// Returns the name under which refusals are told.
    fn name(&self) -> &str;

    /// Decides about the `request` of an `AdmissionReview`. An error refuses the write, as a
    /// webhook does that fails.
    fn review<'a>(&'a self, request: &'a Value) -> VerdictFuture<'a>;
}

/// The step that asks the validators of a server.
pub(crate) struct Validators;

impl Admission for Validators {
    fn name(&self) -> &'static str {
        "Validators"
    }

    fn validate<'a>(
        &'a self,
        server: &'a Server,
        attributes: &'a mut Attributes,
    ) -> AdmissionFuture<'a> {
        Box::pin(ask(server, attributes))
    }
}

async fn ask(server: &Server, attributes: &mut Attributes) -> Result<()> {
    if server.validators().is_empty() || is_exempt(attributes) {
        return Ok(());
    }
    let request = review::request(attributes, &attributes.entry, &server.clock().uuid())?;
    for validator in server.validators() {
        let verdict = validator.review(&request).await?;
        if !verdict.denials.is_empty() {
            return Err(attributes.forbidden(format_args!(
                "{} denied the request: {}",
                validator.name(),
                verdict.denials.join("; ")
            )));
        }
        attributes.warnings.extend(verdict.warnings);
    }
    Ok(())
}
