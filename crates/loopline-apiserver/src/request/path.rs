//! What a path of the API asks for.

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/`: the list of paths.
    Root,
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/version`.
    Version,
    /// `/metrics`.
    Metrics,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    GroupVersion(String, String),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`.
    OpenApiIndex,
    /// `/openapi/v3/PATH`.
    OpenApiDocument(String),
    /// `/openid/v1/jwks`.
    KeySet,
    /// `/.well-known/openid-configuration`.
    OpenIdConfiguration,
    /// A resource.
    Resource(ResourcePath),
    /// Anything else.
    Unknown,
}

/// The parts of a resource's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace, where the path names one.
    pub namespace: Option<String>,
    /// The resource (`pods`).
    pub resource: String,
    /// The object's name.
    pub name: Option<String>,
    /// The subresource (`status`).
    pub subresource: Option<String>,
    /// What follows the subresource (the path behind `proxy`), with its leading slash.
    pub rest: String,
    /// The old form `/watch/...` was used.
    pub watch: bool,
}

/// The parts that follow `namespaces/NAME` and belong to the namespace itself.
const NAMESPACE_SUBRESOURCES: &[&str] = &["status", "finalize"];

impl Target {
    /// Reads a path, which is still percent-encoded.
    pub fn parse(path: &str) -> Self {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [] => Self::Root,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["version"] => Self::Version,
            ["metrics"] => Self::Metrics,
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApiIndex,
            ["openapi", "v3", rest @ ..] => Self::OpenApiDocument(rest.join("/")),
            ["openid", "v1", "jwks"] => Self::KeySet,
            [".well-known", "openid-configuration"] => Self::OpenIdConfiguration,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["api", version] => Self::GroupVersion(String::new(), (*version).to_owned()),
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", group, version] => {
                Self::GroupVersion((*group).to_owned(), (*version).to_owned())
            }
            ["api", version, rest @ ..] => Self::resource("", version, rest, &decoded),
            ["apis", group, version, rest @ ..] => Self::resource(group, version, rest, &decoded),
            _ => Self::Unknown,
        }
    }

    fn resource(group: &str, version: &str, rest: &[&str], whole: &str) -> Self {
        let mut path = ResourcePath {
            group: group.to_owned(),
            version: version.to_owned(),
            ..ResourcePath::default()
        };
        let mut rest = rest;
        if let ["watch", after @ ..] = rest
            && !after.is_empty()
        {
            path.watch = true;
            rest = after;
        }
        let parts = match rest {
            // The namespace itself, and what belongs to it.
            ["namespaces"] | ["namespaces", _] => rest,
            ["namespaces", _, subresource]
                if group.is_empty() && NAMESPACE_SUBRESOURCES.contains(subresource) =>
            {
                rest
            }
            ["namespaces", namespace, parts @ ..] => {
                path.namespace = Some((*namespace).to_owned());
                parts
            }
            _ => rest,
        };
        let Some((resource, parts)) = parts.split_first() else { return Self::Unknown };
        (*resource).clone_into(&mut path.resource);
        if let Some((name, parts)) = parts.split_first() {
            path.name = Some((*name).to_owned());
            if let Some((subresource, parts)) = parts.split_first() {
                path.subresource = Some((*subresource).to_owned());
                if !parts.is_empty() {
                    path.rest = format!("/{}", parts.join("/"));
                    if whole.ends_with('/') {
                        path.rest.push('/');
                    }
                }
            }
        }
        Self::Resource(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_parts() {
        let show = |path: &str| match Target::parse(path) {
            Target::Resource(path) => format!(
                "{}|{}|{}|{}|{}|{}|{}",
                path.group,
                path.version,
                path.namespace.as_deref().unwrap_or("-"),
                path.resource,
                path.name.as_deref().unwrap_or("-"),
                path.subresource.as_deref().unwrap_or("-"),
                path.rest,
            ),
            other => format!("{other:?}"),
        };
        for (path, expected) in [
            ("/api/v1/pods", "|v1|-|pods|-|-|"),
            ("/api/v1/namespaces", "|v1|-|namespaces|-|-|"),
            ("/api/v1/namespaces/a", "|v1|-|namespaces|a|-|"),
            ("/api/v1/namespaces/a/status", "|v1|-|namespaces|a|status|"),
            ("/api/v1/namespaces/a/pods/", "|v1|a|pods|-|-|"),
            ("/api/v1/namespaces/a/pods/p/log", "|v1|a|pods|p|log|"),
            ("/api/v1/namespaces/a/pods/p/proxy/x/y/", "|v1|a|pods|p|proxy|/x/y/"),
            ("/apis/apps/v1/namespaces/a/deployments/d/scale", "apps|v1|a|deployments|d|scale|"),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io|v1|-|clusterroles|system:node|-|",
            ),
            ("/apis/apps", "Group(\"apps\")"),
            ("/api/v1", "GroupVersion(\"\", \"v1\")"),
            ("/openapi/v3/apis/apps/v1", "OpenApiDocument(\"apis/apps/v1\")"),
            ("/nothing/here", "Unknown"),
        ] {
            assert_eq!(show(path), expected, "{path}");
        }
    }
}
