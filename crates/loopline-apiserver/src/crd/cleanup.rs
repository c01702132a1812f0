//! Deleting definitions: their objects go first.

use std::sync::Arc;
use std::time::Duration;

use loopline_store::object::Precondition;
use serde_json::{Value, json};

use super::names::set_condition;
use crate::Server;
use crate::object;
use crate::registry::Entry;
use crate::selector::Filter;
use crate::status::Result;
use crate::storage::{WriteError, of_store};
use crate::verbs::create::seconds;
use crate::verbs::delete::DeleteOptions;

/// The finalizer that holds a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How often the removal of the finalizer is tried again when it raced with another write.
const MAX_TRIES: usize = 16;

/// How long a removal that failed waits before it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Marks a definition that is being deleted for the first time: its objects are to go first.
pub(crate) fn hold(definition: &mut Value, now: loopline_clock::Timestamp) {
    if object::is_deleting(definition) {
        return;
    }
    let held = object::finalizers(definition);
    if !held.contains(&FINALIZER) {
        let mut finalizers: Vec<Value> = held.iter().map(|one| json!(one)).collect();
        finalizers.push(json!(FINALIZER));
        object::set_meta(definition, "finalizers", json!(finalizers));
    }
    let why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin \
               soon";
    let state = ("True", "InstanceDeletionPending", why);
    let mut status = definition["status"].take();
    set_condition(&mut status, "Terminating", state, &seconds(now));
    definition["status"] = status;
}

/// Starts to remove the objects of a definition that is being deleted.
pub(super) fn start(server: &Server, definition: &Value) {
    if !object::finalizers(definition).contains(&FINALIZER) {
        return;
    }
    let server = server.clone();
    let name = object::name(definition).to_owned();
    let uid = object::uid(definition).to_owned();
    tokio::spawn(async move {
        let shutdown = server.shutdown().clone();
        tokio::select! {
            () = async {
                // The definition stays, and says that it is terminating, until this succeeds.
                while remove_objects(&server, &name, &uid).await.is_err() {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            } => {}
            () = shutdown.cancelled() => {}
        }
    });
}

/// Deletes all objects of a definition, waits until they are gone, and lets the definition go.
async fn remove_objects(server: &Server, name: &str, uid: &str) -> Result<()> {
    let Some((plural, group)) = name.split_once('.') else { return Ok(()) };
    if let Some(entry) = server.registry().preferred(group, plural) {
        loop {
            let list = server.list_all(&entry, "", &Filter::default()).await?;
            if list.objects.is_empty() {
                break;
            }
            let mut watcher = server
                .store()
                .watch(&entry.storage.prefix, list.revision)
                .await
                .map_err(of_store)?;
            for object in &list.objects {
                delete(server, &entry, object).await?;
            }
            // Objects with finalizers go when somebody lets them: every change is looked at.
            let _changed = watcher.next().await.map_err(of_store)?;
        }
    }
    release(server, name, uid).await
}

async fn delete(server: &Server, entry: &Arc<Entry>, object: &Value) -> Result<()> {
    if object::is_deleting(object) {
        return Ok(());
    }
    let mut call = server.own_call("apiserver", entry, object::namespace(object));
    call.path.name = Some(object::name(object).to_owned());
    match Box::pin(call.delete(&DeleteOptions::default(), &json!({}))).await {
        Ok(_) => Ok(()),
        Err(status) if status.code == 404 => Ok(()),
        Err(status) => Err(status),
    }
}

/// Takes the finalizer off, and the definition away if that was the last.
async fn release(server: &Server, name: &str, uid: &str) -> Result<()> {
    let entry = server.built_in_entry("apiextensions.k8s.io", "v1", "customresourcedefinitions")?;
    for _ in 0..MAX_TRIES {
        let Some(live) = server.find(&entry, "", name).await? else { return Ok(()) };
        if object::uid(&live.object) != uid || !object::is_deleting(&live.object) {
            return Ok(());
        }
        let mut definition = live.object;
        let kept: Vec<Value> = object::finalizers(&definition)
            .iter()
            .filter(|one| **one != FINALIZER)
            .map(|one| json!(one))
            .collect();
        let last = kept.is_empty();
        object::set_meta(
            &mut definition,
            "finalizers",
            if last { Value::Null } else { json!(kept) },
        );
        if last {
            if server.remove(&entry, "", name, &definition, live.revision).await? {
                return Ok(());
            }
            continue;
        }
        let now = seconds(server.clock().now());
        let state = ("False", "InstanceDeletionCompleted", "removed all instances");
        let mut status = definition["status"].take();
        set_condition(&mut status, "Terminating", state, &now);
        definition["status"] = status;
        match server
            .write(&entry, "", name, &definition, Precondition::Revision(live.revision))
            .await
        {
            Ok(_) => return Ok(()),
            Err(WriteError::Raced) => {}
            Err(WriteError::Refused(status)) => return Err(status),
        }
    }
    Ok(())
}
