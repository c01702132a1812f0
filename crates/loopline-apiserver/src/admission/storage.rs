//! `DefaultStorageClass` and `DefaultIngressClass`: what claims and ingresses get that name no
//! class.

use serde_json::{Value, json};

use super::{Attributes, Operation};
use crate::Server;
use crate::object;
use crate::selector::Filter;
use crate::status::Result;

/// Gives a claim the default class.
pub(crate) async fn claim(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let named = !attributes.object["spec"]["storageClassName"].is_null()
        || has_annotation(&attributes.object, "volume.beta.kubernetes.io/storage-class");
    if !makes(attributes, "", "PersistentVolumeClaim") || named {
        return Ok(());
    }
    let marks = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ];
    if let Some(name) = default_class(server, "storage.k8s.io", "storageclasses", &marks).await? {
        attributes.object["spec"]["storageClassName"] = json!(name);
    }
    Ok(())
}

/// Gives an ingress the default class.
pub(crate) async fn ingress(server: &Server, attributes: &mut Attributes) -> Result<()> {
    let named = !attributes.object["spec"]["ingressClassName"].is_null()
        || has_annotation(&attributes.object, "kubernetes.io/ingress.class");
    if !makes(attributes, "networking.k8s.io", "Ingress") || named {
        return Ok(());
    }
    let marks = ["ingressclass.kubernetes.io/is-default-class"];
    if let Some(name) = default_class(server, "networking.k8s.io", "ingressclasses", &marks).await?
    {
        attributes.object["spec"]["ingressClassName"] = json!(name);
    }
    Ok(())
}

fn makes(attributes: &Attributes, group: &str, kind: &str) -> bool {
    attributes.operation == Operation::Create
        && attributes.subresource.is_empty()
        && attributes.is_kind(group, kind)
}

fn has_annotation(object: &Value, key: &str) -> bool {
    object["metadata"]["annotations"].get(key).is_some()
}

/// Returns the default class: of several the newest, and of those the first by name.
async fn default_class(
    server: &Server,
    group: &str,
    plural: &str,
    marks: &[&str],
) -> Result<Option<String>> {
    let entry = server.built_in_entry(group, "v1", plural)?;
    let mut classes = server.list_all(&entry, "", &Filter::default()).await?.objects;
    classes
        .retain(|class| marks.iter().any(|mark| class["metadata"]["annotations"][*mark] == "true"));
    classes.sort_by(|a, b| {
        let time = |class| object::meta(class, "creationTimestamp");
        time(b).cmp(time(a)).then_with(|| object::name(a).cmp(object::name(b)))
    });
    Ok(classes.first().map(|class| object::name(class).to_owned()))
}
