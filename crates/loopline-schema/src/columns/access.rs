//! Tables of bindings of roles, signing requests, webhooks and admission policies.

use loopline_units::show_age;
use serde_json::Value;

use super::row::Row;
use super::{AGE, NAME, Table, integer, text, wide};
use crate::label_selector::show;
use crate::tree::{list, text as get};

pub(super) fn table(kind: &str) -> Option<&'static Table> {
    Some(match kind {
        "RoleBinding" | "ClusterRoleBinding" => &BINDING,
        "CertificateSigningRequest" => &SIGNING_REQUEST,
        "ClusterTrustBundle" => &TRUST_BUNDLE,
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => &WEBHOOKS,
        "ValidatingAdmissionPolicy" => &VALIDATING_POLICY,
        "MutatingAdmissionPolicy" => &MUTATING_POLICY,
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => &POLICY_BINDING,
        _ => return None,
    })
}

static BINDING: Table = Table {
    columns: &[
        NAME,
        text("Role", "The role that is given."),
        AGE,
        wide("Users", "The users it is given to."),
        wide("Groups", "The groups it is given to."),
        wide("ServiceAccounts", "The service accounts it is given to."),
    ],
    print: |row| {
        let role = row.at(&["roleRef"]);
        let subjects = |kind: &str| -> Value {
            list(row.object, "subjects")
                .iter()
                .filter(|subject| get(subject, "kind") == kind)
                .map(|subject| match get(subject, "namespace") {
                    namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
                        format!("{namespace}/{}", get(subject, "name"))
                    }
                    _ => get(subject, "name").to_owned(),
                })
                .collect::<Vec<_>>()
                .join(", ")
                .into()
        };
        vec![
            row.name(),
            format!("{}/{}", get(role, "kind"), get(role, "name")).into(),
            row.age(),
            subjects("User"),
            subjects("Group"),
            subjects("ServiceAccount"),
        ]
    },
};

static SIGNING_REQUEST: Table = Table {
    columns: &[
        NAME,
        AGE,
        text("SignerName", "Who should sign."),
        text("Requestor", "Who asks."),
        text("RequestedDuration", "How long the certificate should hold."),
        text("Condition", "Whether it is approved and issued."),
    ],
    print: |row| {
        let conditions = list(row.at(&["status"]), "conditions");
        let is = |kind| conditions.iter().any(|condition| get(condition, "type") == kind);
        let mut status = if is("Denied") {
            "Denied"
        } else if is("Approved") {
            "Approved"
        } else {
            "Pending"
        }
        .to_owned();
        if is("Failed") {
            status.push_str(",Failed");
        }
        if !row.text(&["status", "certificate"]).is_empty() {
            status.push_str(",Issued");
        }
        let duration = row.at(&["spec", "expirationSeconds"]).as_i64();
        vec![
            row.name(),
            row.age(),
            row.text_or(&["spec", "signerName"], "<none>"),
            row.text(&["spec", "username"]).into(),
            duration.map_or("<none>".to_owned(), show_age).into(),
            status.into(),
        ]
    },
};

static TRUST_BUNDLE: Table = Table {
    columns: &[NAME, text("SignerName", "Whose certificates it has.")],
    print: |row| vec![row.name(), row.text_or(&["spec", "signerName"], "<none>")],
};

static WEBHOOKS: Table = Table {
    columns: &[NAME, integer("Webhooks", "How many webhooks it has."), AGE],
    print: |row| vec![row.name(), list(row.object, "webhooks").len().into(), row.age()],
};

static VALIDATING_POLICY: Table = Table {
    columns: &[
        NAME,
        integer("Validations", "How many rules it has."),
        text("ParamKind", "The kind of its parameters."),
        AGE,
    ],
    print: |row| policy(row, "validations"),
};

static MUTATING_POLICY: Table = Table {
    columns: &[
        NAME,
        integer("Mutations", "How many changes it makes."),
        text("ParamKind", "The kind of its parameters."),
        AGE,
    ],
    print: |row| policy(row, "mutations"),
};

fn policy(row: &Row<'_>, rules: &str) -> Vec<Value> {
    let kind = row.at(&["spec", "paramKind"]);
    let parameters = if kind.is_object() {
        format!("{}/{}", get(kind, "apiVersion"), get(kind, "kind"))
    } else {
        "<unset>".to_owned()
    };
    vec![row.name(), list(row.at(&["spec"]), rules).len().into(), parameters.into(), row.age()]
}

static POLICY_BINDING: Table = Table {
    columns: &[
        NAME,
        text("PolicyName", "The policy that is bound."),
        text("ParamRef", "The object with its parameters."),
        AGE,
    ],
    print: |row| {
        let parameters = row.at(&["spec", "paramRef"]);
        let shown = match (get(parameters, "namespace"), get(parameters, "name")) {
            (_, "") if parameters["selector"].is_object() => show(&parameters["selector"]),
            (_, "") => "<unset>".to_owned(),
            ("", name) => format!("*/{name}"),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        vec![row.name(), row.text(&["spec", "policyName"]).into(), shown.into(), row.age()]
    },
};
