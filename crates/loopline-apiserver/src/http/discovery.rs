//! Discovery: which groups, versions and resources there are, in the legacy and the aggregated
//! form, and their OpenAPI documents.

use http::header::{CACHE_CONTROL, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH};
use loopline_schema::{Resource, Subresource, openapi};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::handle::Asked;
use super::reply::{self, Reply};
use crate::Server;
use crate::object::api_version;
use crate::registry::{Group, Registry};
use crate::status::{Result, Status};

/// `/`: the paths that are served.
pub(super) fn root(server: &Server, asked: &Asked) -> Result<Reply> {
    let registry = server.registry();
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (name, group) in registry.groups().filter(|(name, _)| !name.is_empty()) {
        paths.push(format!("/apis/{name}"));
        paths.extend(group.versions.iter().map(|(version, _)| format!("/apis/{name}/{version}")));
    }
    paths.extend(
        ["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(ToOwned::to_owned),
    );
    paths.sort();
    Ok(reply::object(200, &json!({"paths": paths}), asked.accept.encoding()?))
}

/// `/api`.
pub(super) fn core(server: &Server, asked: &Asked) -> Result<Reply> {
    let registry = server.registry();
    if let Some(version) = asked.accept.discovery() {
        return aggregated(&registry, asked, version, |group| group.is_empty());
    }
    let host = asked.parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let document = json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": host.unwrap_or("localhost")},
        ],
    });
    cached(asked, &document, None)
}

/// `/apis`.
pub(super) fn groups(server: &Server, asked: &Asked) -> Result<Reply> {
    let registry = server.registry();
    if let Some(version) = asked.accept.discovery() {
        return aggregated(&registry, asked, version, |group| !group.is_empty());
    }
    let groups: Vec<Value> = registry
        .groups()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, group)| api_group(name, group))
        .collect();
    cached(asked, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}), None)
}

/// `/apis/GROUP`.
pub(super) fn group(server: &Server, asked: &Asked, name: &str) -> Result<Reply> {
    let registry = server.registry();
    let group = registry.group(name).filter(|_| !name.is_empty());
    let mut document = api_group(name, group.ok_or_else(Status::no_such_path)?);
    document["kind"] = json!("APIGroup");
    document["apiVersion"] = json!("v1");
    cached(asked, &document, None)
}

/// `/api/v1`, `/apis/GROUP/VERSION`.
pub(super) fn resources(
    server: &Server,
    asked: &Asked,
    group: &str,
    version: &str,
) -> Result<Reply> {
    let registry = server.registry();
    let entries = registry
        .group(group)
        .and_then(|group| group.versions.iter().find(|(name, _)| name == version))
        .map(|(_, entries)| entries)
        .ok_or_else(Status::no_such_path)?;
    let mut resources = Vec::new();
    for entry in entries {
        resources.push(legacy_resource(&entry.resource));
        for subresource in &entry.resource.subresources {
            resources.push(legacy_subresource(&entry.resource, subresource));
        }
    }
    let document = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": resources,
    });
    cached(asked, &document, None)
}

fn api_group(name: &str, group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn legacy_resource(resource: &Resource) -> Value {
    let mut value = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    let identity = format!("{}/{}", resource.group, resource.plural);
    value["storageVersionHash"] = json!(short_hash(identity.as_bytes()));
    value
}

fn legacy_subresource(resource: &Resource, subresource: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.plural, subresource.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": subresource.kind,
        "verbs": subresource.verbs,
    });
    if subresource.group != resource.group || subresource.version != resource.version {
        value["group"] = json!(subresource.group);
        value["version"] = json!(subresource.version);
    }
    value
}

/// Answers with the aggregated form: everything in one document.
fn aggregated(
    registry: &Registry,
    asked: &Asked,
    version: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Reply> {
    let items: Vec<Value> = registry
        .groups()
        .filter(|(name, _)| wanted(name))
        .map(|(name, group)| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|(version, entries)| {
                    let resources: Vec<Value> =
                        entries.iter().map(|entry| aggregated_resource(&entry.resource)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let mut metadata = json!({"creationTimestamp": null});
            if !name.is_empty() {
                metadata["name"] = json!(name);
            }
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let media_type =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    cached(asked, &document, Some(&media_type))
}

fn aggregated_resource(resource: &Resource) -> Value {
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut value = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let subresources: Vec<Value> = resource
            .subresources
            .iter()
            .map(|one| {
                json!({
                    "subresource": one.name,
                    "responseKind": kind(&one.group, &one.version, &one.kind),
                    "verbs": one.verbs,
                })
            })
            .collect();
        value["subresources"] = Value::Array(subresources);
    }
    value
}

/// Answers with a document that clients may keep until its tag changes.
fn cached(asked: &Asked, document: &Value, media_type: Option<&str>) -> Result<Reply> {
    let encoding = asked.accept.encoding()?;
    let tag = hash(&reply::json_bytes(document));
    Ok(tagged(asked, &tag, || {
        let mut reply = reply::object(200, document, encoding);
        if let Some(Ok(media_type)) = media_type.map(HeaderValue::from_str) {
            reply.headers_mut().insert(http::header::CONTENT_TYPE, media_type);
        }
        reply
    }))
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02X}"));
    }
    text
}

fn short_hash(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(bytes)[..8])
}

/// `/openapi/v3`: where the document of each group and version is.
pub(super) fn openapi_index(server: &Server, asked: &Asked) -> Result<Reply> {
    let registry = server.registry();
    let mut documents = Vec::new();
    for (name, group) in registry.groups() {
        for (version, _) in &group.versions {
            let hash = server.documents().hash(&registry, name, version);
            documents.push((openapi::path(name, version), hash));
        }
    }
    let index = openapi::index(documents.iter().map(|(path, hash)| (&**path, &**hash)));
    cached(asked, &index, None)
}

/// `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn openapi_document(server: &Server, asked: &Asked, path: &str) -> Result<Reply> {
    let parts: Vec<&str> = path.split('/').collect();
    let (group, version) = match parts.as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return Err(Status::no_such_path()),
    };
    let registry = server.registry();
    let known = registry
        .group(group)
        .is_some_and(|group| group.versions.iter().any(|(name, _)| name == version));
    if !known {
        return Err(Status::no_such_path());
    }
    let document = server.documents().text(&registry, group, version);
    let hash = server.documents().hash(&registry, group, version);
    let mut reply = reply::raw(200, "application/json", document.to_vec());
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        reply.headers_mut().insert(ETAG, tag);
    }
    if asked.query.get("hash") == Some(&*hash) {
        // A document under its own hash never changes.
        let headers = reply.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        headers.insert(EXPIRES, HeaderValue::from_static("Thu, 31 Dec 2099 00:00:00 GMT"));
    }
    Ok(reply)
}

/// `/openapi/v2`: the types of everything that is served, for the clients that still ask.
pub(super) fn openapi_v2(server: &Server, asked: &Asked) -> Result<Reply> {
    let registry = server.registry();
    let mut hashes = String::new();
    for (name, group) in registry.groups() {
        for (version, _) in &group.versions {
            hashes.push_str(&server.documents().hash(&registry, name, version));
        }
    }
    let accept = asked.parts.headers.get(http::header::ACCEPT).and_then(|text| text.to_str().ok());
    let protobuf = accept.is_some_and(|accept| accept.contains(openapi::PROTOBUF_ACCEPT));
    let form = if protobuf { "protobuf" } else { "json" };
    let tag = hash(format!("{form} {hashes}").as_bytes());
    Ok(tagged(asked, &tag, || {
        let document = crate::documents::Documents::swagger(&registry);
        if protobuf {
            reply::raw(200, openapi::PROTOBUF_TYPE, openapi::swagger_protobuf(&document))
        } else {
            reply::raw(200, "application/json", reply::json_bytes(&document))
        }
    }))
}

/// Answers with a document under a tag, or that the client has the one of that tag.
fn tagged(asked: &Asked, tag: &str, make: impl FnOnce() -> Reply) -> Reply {
    let tag = format!("\"{tag}\"");
    let known = asked.parts.headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut reply = if known.is_some_and(|tags| tags.split(',').any(|one| one.trim() == tag)) {
        // A type here would replace that of the copy the client has, and make its aggregated
        // document look like a legacy one.
        let mut reply = reply::raw(304, "", Vec::new());
        reply.headers_mut().remove(http::header::CONTENT_TYPE);
        reply
    } else {
        make()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        reply.headers_mut().insert(ETAG, tag);
    }
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    reply
}
