//! Reading objects and lists.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loopline_schema::{Cause, FieldError};
use loopline_store::object::{ListOptions, Page, Revision, StoreError};
use serde_json::{Map, Value, json};

use crate::Server;
use crate::call::Call;
use crate::registry::Entry;
use crate::selector::Filter;
use crate::status::{Result, Status};
use crate::storage::of_store;

/// How many records are read from the store at a time while a selector is applied.
const STRETCH: usize = 500;

/// A list, as of one revision.
#[derive(Clone, Debug)]
pub struct List {
    /// The objects, in the order of their keys.
    pub objects: Vec<Value>,
    /// The revision.
    pub revision: Revision,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
    /// How many more there are; unknown where a selector is applied.
    pub remaining: Option<u64>,
}

impl List {
    /// Returns the list's own metadata.
    pub fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), json!(self.revision.to_string()));
        if let Some(next) = &self.next {
            metadata.insert("continue".to_owned(), json!(next));
            if let Some(remaining) = self.remaining {
                metadata.insert("remainingItemCount".to_owned(), json!(remaining));
            }
        }
        Value::Object(metadata)
    }
}

impl Call {
    /// Reads the object of the path.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn get(&self) -> Result<Value> {
        if let Some(asked) = self.revision_option()? {
            check_reached(&self.server, asked)?;
        }
        let stored = self.server.read(&self.entry, self.namespace(), self.name()?).await?;
        Ok(stored.object)
    }

    /// Reads the collection of the path.
    ///
    /// # Errors
    /// 400 for options that do not go together, 410 for revisions that are gone.
    pub async fn list(&self) -> Result<List> {
        let filter = Filter::parse(&self.query, &self.entry.resource)?;
        let limit = self.query.number::<i64>("limit")?.unwrap_or(0);
        let limit = usize::try_from(limit)
            .map_err(|_| Status::bad_request("limit must not be negative"))?;
        let token = self.query.get("continue").map(Continue::decode).transpose()?;
        let revision = self.list_revision(token.as_ref())?;
        let after = token.map(|token| format!("{}{}", self.entry.storage.prefix, token.key));
        self.server
            .list(
                &self.entry,
                self.namespace(),
                &filter,
                &Range { after, revision, limit: (limit > 0).then_some(limit) },
            )
            .await
    }

    /// Returns the revision as of which the list is read, if it is not now.
    fn list_revision(&self, token: Option<&Continue>) -> Result<Option<Revision>> {
        let asked = self.revision_option()?;
        let rule = self.query.get("resourceVersionMatch");
        if self.query.get("sendInitialEvents").is_some() {
            let why = "sendInitialEvents is forbidden for list";
            return Err(invalid_list_option("sendInitialEvents", why));
        }
        if let Some(token) = token {
            if rule.is_some() || asked.is_some_and(|asked| asked != 0) {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            return Ok(Some(token.revision).filter(|revision| *revision != 0));
        }
        match (rule, asked) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(invalid_list_option(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            )),
            (Some("Exact"), Some(0)) => Err(invalid_list_option(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            )),
            (Some("Exact"), Some(asked)) => Ok(Some(asked)),
            (Some("NotOlderThan") | None, Some(asked)) => {
                check_reached(&self.server, asked)?;
                Ok(None)
            }
            (Some(other), Some(_)) => Err(Status::invalid_options(
                "ListOptions",
                &[FieldError::new(
                    Cause::NotSupported,
                    "resourceVersionMatch",
                    json!(other),
                    "supported values: \"Exact\", \"NotOlderThan\", \"\"",
                )],
            )),
        }
    }

    /// Reads `resourceVersion`.
    ///
    /// # Errors
    /// 400 for a value that was never given out.
    pub fn revision_option(&self) -> Result<Option<Revision>> {
        self.query
            .get("resourceVersion")
            .map(|text| {
                text.parse()
                    .map_err(|_| Status::bad_request(format!("Invalid resource version {text:?}")))
            })
            .transpose()
    }
}

/// Refuses revisions that the store has not reached.
pub fn check_reached(server: &Server, asked: Revision) -> Result<()> {
    let latest = server.store().revision();
    if asked > latest {
        return Err(of_store(StoreError::Future { asked, latest }));
    }
    Ok(())
}

/// Tells that an option of a list cannot be honoured.
pub fn invalid_list_option(field: &str, why: &str) -> Status {
    let error = FieldError::new(Cause::Forbidden, field, Value::Null, why);
    Status::invalid_options("ListOptions", &[error])
}

/// Which stretch of a list is read.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Only keys after this one.
    pub after: Option<String>,
    /// As of this revision; nothing means now.
    pub revision: Option<Revision>,
    /// At most so many; nothing means all.
    pub limit: Option<usize>,
}

impl Server {
    /// Lists all objects that match.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_all(&self, entry: &Entry, namespace: &str, filter: &Filter) -> Result<List> {
        self.list(entry, namespace, filter, &Range::default()).await
    }

    /// Lists objects that match.
    ///
    /// # Errors
    /// 410 for revisions that are gone; the store's.
    pub async fn list(
        &self,
        entry: &Entry,
        namespace: &str,
        filter: &Filter,
        range: &Range,
    ) -> Result<List> {
        let mut list = List { objects: Vec::new(), revision: 0, next: None, remaining: None };
        let mut after = range.after.clone();
        let mut revision = range.revision;
        let filtered = !filter.is_empty();
        loop {
            // With a selector more may have to be read than is returned; without one, just so much.
            let wanted = range.limit.map(|limit| limit - list.objects.len());
            let stretch = if filtered { Some(STRETCH) } else { wanted };
            let page = self
                .store()
                .list(ListOptions {
                    prefix: entry.prefix(namespace),
                    after: after.clone(),
                    revision,
                    limit: stretch,
                })
                .await
                .map_err(|error| expired_list(error, range))?;
            // The first stretch fixes the revision of all.
            revision = Some(page.revision);
            list.revision = page.revision;
            let Page { records, remaining, .. } = page;
            let count = records.len();
            for (index, record) in records.into_iter().enumerate() {
                let stored = self.decode_record(entry, &record)?;
                after = Some(record.key);
                if !filter.matches(&stored.object) {
                    continue;
                }
                list.objects.push(stored.object);
                let left = remaining + (count - index - 1) as u64;
                if range.limit.is_some_and(|limit| list.objects.len() >= limit) && left > 0 {
                    list.next = after.as_deref().map(|after| {
                        Continue::encode(list.revision, &after[entry.storage.prefix.len()..])
                    });
                    list.remaining = (!filtered).then_some(left);
                    return Ok(list);
                }
            }
            if remaining == 0 {
                return Ok(list);
            }
        }
    }
}

/// Tells a list that goes on from a forgotten revision apart from others.
fn expired_list(error: StoreError, range: &Range) -> Status {
    if matches!(error, StoreError::Compacted { .. }) && range.after.is_some() {
        return Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter.",
        );
    }
    of_store(error)
}

/// Where a list goes on: opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Continue {
    revision: Revision,
    /// The last key that was returned, without the resource's prefix.
    key: String,
}

impl Continue {
    fn encode(revision: Revision, key: &str) -> String {
        let token = json!({"v": "loopline.dev/v1", "rv": revision, "start": key});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn decode(token: &str) -> Result<Self> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
            let token: Value = serde_json::from_slice(&bytes).ok()?;
            if token["v"] != "loopline.dev/v1" {
                return None;
            }
            let key = token["start"].as_str()?;
            Some(Self { revision: token["rv"].as_u64()?, key: key.to_owned() })
        };
        read().ok_or_else(|| Status::bad_request("continue key is not valid"))
    }
}

/// Returns a list as an object.
pub fn list_object(entry: &Arc<Entry>, list: List) -> Value {
    let metadata = list.metadata();
    json!({
        "kind": entry.resource.list_kind,
        "apiVersion": entry.api_version(),
        "metadata": metadata,
        "items": list.objects,
    })
}
