//! `loopline crds`: the definitions of custom resources that Loopline brings along, and how a
//! server gets them.

use std::collections::BTreeMap;
use std::path::Path;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use loopline_schema::foreign;
use serde_json::{Value, json};

use super::{Context, Outcome};
use crate::arguments::CrdsArguments;
use crate::error::{Class, CommandError, Status};
use crate::manifests;

/// Means every group.
const ALL: &str = "all";

pub(crate) fn run(context: &Context<'_>, arguments: &CrdsArguments) -> Outcome {
    let printer = context.printer;
    if !arguments.groups.is_empty() {
        let mut items: Vec<Value> = Vec::new();
        for group in &arguments.groups {
            items.extend(of_group(group)?.into_iter().cloned());
        }
        // A list is what `kubectl apply -f -` takes; one document also is one line for machines.
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        if printer.json {
            printer.json(&list);
        } else {
            printer.out(&format!("{list:#}"));
        }
        return Ok(Status::Ok);
    }
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for definition in foreign::definitions(None).map_err(internal)? {
        let spec = &definition["spec"];
        let group = spec["group"].as_str().unwrap_or_default();
        groups.entry(group).or_default().push(spec["names"]["kind"].as_str().unwrap_or_default());
    }
    if printer.json {
        printer.json(&json!({"schema": "loopline.crds/v1", "groups": groups}));
        return Ok(Status::Ok);
    }
    for (group, kinds) in &groups {
        printer.out(&format!("{group:<32} {}", kinds.join(", ")));
    }
    printer.err("next: loopline api --crds GROUP   serve them");
    printer.err("      loopline crds GROUP         print them, for `kubectl apply -f -`");
    Ok(Status::Ok)
}

/// Returns the definitions that the names stand for: groups, `all`, files and folders.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Value>, CommandError> {
    let mut found = Vec::new();
    for name in names {
        let path = Path::new(name);
        if !path.exists() {
            found.extend(of_group(name)?.into_iter().cloned());
            continue;
        }
        let sources = manifests::Sources { files: vec![name.clone()], recursive: true };
        for document in manifests::read(&sources)? {
            if document.object["kind"] != "CustomResourceDefinition" {
                let kind = document.object["kind"].as_str().unwrap_or_default();
                let message = format!("{}: {kind} defines no custom resource", document.place);
                return Err(CommandError::usage(message)
                    .hint("`loopline apply -f` takes objects of all kinds"));
            }
            found.push(document.object);
        }
    }
    Ok(found)
}

/// Puts definitions into a server; what is there already is brought up to date.
pub(crate) async fn load(client: &kube::Client, definitions: &[Value]) -> Result<(), CommandError> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let parameters = PatchParams::apply("loopline").force();
    for definition in definitions {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        api.patch(name, &parameters, &Patch::Apply(definition)).await.map_err(|error| {
            CommandError::new(Class::Failed, format!("cannot load the definition {name}: {error}"))
        })?;
    }
    Ok(())
}

fn of_group(name: &str) -> Result<Vec<&'static Value>, CommandError> {
    let group = (name != ALL).then_some(name);
    let found = foreign::definitions(group).map_err(internal)?;
    if found.is_empty() {
        let message = format!("`{name}` is neither a file or folder nor a group Loopline knows");
        return Err(CommandError::usage(message).hint("`loopline crds` lists the groups"));
    }
    Ok(found)
}

fn internal(why: &str) -> CommandError {
    CommandError::new(Class::Internal, format!("cannot read its own definitions: {why}"))
}
