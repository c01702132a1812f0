//! Requests for certificates that were approved: the API's own authority signs those of the
//! signers that every cluster has (`kubernetes.io/...`), as far as each of them may sign.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use loopline_tls::{Authority, Request};

/// How long is waited after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// How long a certificate lasts at most, and where nothing is asked for.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the names of nodes begin with, and their group.
const NODE: &str = "system:node:";
const NODES: &str = "system:nodes";

struct Context {
    requests: Api<CertificateSigningRequest>,
    authority: Arc<Authority>,
}

/// Signs what was approved; never ends.
pub(crate) async fn run(client: Client, authority: Arc<Authority>) {
    let requests: Api<CertificateSigningRequest> = Api::all(client);
    let context = Arc::new(Context { requests: requests.clone(), authority });
    Controller::new(requests, watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(RETRY), context)
        // What failed is told by its retry; there is nobody to tell else.
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile(
    request: Arc<CertificateSigningRequest>,
    context: Arc<Context>,
) -> kube::Result<Action> {
    let Some(signer) = Signer::of(&request.spec.signer_name) else {
        return Ok(Action::await_change());
    };
    if !is_due(&request) {
        return Ok(Action::await_change());
    }
    let mut answered = CertificateSigningRequest::clone(&request);
    let status = answered.status.get_or_insert_with(CertificateSigningRequestStatus::default);
    match sign(&context.authority, signer, &request) {
        Ok(certificate) => status.certificate = Some(ByteString(certificate.into_bytes())),
        Err(why) => {
            status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
                type_: "Failed".to_owned(),
                status: "True".to_owned(),
                reason: Some("SignerValidationFailure".to_owned()),
                message: Some(why),
                last_transition_time: None,
                last_update_time: None,
            })
        }
    }
    let name = request.name_any();
    // The revision is that which was looked at: whoever denied it in between is heard.
    context.requests.replace_status(&name, &PostParams::default(), &answered).await?;
    Ok(Action::await_change())
}

/// Returns whether a request was approved and has no answer yet.
fn is_due(request: &CertificateSigningRequest) -> bool {
    let Some(status) = &request.status else { return false };
    let has = |kind: &str| {
        status.conditions.iter().flatten().any(|one| one.type_ == kind && one.status != "False")
    };
    status.certificate.is_none() && has("Approved") && !has("Denied") && !has("Failed")
}

fn sign(
    authority: &Authority,
    signer: Signer,
    request: &CertificateSigningRequest,
) -> Result<String, String> {
    let asked = Request::from_pem(&request.spec.request.0).map_err(|error| error.to_string())?;
    let usages = request.spec.usages.clone().unwrap_or_default();
    signer.check(&asked, &usages)?;
    let lasts = request.spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let lasts = lasts.map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST));
    authority.sign(asked, &usages, lasts).map_err(|error| error.to_string())
}

/// A signer that every cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    /// Clients of the API.
    Client,
    /// Nodes as clients of the API.
    KubeletClient,
    /// Nodes as servers.
    KubeletServing,
    /// Anything, for nobody in particular.
    Legacy,
}

impl Signer {
    fn of(name: &str) -> Option<Self> {
        match name {
            "kubernetes.io/kube-apiserver-client" => Some(Self::Client),
            "kubernetes.io/kube-apiserver-client-kubelet" => Some(Self::KubeletClient),
            "kubernetes.io/kubelet-serving" => Some(Self::KubeletServing),
            "kubernetes.io/legacy-unknown" => Some(Self::Legacy),
            _ => None,
        }
    }

    /// Checks that the signer may sign a request.
    fn check(self, request: &Request, usages: &[String]) -> Result<(), String> {
        let names = request.names();
        match self {
            Self::Legacy => Ok(()),
            Self::Client => only(usages, "client auth"),
            Self::KubeletClient => {
                check_node(request)?;
                for (count, kind) in [
                    (names.dns, "DNS"),
                    (names.emails, "Email"),
                    (names.addresses, "IP"),
                    (names.others, "URI"),
                ] {
                    if count > 0 {
                        return Err(format!("{kind} subjectAltNames are not allowed"));
                    }
                }
                only(usages, "client auth")
            }
            Self::KubeletServing => {
                check_node(request)?;
                if names.dns + names.addresses == 0 {
                    return Err("DNS or IP subjectAltName is required".to_owned());
                }
                for (count, kind) in [(names.emails, "Email"), (names.others, "URI")] {
                    if count > 0 {
                        return Err(format!("{kind} subjectAltNames are not allowed"));
                    }
                }
                only(usages, "server auth")
            }
        }
    }
}

/// Checks that a request is a node's.
fn check_node(request: &Request) -> Result<(), String> {
    if request.subject().organizations != [NODES] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    if !request.subject().common_name.starts_with(NODE) {
        return Err("subject common name does not begin with system:node:".to_owned());
    }
    Ok(())
}

/// Checks that the usages are this one and what it needs of the key.
fn only(usages: &[String], wanted: &str) -> Result<(), String> {
    let known = |usage: &String| {
        matches!(usage.as_str(), "digital signature" | "key encipherment") || usage == wanted
    };
    if usages.iter().any(|usage| usage == wanted) && usages.iter().all(known) {
        return Ok(());
    }
    Err(format!(
        "usages did not match [digital signature, key encipherment, {wanted}] with {wanted} required"
    ))
}
