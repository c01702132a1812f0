//! `CertificateApproval`, `CertificateSigning`, `CertificateSubjectRestriction`: who approves or
//! signs a request for a certificate must be allowed to for its signer, and nobody asks for a
//! client's certificate of those who may do everything.

use serde_json::Value;

use super::{Attributes, Operation};
use crate::Server;
use crate::auth::{Action, MASTERS};
use crate::status::Result;

/// The signer of clients of the API.
const CLIENTS: &str = "kubernetes.io/kube-apiserver-client";

/// Refuses what the user may not do for the request's signer.
pub(crate) async fn check(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let resource = &attributes.entry.resource;
    if (&*resource.group, &*resource.kind) != ("certificates.k8s.io", "CertificateSigningRequest") {
        return Ok(());
    }
    let signer = |object: &Value| object["spec"]["signerName"].as_str().unwrap_or("").to_owned();
    match (&attributes.operation, &*attributes.subresource) {
        (Operation::Create, "") => {
            if signer(&attributes.object) == CLIENTS && asks_for_everything(&attributes.object) {
                return Err(attributes.forbidden(format_args!(
                    "use of {CLIENTS} signer with {MASTERS} group is not allowed"
                )));
            }
            Ok(())
        }
        (Operation::Update, "approval") => {
            require(server, attributes, "approve", &signer(&attributes.old)).await
        }
        (Operation::Update, "status") if is_answered(attributes) => {
            require(server, attributes, "sign", &signer(&attributes.old)).await
        }
        _ => Ok(()),
    }
}

fn asks_for_everything(object: &Value) -> bool {
    use base64::Engine as _;
    let text = object["spec"]["request"].as_str().unwrap_or("");
    let pem = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    // What cannot be read is refused by validation.
    loopline_tls::Request::from_pem(&pem)
        .is_ok_and(|request| request.subject().organizations.iter().any(|one| one == MASTERS))
}

/// Returns whether a write of the status gives a certificate, or says that there will be none.
fn is_answered(attributes: &Attributes) -> bool {
    let failed = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.is_some_and(|list| list.iter().any(|one| one["type"] == "Failed"))
    };
    let (new, old) = (&attributes.object, &attributes.old);
    new["status"]["certificate"] != old["status"]["certificate"] || failed(new) != failed(old)
}

async fn require(server: &Server, attributes: &Attributes, verb: &str, signer: &str) -> Result<()> {
    let domain = signer.split('/').next().unwrap_or("");
    for name in [signer.to_owned(), format!("{domain}/*")] {
        let action = Action {
            verb: verb.to_owned(),
            group: "certificates.k8s.io".to_owned(),
            version: "*".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..Action::default()
        };
        if server.authorize(&attributes.user, &action).await.is_ok() {
            return Ok(());
        }
    }
    Err(attributes.forbidden(format_args!(
        "user not permitted to {verb} requests with signerName {signer:?}"
    )))
}
