//! Rules of definitions of custom resources, outside their schemas, and of aggregated services.

use super::admission;
use super::check::{At, Checker};
use super::names;

/// Returns what is wrong with the name of a definition.
pub(super) fn definition_name(c: &mut Checker, at: &At<'_>) {
    let name = at.get("metadata.name");
    let expected =
        format!("{}.{}", at.get("spec.names.plural").text(), at.get("spec.group").text());
    if !name.text().is_empty() && name.text() != expected {
        c.invalid(&name, "must be spec.names.plural+\".\"+spec.group");
    }
}

/// Checks a definition of a custom resource, new or changed.
pub(super) fn definition(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>) {
    let spec = at.get("spec");
    let group = spec.get("group");
    if group.text().is_empty() {
        c.required(&group, "");
    } else {
        let problems = names::subdomain(group.text(), false);
        let plain = problems.is_empty() && !group.text().contains('.');
        c.problems(&group, problems);
        if plain {
            c.invalid(&group, "should be a domain with at least one dot");
        }
    }
    c.required_one_of(&spec.get("scope"), &["Cluster", "Namespaced"]);
    versions(c, &spec.get("versions"));
    resource_names(c, &spec.get("names"));
    conversion(c, &spec);
    if spec.get("preserveUnknownFields").is_true() {
        c.invalid(&spec.get("preserveUnknownFields"), "must be false");
    }
    approval(c, at, group.text());
    let stored = at.get("status.storedVersions");
    for (index, version) in stored.items().enumerate() {
        let known =
            spec.get("versions").items().any(|one| one.get("name").text() == version.text());
        if !known {
            let shown = version.shown_at(format!("status.storedVersions[{index}]"));
            c.invalid(&shown, "must appear in spec.versions");
        }
    }
    let Some(old) = old else { return };
    c.immutable(&group, &old.get("spec.group"));
    c.immutable(&spec.get("names.plural"), &old.get("spec.names.plural"));
    let established = old.get("status.conditions").items().any(|condition| {
        condition.get("type").text() == "Established" && condition.get("status").text() == "True"
    });
    if established {
        for key in ["scope", "names.kind"] {
            c.immutable(&spec.get(key), &old.get("spec").get(key));
        }
    }
}

fn versions(c: &mut Checker, versions: &At<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    let (mut storage, mut unique) = (0, true);
    for version in versions.items() {
        let name = version.get("name").or_empty();
        storage += usize::from(version.get("storage").is_true());
        unique &= !seen.contains(&name.text());
        seen.push(version.value["name"].as_str().unwrap_or_default());
        c.problems(&name, names::service(name.text(), false));
        if !version.get("schema.openAPIV3Schema").is_set() {
            c.required(&version.get("schema.openAPIV3Schema"), "schemas are required");
        }
        let warning = version.get("deprecationWarning");
        if warning.is_set() {
            if !version.get("deprecated").is_true() {
                let detail = "can only be set for deprecated versions";
                c.invalid(&warning, detail);
            }
            if warning.text().is_empty() {
                c.invalid(&warning, "must not be an empty string");
            }
        }
        for column in version.get("additionalPrinterColumns").items() {
            c.required_text(&column.get("name"));
            let kind = column.get("type").or_empty();
            let kinds = ["boolean", "date", "integer", "number", "string"];
            if kind.text().is_empty() {
                let listed = kinds.map(|one| format!("{one:?}")).join(", ");
                c.required(&kind, format!("must be one of {listed}"));
            } else if !kinds.contains(&kind.text()) {
                let listed = kinds.join(",");
                c.invalid(&kind, format!("must be one of {listed}"));
            }
            let path = column.get("jsonPath");
            if path.text().is_empty() {
                c.required(&path, "");
            }
        }
        let scale = version.get("subresources.scale");
        if scale.is_set() {
            for (key, below) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")]
            {
                let path = scale.get(key);
                if path.text().is_empty() {
                    c.required(&path, "");
                } else if !path.text().starts_with(below) {
                    let what = below.trim_end_matches('.');
                    c.invalid(&path, format!("should be a json path under {what}"));
                }
            }
        }
    }
    if !unique {
        c.invalid(versions, "must contain unique version names");
    }
    if storage != 1 {
        c.invalid(versions, "must have exactly one version marked as storage version");
    }
}

fn resource_names(c: &mut Checker, at: &At<'_>) {
    let (plural, singular) = (at.get("plural"), at.get("singular"));
    let (kind, list) = (at.get("kind"), at.get("listKind"));
    for name in [&plural, &singular] {
        if name.text().is_empty() {
            c.required(name, "");
        } else {
            c.problems(name, names::service(name.text(), false));
        }
    }
    for name in [&kind, &list] {
        let shown = name.or_empty();
        if shown.text().is_empty() {
            c.required(&shown, "");
            continue;
        }
        for problem in names::service(&shown.text().to_lowercase(), false) {
            let detail = format!("may have mixed case, but should otherwise match: {problem}");
            c.invalid(&shown, detail);
        }
    }
    for list in ["shortNames", "categories"] {
        for name in at.get(list).items() {
            c.problems(&name, names::service(name.text(), false));
        }
    }
    if !kind.text().is_empty() && kind.text() == list.text() {
        c.invalid(&list, "kind and listKind may not be the same");
    }
}

fn conversion(c: &mut Checker, spec: &At<'_>) {
    let at = spec.get("conversion");
    if !at.is_set() {
        return;
    }
    let (strategy, webhook) = (at.get("strategy"), at.get("webhook"));
    c.required_one_of(&strategy, &["None", "Webhook"]);
    if strategy.text() == "Webhook" {
        let config = webhook.get("clientConfig");
        if config.is_set() {
            let shown = config.shown_at("spec.conversion.webhookClientConfig".to_owned());
            admission::client(c, &shown, "exactly one of url or service is required");
        } else {
            let shown = config.shown_at("spec.conversion.webhookClientConfig".to_owned());
            c.required(&shown, "required when strategy is set to Webhook");
        }
        let versions = webhook
            .get("conversionReviewVersions")
            .shown_at("spec.conversion.conversionReviewVersions".to_owned());
        admission::review_versions(c, &versions, "");
    } else if webhook.is_set() {
        let shown = webhook.shown_at("spec.conversion.webhookClientConfig".to_owned());
        c.forbidden(&shown, "should not be set when strategy is not set to Webhook");
    }
}

/// Groups of Kubernetes itself are not for everybody.
fn approval(c: &mut Checker, at: &At<'_>, group: &str) {
    const ANNOTATION: &str = "api-approved.kubernetes.io";
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|suffix| group == *suffix || group.ends_with(&format!(".{suffix}")));
    let annotation = at.get("metadata.annotations").key(ANNOTATION);
    if protected && annotation.text().is_empty() {
        c.required(&annotation, "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111");
    }
}

/// Checks an aggregated service, new or changed.
pub(super) fn api_service(c: &mut Checker, at: &At<'_>) {
    let (name, spec) = (at.get("metadata.name"), at.get("spec"));
    let (group, version) = (spec.get("group"), spec.get("version"));
    let expected = format!("{}.{}", version.text(), group.text());
    if name.text() != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        c.invalid(&name, detail);
    }
    if group.text().is_empty() {
        if version.text() != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            c.required(&group, detail);
        }
    } else {
        c.problems(&group, names::subdomain(group.text(), false));
    }
    if version.text().is_empty() {
        c.required(&version, "");
    } else {
        c.problems(&version, names::service(version.text(), false));
    }
    for (key, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let priority = spec.get(key);
        if priority.number() <= 0 || priority.number() > most {
            let detail = format!("must be positive and less than {most}");
            c.invalid_as(&priority, priority.number(), detail);
        }
    }
    let service = spec.get("service");
    if !service.is_set() {
        if !spec.get("caBundle").text().is_empty() {
            let detail = "local APIServices may not have a caBundle";
            c.invalid_as(
                &spec.get("caBundle"),
                format!("{} bytes", spec.get("caBundle").text().len()),
                detail,
            );
        }
        if spec.get("insecureSkipTLSVerify").is_true() {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            c.invalid(&spec.get("insecureSkipTLSVerify"), detail);
        }
        return;
    }
    c.required_text(&service.get("namespace"));
    c.required_text(&service.get("name"));
    let port = service.get("port");
    if port.is_set() {
        for problem in names::port_number(port.number()) {
            c.invalid(&port, format!("port is not valid: {problem}"));
        }
    }
    if spec.get("insecureSkipTLSVerify").is_true() && !spec.get("caBundle").text().is_empty() {
        let detail = "may not be true if caBundle is present";
        c.invalid(&spec.get("insecureSkipTLSVerify"), detail);
    }
}
