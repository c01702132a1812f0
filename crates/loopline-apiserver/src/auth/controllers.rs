//! The cluster roles of Kubernetes' own controllers (`system:controller:...`), and to whom they
//! are bound: the service account of each controller in `kube-system`.
//!
//! Source: `bootstrappolicy/controller_policy.go` of Kubernetes, as far as its resources are
//! served here and without what is behind feature gates.

use super::rules::Rule;

/// What the names of all these roles begin with.
const PREFIX: &str = "system:controller:";

/// Verbs, groups and resources, each parted by spaces; an empty group is the core group.
type Line = (&'static str, &'static str, &'static str);

const READ: &str = "get list watch";

/// The controllers that tell of nothing by events.
const SILENT: &[&str] = &[
    "system:controller:clusterrole-aggregation-controller",
    "system:controller:legacy-service-account-token-cleaner",
    "system:controller:namespace-controller",
    "system:controller:pod-garbage-collector",
];

/// The roles by their names.
const ROLES: &[(&str, &[Line])] = &[
    (
        "system:controller:attachdetach-controller",
        &[
            ("list watch", "", "persistentvolumes persistentvolumeclaims"),
            (READ, "", "nodes"),
            ("patch update", "", "nodes/status"),
            ("list watch", "", "pods"),
            ("get create delete list watch", "storage.k8s.io", "volumeattachments"),
            (READ, "storage.k8s.io", "csidrivers"),
            (READ, "storage.k8s.io", "csinodes"),
        ],
    ),
    (
        "system:controller:certificate-controller",
        &[
            ("get list watch delete", "certificates.k8s.io", "certificatesigningrequests"),
            (
                "update",
                "certificates.k8s.io",
                "certificatesigningrequests/status certificatesigningrequests/approval",
            ),
            ("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
    ),
    (
        "system:controller:clusterrole-aggregation-controller",
        &[("escalate get list watch update patch", "rbac.authorization.k8s.io", "clusterroles")],
    ),
    (
        "system:controller:cronjob-controller",
        &[
            ("get list watch update", "batch", "cronjobs"),
            ("get list watch create update delete patch", "batch", "jobs"),
            ("update", "batch", "cronjobs/status"),
            ("update", "batch", "cronjobs/finalizers"),
            ("list watch delete", "", "pods"),
        ],
    ),
    (
        "system:controller:daemon-set-controller",
        &[
            (READ, "extensions apps", "daemonsets"),
            ("update", "extensions apps", "daemonsets/status"),
            ("update", "extensions apps", "daemonsets/finalizers"),
            ("list watch", "", "nodes"),
            ("list watch create delete patch", "", "pods"),
            ("create", "", "pods/binding"),
            ("get list watch create delete update patch", "apps", "controllerrevisions"),
        ],
    ),
    (
        "system:controller:deployment-controller",
        &[
            ("get list watch update", "extensions apps", "deployments"),
            ("update", "extensions apps", "deployments/status"),
            ("update", "extensions apps", "deployments/finalizers"),
            ("get list watch create update patch delete", "apps extensions", "replicasets"),
            ("get list watch update", "", "pods"),
        ],
    ),
    (
        "system:controller:disruption-controller",
        &[
            (READ, "extensions apps", "deployments"),
            (READ, "apps extensions", "replicasets"),
            (READ, "", "replicationcontrollers"),
            (READ, "policy", "poddisruptionbudgets"),
            (READ, "apps", "statefulsets"),
            ("update", "policy", "poddisruptionbudgets/status"),
            ("patch update", "", "pods/status"),
            ("get", "*", "*/scale"),
        ],
    ),
    (
        "system:controller:endpoint-controller",
        &[
            (READ, "", "services pods"),
            ("get list watch create update delete", "", "endpoints"),
            ("create", "", "endpoints/restricted"),
        ],
    ),
    (
        "system:controller:endpointslice-controller",
        &[
            (READ, "", "services pods nodes"),
            ("update", "", "services/finalizers"),
            ("get list watch create update delete", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    (
        "system:controller:endpointslicemirroring-controller",
        &[
            (READ, "", "services endpoints"),
            ("update", "", "services/finalizers"),
            ("update", "", "endpoints/finalizers"),
            ("get list watch create update delete", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    (
        "system:controller:ephemeral-volume-controller",
        &[
            (READ, "", "pods"),
            ("update", "", "pods/finalizers"),
            ("get list watch create", "", "persistentvolumeclaims"),
        ],
    ),
    (
        "system:controller:expand-controller",
        &[
            ("get list watch update patch", "", "persistentvolumes"),
            ("update patch", "", "persistentvolumeclaims/status"),
            (READ, "", "persistentvolumeclaims"),
            ("get", "", "services"),
        ],
    ),
    (
        "system:controller:generic-garbage-collector",
        &[("get list watch patch update delete", "*", "*")],
    ),
    (
        "system:controller:horizontal-pod-autoscaler",
        &[
            (READ, "autoscaling", "horizontalpodautoscalers"),
            ("update", "autoscaling", "horizontalpodautoscalers/status"),
            ("get update", "*", "*/scale"),
            ("list watch", "", "pods"),
            ("list watch", "metrics.k8s.io", "pods"),
            (READ, "custom.metrics.k8s.io", "*"),
            (READ, "external.metrics.k8s.io", "*"),
        ],
    ),
    (
        "system:controller:job-controller",
        &[
            ("get list watch update patch", "batch", "jobs"),
            ("update", "batch", "jobs/status"),
            ("update", "batch", "jobs/finalizers"),
            ("list watch create delete patch", "", "pods"),
        ],
    ),
    ("system:controller:legacy-service-account-token-cleaner", &[("patch delete", "", "secrets")]),
    (
        "system:controller:namespace-controller",
        &[
            ("get list watch delete", "", "namespaces"),
            ("update", "", "namespaces/finalize namespaces/status"),
            ("get list watch delete deletecollection", "*", "*"),
        ],
    ),
    (
        "system:controller:node-controller",
        &[
            ("get list watch update delete patch", "", "nodes"),
            ("patch update", "", "nodes/status"),
            ("patch update", "", "pods/status"),
            ("list watch get delete", "", "pods"),
        ],
    ),
    (
        "system:controller:persistent-volume-binder",
        &[
            ("get list watch update create delete", "", "persistentvolumes"),
            ("update", "", "persistentvolumes/status"),
            ("get list watch update", "", "persistentvolumeclaims"),
            ("update", "", "persistentvolumeclaims/status"),
            ("list watch get create delete", "", "pods"),
            (READ, "storage.k8s.io", "storageclasses"),
            ("list watch", "", "nodes"),
            ("watch", "", "events"),
            ("get", "", "services"),
        ],
    ),
    (
        "system:controller:pod-garbage-collector",
        &[("list watch delete", "", "pods"), (READ, "", "nodes"), ("patch", "", "pods/status")],
    ),
    (
        "system:controller:pv-protection-controller",
        &[("get list watch update", "", "persistentvolumes")],
    ),
    (
        "system:controller:pvc-protection-controller",
        &[("get list watch update", "", "persistentvolumeclaims"), ("list watch get", "", "pods")],
    ),
    (
        "system:controller:replicaset-controller",
        &[
            ("get list watch update", "apps extensions", "replicasets"),
            ("update", "apps extensions", "replicasets/status"),
            ("update", "apps extensions", "replicasets/finalizers"),
            ("list watch patch create delete", "", "pods"),
        ],
    ),
    (
        "system:controller:replication-controller",
        &[
            ("get list watch update", "", "replicationcontrollers"),
            ("update", "", "replicationcontrollers/status"),
            ("update", "", "replicationcontrollers/finalizers"),
            ("list watch patch create delete", "", "pods"),
        ],
    ),
    (
        "system:controller:resourcequota-controller",
        &[("list watch", "*", "*"), ("update", "", "resourcequotas/status")],
    ),
    ("system:controller:root-ca-cert-publisher", &[("create update", "", "configmaps")]),
    (
        "system:controller:route-controller",
        &[("list watch", "", "nodes"), ("patch", "", "nodes/status")],
    ),
    ("system:controller:service-account-controller", &[("create", "", "serviceaccounts")]),
    (
        "system:controller:service-controller",
        &[
            (READ, "", "services"),
            ("patch update", "", "services/status"),
            ("list watch", "", "nodes"),
        ],
    ),
    (
        "system:controller:statefulset-controller",
        &[
            ("list watch", "", "pods"),
            (READ, "apps", "statefulsets"),
            ("update", "apps", "statefulsets/status"),
            ("update", "apps", "statefulsets/finalizers"),
            ("get create delete update patch", "", "pods"),
            ("get create delete update patch list watch", "apps", "controllerrevisions"),
            ("get create list watch", "", "persistentvolumeclaims"),
            ("update delete", "", "persistentvolumeclaims"),
            ("update", "", "pods/finalizers"),
        ],
    ),
    (
        "system:controller:ttl-after-finished-controller",
        &[("get list watch delete", "batch", "jobs")],
    ),
    ("system:controller:ttl-controller", &[("update patch list watch", "", "nodes")]),
    (
        "system:controller:validatingadmissionpolicy-status-controller",
        &[
            (READ, "admissionregistration.k8s.io", "validatingadmissionpolicies"),
            (
                "get patch update",
                "admissionregistration.k8s.io",
                "validatingadmissionpolicies/status",
            ),
        ],
    ),
];

/// Returns the roles: their names and rules.
pub(super) fn roles() -> impl Iterator<Item = (&'static str, Vec<Rule>)> {
    ROLES.iter().map(|(name, lines)| {
        let mut rules: Vec<Rule> = lines.iter().map(rule).collect();
        if *name == "system:controller:certificate-controller" {
            rules.extend(signers());
        }
        if *name == "system:controller:legacy-service-account-token-cleaner" {
            let names = ["kube-apiserver-legacy-service-account-token-tracking"];
            rules.push(Rule::resources(&[""], &["configmaps"], &["get"]).named(&names));
        }
        if !SILENT.contains(name) {
            let verbs = &["create", "update", "patch"];
            rules.push(Rule::resources(&["", "events.k8s.io"], &["events"], verbs));
        }
        (*name, rules)
    })
}

/// Returns the service account that a role is bound to.
pub(super) fn account(role: &'static str) -> Option<&'static str> {
    role.strip_prefix(PREFIX)
}

fn rule((verbs, groups, resources): &Line) -> Rule {
    let parts = |text: &'static str| text.split(' ').collect::<Vec<_>>();
    Rule::resources(&parts(groups), &parts(resources), &parts(verbs))
}

/// Returns what the controller of certificates may approve and sign.
fn signers() -> [Rule; 2] {
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    let all = [
        "kubernetes.io/legacy-unknown",
        "kubernetes.io/kube-apiserver-client",
        kubelet,
        "kubernetes.io/kubelet-serving",
    ];
    let signers = |verb| Rule::resources(&["certificates.k8s.io"], &["signers"], &[verb]);
    [signers("approve").named(&[kubelet]), signers("sign").named(&all)]
}
