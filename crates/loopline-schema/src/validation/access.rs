//! Rules of roles, bindings and certificate signing requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::check::{At, Checker, equal};
use super::{meta, names};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Checks a role or a cluster's role.
pub(super) fn role(c: &mut Checker, at: &At<'_>, namespaced: bool) {
    for rule in at.get("rules").items() {
        let (verbs, urls) = (rule.get("verbs"), rule.get("nonResourceURLs"));
        let lists = [rule.get("apiGroups"), rule.get("resources"), rule.get("resourceNames")];
        if verbs.len() == 0 {
            c.required(&verbs, "verbs must contain at least one value");
        }
        if urls.len() > 0 {
            if namespaced {
                c.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
            }
            if lists.iter().any(|list| list.len() > 0) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                c.invalid(&urls, detail);
            }
            continue;
        }
        if lists[0].len() == 0 {
            c.required(&lists[0], "resource rules must supply at least one api group");
        }
        if lists[1].len() == 0 {
            c.required(&lists[1], "resource rules must supply at least one resource");
        }
    }
    let aggregation = at.get("aggregationRule");
    if !aggregation.is_set() {
        return;
    }
    let selectors = aggregation.get("clusterRoleSelectors");
    if selectors.len() == 0 {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        c.required(&selectors, detail);
    }
    selectors.items().for_each(|one| meta::selector(c, &one));
}

/// Checks a binding of a role.
pub(super) fn binding(c: &mut Checker, at: &At<'_>, old: Option<&At<'_>>, namespaced: bool) {
    let role = at.get("roleRef");
    let (group, kind, name) =
        (role.get("apiGroup").or_empty(), role.get("kind").or_empty(), role.get("name"));
    c.one_of(&group, &[GROUP]);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    c.one_of(&kind, kinds);
    if name.text().is_empty() {
        c.required(&name, "");
    } else {
        c.problems(&name, names::path_segment(name.text(), false));
    }
    for subject in at.get("subjects").items() {
        let (name, group) = (subject.get("name"), subject.get("apiGroup").or_empty());
        let kind = subject.get("kind").or_empty();
        c.required_text(&name);
        match kind.text() {
            "ServiceAccount" => {
                if !name.text().is_empty() {
                    c.problems(&name, names::subdomain(name.text(), false));
                }
                c.one_of(&group, &[""]);
                if !namespaced {
                    c.required_text(&subject.get("namespace"));
                }
            }
            "User" | "Group" => c.one_of(&group, &[GROUP]),
            _ => c.unsupported(&kind, &["ServiceAccount", "User", "Group"]),
        }
    }
    if let Some(old) = old
        && !equal(role.value, old.get("roleRef").value)
    {
        c.invalid(&role, "cannot change roleRef");
    }
}

/// Checks a request for a certificate.
pub(super) fn signing_request(c: &mut Checker, at: &At<'_>) {
    const LEAST_SECONDS: i64 = 600;
    const USAGES: [&str; 23] = [
        "any",
        "cert sign",
        "client auth",
        "code signing",
        "content commitment",
        "crl sign",
        "data encipherment",
        "decipher only",
        "digital signature",
        "email protection",
        "encipher only",
        "ipsec end system",
        "ipsec tunnel",
        "ipsec user",
        "key agreement",
        "key encipherment",
        "microsoft sgc",
        "netscape sgc",
        "ocsp signing",
        "s/mime",
        "server auth",
        "signing",
        "timestamping",
    ];
    let spec = at.get("spec");
    let request = spec.get("request");
    if request.text().is_empty() {
        c.required(&request, "");
    } else {
        let text = STANDARD.decode(request.text()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if !text.contains("-----BEGIN CERTIFICATE REQUEST-----") {
            c.invalid(&request, "PEM block type must be CERTIFICATE REQUEST");
        }
    }
    let usages = spec.get("usages");
    if usages.len() == 0 {
        c.required(&usages, "");
    }
    let mut seen: Vec<&str> = Vec::new();
    for usage in usages.items() {
        if !USAGES.contains(&usage.text()) {
            c.unsupported(&usage, &USAGES);
        }
        if seen.contains(&usage.text()) {
            c.duplicate(&usage);
        }
        seen.push(usage.value.as_str().unwrap_or_default());
    }
    signer(c, &spec.get("signerName"));
    let seconds = spec.get("expirationSeconds");
    if seconds.is_set() && seconds.number() < LEAST_SECONDS {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        c.invalid(&seconds, detail);
    }
}

fn signer(c: &mut Checker, at: &At<'_>) {
    const SHAPE: &str =
        "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    if at.text().is_empty() {
        c.required(at, "");
        return;
    }
    let parts: Vec<&str> = at.text().split('/').collect();
    let [domain, path] = parts.as_slice() else {
        c.invalid(at, SHAPE);
        return;
    };
    for problem in names::subdomain(domain, false) {
        c.invalid_as(at, *domain, format!("validating label \"{domain}\": {problem}"));
    }
    if domain.split('.').count() < 2 {
        c.invalid_as(
            at,
            *domain,
            "should be a domain with at least two segments separated by dots",
        );
    }
    for problem in names::subdomain(path, false) {
        c.invalid_as(at, *path, format!("validating label \"{path}\": {problem}"));
    }
}
