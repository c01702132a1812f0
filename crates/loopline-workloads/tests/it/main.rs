//! The controllers against the API server, in one process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use loopline_apiserver::{Options, Server};
use loopline_clock::Clock;
use loopline_tls::{Authority, Subject};
use serde_json::json;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test with a server and its controllers.
fn with_controllers<F: Future<Output = ()>>(test: impl FnOnce(Client) -> F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::new(Options::ephemeral().unwrap());
        let client = server.client();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        // Servers that furnish themselves have it already.
        if namespaces.get_opt("default").await.unwrap().is_none() {
            let namespace = serde_json::from_value(json!({"metadata": {"name": "default"}}));
            namespaces.create(&PostParams::default(), &namespace.unwrap()).await.unwrap();
        }
        let shutdown = server.shutdown().clone();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), &Clock::real()).unwrap();
        let options = loopline_workloads::Options {
            client: client.clone(),
            clock: Clock::real(),
            authority: Arc::new(authority),
        };
        let running = tokio::spawn(loopline_workloads::run(options, shutdown.clone()));
        test(client).await;
        shutdown.cancel();
        running.await.unwrap();
    });
}

/// Waits until a condition holds.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

fn config_map(name: &str, owner: Option<&ConfigMap>, blocks: bool) -> ConfigMap {
    let mut map = json!({"metadata": {"name": name}});
    if let Some(owner) = owner {
        map["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(),
            "uid": owner.uid().unwrap(), "blockOwnerDeletion": blocks,
        }]);
    }
    serde_json::from_value(map).unwrap()
}

async fn make(maps: &Api<ConfigMap>, name: &str, owner: Option<&ConfigMap>) -> ConfigMap {
    maps.create(&PostParams::default(), &config_map(name, owner, true)).await.unwrap()
}

#[test]
fn dependents_go_after_their_owner() {
    with_controllers(|client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let owner = make(&maps, "owner", None).await;
        let child = make(&maps, "child", Some(&owner)).await;
        make(&maps, "grandchild", Some(&child)).await;
        make(&maps, "stranger", None).await;
        maps.delete("owner", &DeleteParams::background()).await.unwrap();
        until("the grandchild goes", || async {
            maps.get_opt("grandchild").await.unwrap().is_none()
        })
        .await;
        assert!(maps.get_opt("child").await.unwrap().is_none());
        assert!(maps.get_opt("stranger").await.unwrap().is_some());
    });
}

#[test]
fn an_owner_of_the_same_name_owns_nothing_of_its_predecessor() {
    with_controllers(|client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let owner = make(&maps, "owner", None).await;
        maps.delete("owner", &DeleteParams::background()).await.unwrap();
        make(&maps, "owner", None).await;
        make(&maps, "late", Some(&owner)).await;
        until("the late child goes", || async { maps.get_opt("late").await.unwrap().is_none() })
            .await;
        assert!(maps.get_opt("owner").await.unwrap().is_some());
    });
}

#[test]
fn an_owner_in_the_foreground_goes_last() {
    with_controllers(|client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let owner = make(&maps, "owner", None).await;
        let mut child = config_map("child", Some(&owner), true);
        child.metadata.finalizers = Some(vec!["test/hold".to_owned()]);
        maps.create(&PostParams::default(), &child).await.unwrap();
        maps.delete("owner", &DeleteParams::foreground()).await.unwrap();
        until("the child is being deleted", || async {
            maps.get("child").await.unwrap().metadata.deletion_timestamp.is_some()
        })
        .await;
        let held = maps.get("owner").await.unwrap();
        assert_eq!(held.finalizers(), ["foregroundDeletion"]);
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch("child", &PatchParams::default(), &patch).await.unwrap();
        until("the owner goes", || async { maps.get_opt("owner").await.unwrap().is_none() }).await;
        assert!(maps.get_opt("child").await.unwrap().is_none());
    });
}

#[test]
fn orphans_stay_without_their_owner() {
    with_controllers(|client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let owner = make(&maps, "owner", None).await;
        make(&maps, "child", Some(&owner)).await;
        // The collector must know the child before it can let it go.
        let kinds: Api<ConfigMap> = maps.clone();
        maps.delete("owner", &DeleteParams::orphan()).await.unwrap();
        until("the owner goes", || async { kinds.get_opt("owner").await.unwrap().is_none() }).await;
        let child = maps.get("child").await.unwrap();
        assert_eq!(child.owner_references(), []);
    });
}

#[test]
fn an_object_with_another_owner_stays_and_forgets_the_one_that_went() {
    with_controllers(|client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let (one, two) = (make(&maps, "one", None).await, make(&maps, "two", None).await);
        let mut child = config_map("child", Some(&one), false);
        let other = config_map("x", Some(&two), false).metadata.owner_references.unwrap();
        child.metadata.owner_references.as_mut().unwrap().extend(other);
        maps.create(&PostParams::default(), &child).await.unwrap();
        maps.delete("one", &DeleteParams::background()).await.unwrap();
        until("the owner is forgotten", || async {
            maps.get("child").await.unwrap().owner_references().len() == 1
        })
        .await;
        maps.delete("two", &DeleteParams::background()).await.unwrap();
        until("the child goes", || async { maps.get_opt("child").await.unwrap().is_none() }).await;
        // Kinds of other groups are collected as well.
        let (sets, deployments): (Api<ReplicaSet>, Api<Deployment>) =
            (Api::default_namespaced(client.clone()), Api::default_namespaced(client));
        let spec = json!({
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        });
        let web: Deployment =
            serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap();
        let web = deployments.create(&PostParams::default(), &web).await.unwrap();
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
                "uid": web.uid().unwrap(), "controller": true,
            }]},
            "spec": spec,
        }))
        .unwrap();
        sets.create(&PostParams::default(), &set).await.unwrap();
        deployments.delete("web", &DeleteParams::background()).await.unwrap();
        until("the set goes", || async { sets.get_opt("web-1").await.unwrap().is_none() }).await;
    });
}

#[test]
fn namespaces_are_furnished_and_emptied() {
    with_controllers(|client| async move {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "shop");
        let maps: Api<ConfigMap> = Api::namespaced(client, "shop");
        until("the account is there", || async {
            accounts.get_opt("default").await.unwrap().is_some()
        })
        .await;
        until("the certificate is there", || async {
            maps.get_opt("kube-root-ca.crt").await.unwrap().is_some()
        })
        .await;
        accounts.delete("default", &DeleteParams::background()).await.unwrap();
        until("the account is there again", || async {
            accounts.get_opt("default").await.unwrap().is_some()
        })
        .await;
        let mut held = config_map("held", None, false);
        held.metadata.finalizers = Some(vec!["test/hold".to_owned()]);
        maps.create(&PostParams::default(), &held).await.unwrap();
        namespaces.delete("shop", &DeleteParams::background()).await.unwrap();
        until("the namespace says what it waits for", || async {
            let status = namespaces.get("shop").await.unwrap().status.unwrap();
            status.phase.as_deref() == Some("Terminating")
                && status.conditions.unwrap_or_default().iter().any(|condition| {
                    condition.type_ == "NamespaceContentRemaining" && condition.status == "True"
                })
        })
        .await;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch("held", &PatchParams::default(), &patch).await.unwrap();
        until("the namespace goes", || async {
            namespaces.get_opt("shop").await.unwrap().is_none()
        })
        .await;
        let left = maps.list(&ListParams::default()).await.unwrap();
        assert_eq!(left.items.len(), 0);
    });
}

#[test]
fn aggregated_roles_say_what_they_allow() {
    with_controllers(|client| async move {
        let roles: Api<ClusterRole> = Api::all(client);
        let holds = async |role: &str, resource: &str| {
            let rules = roles.get(role).await.unwrap().rules.unwrap_or_default();
            rules.iter().any(|rule| {
                rule.resources.iter().flatten().any(|one| one == resource)
                    && rule.verbs.iter().any(|verb| verb == "get" || verb == "list")
            })
        };
        // Through two others: what one views, one edits, and administrates.
        until("the built-in roles have their rules", || holds("admin", "configmaps")).await;
        assert!(!holds("view", "secrets").await && !holds("view", "toys").await);
        let mut part: ClusterRole = serde_json::from_value(json!({
            "metadata": {
                "name": "toys", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
            },
            "rules": [
                {"apiGroups": ["example.com"], "resources": ["toys"], "verbs": ["get", "list"]},
            ],
        }))
        .unwrap();
        part = roles.create(&PostParams::default(), &part).await.unwrap();
        for role in ["view", "edit", "admin"] {
            until("the new rule arrives", || holds(role, "toys")).await;
        }
        let view = roles.get("view").await.unwrap();
        let managers = view.managed_fields().iter().filter_map(|entry| entry.manager.as_deref());
        assert!(managers.into_iter().any(|one| one == "clusterrole-aggregation-controller"));
        // By hand nothing is added to it, and what goes, goes.
        let by_hand = Patch::Merge(json!({"rules": []}));
        roles.patch("view", &PatchParams::default(), &by_hand).await.unwrap();
        until("the rules come back", || holds("view", "toys")).await;
        roles.delete(&part.name_any(), &DeleteParams::default()).await.unwrap();
        until("the rule goes", || async { !holds("admin", "toys").await }).await;
    });
}

/// Returns a request for a certificate in PEM form.
fn request(name: &str, group: &str, dns: &[&str]) -> String {
    let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn approved_requests_are_signed_as_far_as_their_signer_may() {
    with_controllers(|client| async move {
        let requests: Api<CertificateSigningRequest> = Api::all(client);
        let ask = async |name: &str, signer: &str, pem: &str, usages: &[&str]| {
            let request: CertificateSigningRequest = serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {
                    "signerName": format!("kubernetes.io/{signer}"), "usages": usages,
                    "request": ByteString(pem.as_bytes().to_vec()), "expirationSeconds": 3600,
                },
            }))
            .unwrap();
            requests.create(&PostParams::default(), &request).await.unwrap();
        };
        let decide = async |name: &str, kind: &str| {
            let mut request = requests.get(name).await.unwrap();
            request.status = serde_json::from_value(json!({"conditions": [
                {"type": kind, "status": "True", "reason": "Test"},
            ]}))
            .unwrap();
            requests
                .replace_subresource("approval", name, &PostParams::default(), &request)
                .await
                .unwrap();
        };
        let status = async |name: &str| requests.get(name).await.unwrap().status.unwrap();
        let (client_usages, server_usages) =
            (["digital signature", "client auth"], ["digital signature", "server auth"]);
        let ann = request("ann", "dev", &[]);
        let node = request("system:node:a", "system:nodes", &["a.local"]);
        ask("client", "kube-apiserver-client", &ann, &client_usages).await;
        ask("denied", "kube-apiserver-client", &ann, &client_usages).await;
        ask("waits", "kube-apiserver-client", &ann, &client_usages).await;
        ask("serving", "kubelet-serving", &node, &server_usages).await;
        ask("no-server", "kube-apiserver-client", &ann, &server_usages).await;
        ask("no-node", "kubelet-serving", &ann, &server_usages).await;
        ask("no-names", "kube-apiserver-client-kubelet", &node, &client_usages).await;
        decide("denied", "Denied").await;
        for name in ["client", "serving", "no-server", "no-node", "no-names"] {
            decide(name, "Approved").await;
        }
        for (name, subject) in [("client", "ann"), ("serving", "system:node:a")] {
            until("it is signed", || async { status(name).await.certificate.is_some() }).await;
            let pem = status(name).await.certificate.unwrap().0;
            let der = der_of(&pem);
            assert_eq!(Subject::of_certificate(&der).unwrap().common_name, subject);
        }
        for (name, why) in [
            ("no-server", "usages did not match"),
            ("no-node", "subject organization is not system:nodes"),
            ("no-names", "DNS subjectAltNames are not allowed"),
        ] {
            let failure = async || {
                let conditions = status(name).await.conditions.unwrap_or_default();
                conditions.into_iter().find(|one| one.type_ == "Failed")
            };
            until("it fails", || async { failure().await.is_some() }).await;
            let failed = failure().await.unwrap();
            assert!(failed.message.unwrap().contains(why), "{name}");
            assert!(status(name).await.certificate.is_none(), "{name}");
        }
        for name in ["denied", "waits"] {
            assert!(status(name).await.certificate.is_none(), "{name}");
        }
    });
}

fn der_of(pem: &[u8]) -> Vec<u8> {
    use loopline_tls::rustls::pki_types::CertificateDer;
    use loopline_tls::rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}
