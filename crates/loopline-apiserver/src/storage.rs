//! Objects in the store: keys, encoding, versions.

use std::sync::Arc;

use bytes::Bytes;
use loopline_store::object::{ObjectStore, Precondition, Record, Revision, StoreError};
use serde_json::Value;

use crate::Server;
use crate::object;
use crate::registry::Entry;
use crate::status::{Result, Status};

/// An object as it was read, in the version of the entry it was read with.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The object, its revision included.
    pub object: Value,
    /// The revision at which it was written.
    pub revision: Revision,
}

impl Server {
    /// Reads an object.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn read(&self, entry: &Entry, namespace: &str, name: &str) -> Result<Stored> {
        self.find(entry, namespace, name)
            .await?
            .ok_or_else(|| Status::not_found(&entry.resource, name))
    }

    /// Reads an object that may not be there.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn find(&self, entry: &Entry, namespace: &str, name: &str) -> Result<Option<Stored>> {
        let record = self.store().get(&entry.key(namespace, name)).await.map_err(of_store)?;
        record.map(|record| self.decode_record(entry, &record)).transpose()
    }

    /// Decodes a record into the entry's version.
    ///
    /// # Errors
    /// 500 for a record that cannot be read.
    pub fn decode_record(&self, entry: &Entry, record: &Record) -> Result<Stored> {
        let object = self.decode(entry, &record.key, &record.value, record.revision)?;
        Ok(Stored { object, revision: record.revision })
    }

    /// Decodes stored bytes into the entry's version.
    ///
    /// # Errors
    /// 500 for bytes that cannot be read.
    pub fn decode(
        &self,
        entry: &Entry,
        key: &str,
        value: &Bytes,
        revision: Revision,
    ) -> Result<Value> {
        let plain = self.vault().open(entry, key, value)?;
        let mut object: Value = serde_json::from_slice(&plain)
            .map_err(|error| Status::internal(format_args!("read a stored object: {error}")))?;
        self.read_version(entry, &mut object)?;
        object::set_revision(&mut object, revision);
        Ok(object)
    }

    /// Encodes an object for the store.
    ///
    /// # Errors
    /// 500 for objects that cannot be converted.
    pub fn encode(&self, entry: &Entry, key: &str, object: &Value) -> Result<Bytes> {
        let mut stored = object.clone();
        object::set_meta(&mut stored, "resourceVersion", Value::Null);
        self.write_version(entry, &mut stored)?;
        let plain = serde_json::to_vec(&stored)
            .map_err(|error| Status::internal(format_args!("write an object: {error}")))?;
        self.vault().seal(entry, key, plain)
    }

    /// Writes an object under its key and returns its revision.
    ///
    /// # Errors
    /// The store's, as they concern the entry's objects.
    pub async fn write(
        &self,
        entry: &Entry,
        namespace: &str,
        name: &str,
        object: &Value,
        precondition: Precondition,
    ) -> std::result::Result<Revision, WriteError> {
        let key = entry.key(namespace, name);
        let value = self.encode(entry, &key, object).map_err(WriteError::Refused)?;
        self.store().put(&key, value, precondition).await.map_err(|error| match error {
            StoreError::Conflict(_) | StoreError::NotFound(_) => WriteError::Raced,
            other => WriteError::Refused(of_store(other)),
        })
    }

    /// Brings an object from the stored version to the entry's.
    fn read_version(&self, entry: &Entry, object: &mut Value) -> Result<()> {
        if let Some(custom) = entry.custom() {
            return custom.read_version(entry, object);
        }
        if entry.converts() {
            loopline_schema::convert(object, &entry.api_version()).map_err(Status::internal)?;
        }
        object::set_type(object, &entry.api_version(), &entry.resource.kind);
        Ok(())
    }

    fn write_version(&self, entry: &Entry, object: &mut Value) -> Result<()> {
        if let Some(custom) = entry.custom() {
            return custom.write_version(entry, object);
        }
        let version = object::api_version(&entry.storage.group, &entry.storage.version);
        if entry.converts() {
            loopline_schema::convert(object, &version).map_err(Status::internal)?;
        }
        object::set_type(object, &version, &entry.resource.kind);
        Ok(())
    }
}

/// Why a write did not happen.
#[derive(Debug)]
pub enum WriteError {
    /// Somebody else wrote first.
    Raced,
    /// It was refused.
    Refused(Status),
}

/// Tells an error of the store in the words of the API.
pub fn of_store(error: StoreError) -> Status {
    match error {
        StoreError::Compacted { asked, oldest } => {
            Status::expired(format!("too old resource version: {asked} ({oldest})"))
        }
        StoreError::Future { asked, latest } => {
            let mut status = Status::timeout(
                format!("Too large resource version: {asked}, current: {latest}"),
                1,
            );
            status = status.because("ResourceVersionTooLarge", "Too large resource version", "");
            status
        }
        StoreError::TooLong { limit, .. } => Status::too_large(limit),
        StoreError::Unwritable { .. } => {
            Status::unavailable(format!("the object store refuses writes: {error}"))
        }
        StoreError::Closed => Status::unavailable("the server is shutting down"),
        other => Status::internal(other),
    }
}

/// Keeps what is secret unreadable on the disk.
pub trait Vault: Send + Sync + 'static {
    /// Encrypts what is to be stored under a key, where the resource asks for it.
    ///
    /// # Errors
    /// Where the key fails.
    fn seal(&self, entry: &Entry, key: &str, plain: Vec<u8>) -> Result<Bytes>;

    /// Decrypts what was stored under a key.
    ///
    /// # Errors
    /// Where it was sealed with another key, or is damaged.
    fn open(&self, entry: &Entry, key: &str, sealed: &Bytes) -> Result<Bytes>;
}

/// A vault that stores everything as it is: for stores that are forgotten with the process.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl Vault for Open {
    fn seal(&self, _: &Entry, _: &str, plain: Vec<u8>) -> Result<Bytes> {
        Ok(Bytes::from(plain))
    }

    fn open(&self, _: &Entry, _: &str, sealed: &Bytes) -> Result<Bytes> {
        Ok(sealed.clone())
    }
}

/// A store that is shared.
pub type SharedStore = Arc<dyn ObjectStore>;
