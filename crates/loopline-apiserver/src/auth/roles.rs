//! The cluster roles that every cluster has.
//!
//! Source: `bootstrappolicy/policy.go` of Kubernetes, as far as its resources are served here.

use super::rules::Rule;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const BOTH: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Label keys by which roles are put together.
const TO_ADMIN: &str = "rbac.authorization.k8s.io/aggregate-to-admin";
const TO_EDIT: &str = "rbac.authorization.k8s.io/aggregate-to-edit";
const TO_VIEW: &str = "rbac.authorization.k8s.io/aggregate-to-view";

/// A built-in cluster role.
#[derive(Debug)]
pub(super) struct Role {
    /// Its name.
    pub(super) name: &'static str,
    /// Labels besides the one of all that is built in.
    pub(super) labels: &'static [&'static str],
    /// Its rules.
    pub(super) rules: Vec<Rule>,
    /// The labels of the roles it is made of.
    pub(super) made_of: &'static [&'static str],
}

/// Returns the built-in cluster roles.
pub(super) fn roles() -> Vec<Role> {
    let mut roles = for_people();
    roles.extend(for_everybody());
    roles.extend(for_components());
    roles.extend(super::controllers::roles().map(|(name, rules)| plain(name, rules)));
    roles
}

fn plain(name: &'static str, rules: Vec<Rule>) -> Role {
    Role { name, labels: &[], rules, made_of: &[] }
}

fn for_people() -> Vec<Role> {
    let made = |name, labels, made_of| Role { name, labels, rules: Vec::new(), made_of };
    let part = |name, labels, rules| Role { name, labels, rules, made_of: &[] };
    vec![
        plain("cluster-admin", super::rbac::full_authority()),
        made("admin", &[], &[TO_ADMIN]),
        made("edit", &[TO_ADMIN], &[TO_EDIT]),
        made("view", &[TO_EDIT], &[TO_VIEW]),
        part("system:aggregate-to-admin", &[TO_ADMIN], administrates()),
        part("system:aggregate-to-edit", &[TO_EDIT], edits()),
        part("system:aggregate-to-view", &[TO_VIEW], views()),
    ]
}

fn administrates() -> Vec<Rule> {
    vec![
        Rule::resources(&["authorization.k8s.io"], &["localsubjectaccessreviews"], &["create"]),
        Rule::resources(&["rbac.authorization.k8s.io"], &["roles", "rolebindings"], BOTH),
    ]
}

fn edits() -> Vec<Rule> {
    let connect: &[&str] = &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy"];
    vec![
        Rule::resources(&[""], &[connect, &["secrets", "services/proxy"]].concat(), READ),
        Rule::resources(&[""], &["serviceaccounts"], &["impersonate"]),
        Rule::resources(&[""], &[&["pods"], connect].concat(), WRITE),
        Rule::resources(&[""], &["pods/eviction"], &["create"]),
        Rule::resources(
            &[""],
            &[
                "configmaps",
                "events",
                "persistentvolumeclaims",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "secrets",
                "serviceaccounts",
                "services",
                "services/proxy",
            ],
            WRITE,
        ),
        Rule::resources(&[""], &["serviceaccounts/token"], &["create"]),
        Rule::resources(
            &["apps"],
            &[
                "daemonsets",
                "deployments",
                "deployments/rollback",
                "deployments/scale",
                "replicasets",
                "replicasets/scale",
                "statefulsets",
                "statefulsets/scale",
            ],
            WRITE,
        ),
        Rule::resources(&["autoscaling"], &["horizontalpodautoscalers"], WRITE),
        Rule::resources(&["batch"], &["cronjobs", "jobs"], WRITE),
        Rule::resources(&["policy"], &["poddisruptionbudgets"], WRITE),
        Rule::resources(&["networking.k8s.io"], &["ingresses", "networkpolicies"], WRITE),
        Rule::resources(&["coordination.k8s.io"], &["leases"], BOTH),
    ]
}

fn views() -> Vec<Rule> {
    vec![
        Rule::resources(
            &[""],
            &[
                "configmaps",
                "endpoints",
                "persistentvolumeclaims",
                "persistentvolumeclaims/status",
                "pods",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "serviceaccounts",
                "services",
                "services/status",
            ],
            READ,
        ),
        Rule::resources(
            &[""],
            &[
                "bindings",
                "events",
                "limitranges",
                "namespaces/status",
                "pods/log",
                "pods/status",
                "replicationcontrollers/status",
                "resourcequotas",
                "resourcequotas/status",
            ],
            READ,
        ),
        Rule::resources(&[""], &["namespaces"], READ),
        Rule::resources(&["discovery.k8s.io"], &["endpointslices"], READ),
        Rule::resources(
            &["apps"],
            &[
                "controllerrevisions",
                "daemonsets",
                "daemonsets/status",
                "deployments",
                "deployments/scale",
                "deployments/status",
                "replicasets",
                "replicasets/scale",
                "replicasets/status",
                "statefulsets",
                "statefulsets/scale",
                "statefulsets/status",
            ],
            READ,
        ),
        Rule::resources(
            &["autoscaling"],
            &["horizontalpodautoscalers", "horizontalpodautoscalers/status"],
            READ,
        ),
        Rule::resources(&["batch"], &["cronjobs", "cronjobs/status", "jobs", "jobs/status"], READ),
        Rule::resources(
            &["policy"],
            &["poddisruptionbudgets", "poddisruptionbudgets/status"],
            READ,
        ),
        Rule::resources(
            &["networking.k8s.io"],
            &["ingresses", "ingresses/status", "networkpolicies"],
            READ,
        ),
    ]
}

fn for_everybody() -> Vec<Role> {
    let public: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery: &[&str] = &[
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    vec![
        plain("system:discovery", vec![Rule::paths(discovery, &["get"])]),
        plain("system:public-info-viewer", vec![Rule::paths(public, &["get"])]),
        plain(
            "system:basic-user",
            vec![
                Rule::resources(
                    &["authorization.k8s.io"],
                    &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                    &["create"],
                ),
                Rule::resources(&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
            ],
        ),
        plain(
            "system:service-account-issuer-discovery",
            vec![Rule::paths(
                &[
                    "/.well-known/openid-configuration",
                    "/.well-known/openid-configuration/",
                    "/openid/v1/jwks",
                    "/openid/v1/jwks/",
                ],
                &["get"],
            )],
        ),
        plain(
            "system:monitoring",
            vec![Rule::paths(
                &[
                    "/healthz",
                    "/healthz/*",
                    "/livez",
                    "/livez/*",
                    "/metrics",
                    "/metrics/slis",
                    "/readyz",
                    "/readyz/*",
                ],
                &["get"],
            )],
        ),
        plain(
            "system:auth-delegator",
            vec![
                Rule::resources(&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
                Rule::resources(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
            ],
        ),
    ]
}

fn for_components() -> Vec<Role> {
    let events =
        || Rule::resources(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]);
    vec![
        plain(
            "system:node",
            vec![
                Rule::resources(&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
                Rule::resources(
                    &["authorization.k8s.io"],
                    &["localsubjectaccessreviews", "subjectaccessreviews"],
                    &["create"],
                ),
                Rule::resources(&[""], &["services"], READ),
                Rule::resources(&[""], &["nodes"], &["create", "get", "list", "watch"]),
                Rule::resources(&[""], &["nodes/status"], &["patch", "update"]),
                Rule::resources(&[""], &["nodes"], &["patch", "update"]),
                events(),
                Rule::resources(&[""], &["pods"], READ),
                Rule::resources(&[""], &["pods"], &["create", "delete"]),
                Rule::resources(&[""], &["pods/status"], &["patch", "update"]),
                Rule::resources(&[""], &["pods/eviction"], &["create"]),
                Rule::resources(&[""], &["configmaps", "secrets"], READ),
                Rule::resources(&[""], &["persistentvolumeclaims", "persistentvolumes"], &["get"]),
                Rule::resources(&[""], &["serviceaccounts/token"], &["create"]),
                Rule::resources(
                    &["coordination.k8s.io"],
                    &["leases"],
                    &["create", "delete", "get", "patch", "update"],
                ),
                Rule::resources(&["node.k8s.io"], &["runtimeclasses"], READ),
            ],
        ),
        plain(
            "system:node-proxier",
            vec![
                Rule::resources(&[""], &["endpoints", "services"], &["list", "watch"]),
                Rule::resources(&[""], &["nodes"], READ),
                Rule::resources(&["discovery.k8s.io"], &["endpointslices"], &["list", "watch"]),
                events(),
            ],
        ),
        plain(
            "system:kube-scheduler",
            vec![
                events(),
                Rule::resources(
                    &["coordination.k8s.io"],
                    &["leases"],
                    &["create", "get", "list", "update", "watch"],
                ),
                Rule::resources(&[""], &["nodes"], READ),
                Rule::resources(&[""], &["pods"], &["delete", "get", "list", "watch"]),
                Rule::resources(&[""], &["bindings", "pods/binding"], &["create"]),
                Rule::resources(&[""], &["pods/status"], &["patch", "update"]),
                Rule::resources(&[""], &["replicationcontrollers", "services"], READ),
                Rule::resources(&["apps"], &["replicasets", "statefulsets"], READ),
                Rule::resources(&["policy"], &["poddisruptionbudgets"], READ),
                Rule::resources(&[""], &["persistentvolumeclaims", "persistentvolumes"], READ),
                Rule::resources(&["storage.k8s.io"], &["*"], READ),
                Rule::resources(&[""], &["namespaces"], READ),
            ],
        ),
        plain(
            "system:kube-controller-manager",
            vec![
                events(),
                Rule::resources(
                    &["coordination.k8s.io"],
                    &["leases"],
                    &["create", "get", "update"],
                ),
                Rule::resources(&[""], &["secrets", "serviceaccounts"], &["create"]),
                Rule::resources(&[""], &["secrets"], &["delete"]),
                Rule::resources(
                    &[""],
                    &["configmaps", "namespaces", "secrets", "serviceaccounts"],
                    &["get"],
                ),
                Rule::resources(&[""], &["secrets", "serviceaccounts"], &["update"]),
                Rule::resources(&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
                Rule::resources(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
                Rule::resources(&["*"], &["*"], &["list", "watch"]),
                Rule::resources(&[""], &["serviceaccounts/token"], &["create"]),
            ],
        ),
    ]
}
