//! Defaults of what shapes the API itself: webhooks, admission policies, custom resources,
//! aggregated services, flow control.

use serde_json::{Value, json};

use crate::tree::{descend, ensure, fill, fill_zero, items, list, object, text};

pub(super) fn apply(kind: &str, value: &mut Value) {
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            for webhook in items(value, "webhooks") {
                fill(webhook, "failurePolicy", "Fail");
                matching(webhook);
                fill(webhook, "timeoutSeconds", 10);
                if kind == "MutatingWebhookConfiguration" {
                    fill(webhook, "reinvocationPolicy", "Never");
                }
                items(webhook, "rules").for_each(|rule| fill(rule, "scope", "*"));
                if let Some(service) = descend(webhook, &["clientConfig", "service"]) {
                    fill(service, "port", 443);
                }
            }
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
            let Some(spec) = ensure(value, "spec") else { return };
            fill(spec, "failurePolicy", "Fail");
            if let Some(constraints) = object(spec, "matchConstraints") {
                resources(constraints);
            }
        }
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            let Some(spec) = ensure(value, "spec") else { return };
            if let Some(matched) = object(spec, "matchResources") {
                resources(matched);
            }
            if let Some(parameters) = object(spec, "paramRef") {
                fill(parameters, "parameterNotFoundAction", "Deny");
            }
        }
        "CustomResourceDefinition" => custom_resource(value),
        "APIService" => {
            if let Some(service) = descend(value, &["spec", "service"]) {
                fill(service, "port", 443);
            }
        }
        "FlowSchema" => {
            if let Some(spec) = ensure(value, "spec") {
                fill_zero(spec, "matchingPrecedence", 1000);
            }
        }
        "PriorityLevelConfiguration" => {
            if let Some(limited) = descend(value, &["spec", "limited"]) {
                fill(limited, "nominalConcurrencyShares", 30);
                fill(limited, "lendablePercent", 0);
                if let Some(queuing) = descend(limited, &["limitResponse", "queuing"]) {
                    fill_zero(queuing, "queues", 64);
                    fill_zero(queuing, "handSize", 8);
                    fill_zero(queuing, "queueLengthLimit", 50);
                }
            }
        }
        _ => {}
    }
}

fn matching(value: &mut Value) {
    fill(value, "matchPolicy", "Equivalent");
    fill(value, "namespaceSelector", json!({}));
    fill(value, "objectSelector", json!({}));
}

fn resources(value: &mut Value) {
    matching(value);
    for rules in ["resourceRules", "excludeResourceRules"] {
        items(value, rules).for_each(|rule| fill(rule, "scope", "*"));
    }
}

fn custom_resource(value: &mut Value) {
    let Some(spec) = ensure(value, "spec") else { return };
    if let Some(names) = object(spec, "names") {
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            fill_zero(names, "singular", kind.to_lowercase());
            fill_zero(names, "listKind", format!("{kind}List"));
        }
    }
    if let Some(conversion) = ensure(spec, "conversion") {
        fill_zero(conversion, "strategy", "None");
        if let Some(service) = descend(conversion, &["webhook", "clientConfig", "service"]) {
            fill(service, "port", 443);
        }
    }
    let stored = list(spec, "versions").iter().find(|version| version["storage"] == true);
    if let Some(name) = stored.map(|version| version["name"].clone())
        && let Some(status) = ensure(value, "status")
    {
        fill_zero(status, "storedVersions", json!([name]));
    }
}
