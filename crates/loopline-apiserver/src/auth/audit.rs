//! The audit log: who asked for what, and what they were answered, as `audit.k8s.io/v1` events of
//! the level `Metadata`, one JSON object a line. Bodies and credentials are never in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;
use http::header::USER_AGENT;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Connection, User};
use crate::Server;
use crate::request::{Query, ResourcePath, Target};

/// The most events that wait to be written; more wait with their requests' answers.
const MAX_WAITING: usize = 4096;

/// The size at which the file is put aside, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// How many files that were put aside are kept.
const KEPT_FILES: u32 = 5;

/// Query parameters whose values are never written.
const SECRET_PARAMETERS: &[&str] = &["token", "access_token", "authorization"];

/// Writes events to a file, in the background.
#[derive(Clone, Debug)]
pub struct AuditLog {
    sender: mpsc::Sender<Vec<u8>>,
    failure: Arc<Mutex<Option<String>>>,
}

impl AuditLog {
    /// Opens the file, made for its owner only where there is none.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, MAX_FILE_BYTES)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        let mut file = File::open(path.to_owned(), limit)?;
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(MAX_WAITING);
        let failure = Arc::new(Mutex::new(None));
        let told = Arc::clone(&failure);
        std::thread::Builder::new().name("audit-log".to_owned()).spawn(move || {
            while let Some(line) = receiver.blocking_recv() {
                let written = file.write(&line).err().map(|error| error.to_string());
                *told.lock().unwrap_or_else(PoisonError::into_inner) = written;
            }
        })?;
        Ok(Self { sender, failure })
    }

    /// Returns why the last event could not be written, if it could not.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn health(&self) -> Result<(), String> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(why) => Err(why.clone()),
        }
    }
}

/// The file, and what was put aside before it.
#[derive(Debug)]
struct File {
    path: PathBuf,
    limit: u64,
    file: fs::File,
    size: u64,
}

impl File {
    fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true);
        options.options_mut().mode(0o600);
        let file = options.open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, limit, file, size })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + line.len() as u64 > self.limit {
            self.put_aside()?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT_FILES).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(1))?;
        *self = Self::open(self.path.clone(), self.limit)?;
        Ok(())
    }
}

tokio::task_local! {
    /// What is to be told of the request that is being answered, beside what it was.
    static ANNOTATIONS: RefCell<BTreeMap<String, String>>;
}

/// Adds something to the event of the request that is being answered; several values under a key
/// stand beside each other. Requests of the same process have no event, and nothing is added.
pub(crate) fn annotate(key: &str, value: &str) {
    // Outside of a request of the network there is nothing to add to.
    let _ = ANNOTATIONS.try_with(|annotations| {
        let mut annotations = annotations.borrow_mut();
        match annotations.get_mut(key) {
            Some(text) if text.split(", ").any(|one| one == value) => {}
            Some(text) => text.push_str(&format!(", {value}")),
            None => {
                annotations.insert(key.to_owned(), value.to_owned());
            }
        }
    });
}

/// Answers a request; returns what was added to its event, too.
pub(crate) async fn annotated<F: Future>(answering: F) -> (F::Output, BTreeMap<String, String>) {
    let answered = async {
        let answer = answering.await;
        (answer, ANNOTATIONS.with(RefCell::take))
    };
    ANNOTATIONS.scope(RefCell::default(), answered).await
}

/// One request, as it will be written.
#[derive(Debug)]
pub(crate) struct Record(Value);

impl Record {
    /// Begins with what the request says; nothing where nothing is written.
    pub(crate) fn begin<B>(
        server: &Server,
        request: &http::Request<B>,
        connection: &Connection,
    ) -> Option<Self> {
        server.audit()?;
        let now = server.clock().now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let target = Target::parse(request.uri().path());
        let query = Query::parse(request.uri().query());
        let method = request.method().as_str();
        let watching = query.flag("watch").unwrap_or(false);
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": server.clock().uuid(),
            "stage": if watching { "ResponseStarted" } else { "ResponseComplete" },
            "requestURI": uri(request.uri()),
            "verb": verb(method, &target, watching),
            "user": {},
            "sourceIPs": [connection.address],
        });
        if let Some(agent) = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok())
        {
            event["userAgent"] = json!(agent);
        }
        if let Target::Resource(path) = &target {
            event["objectRef"] = object_reference(path);
        }
        event["requestReceivedTimestamp"] = json!(now);
        Some(Self(event))
    }

    /// Says who asks.
    pub(crate) fn user(&mut self, user: &User) {
        self.0["user"] = user.to_value();
    }

    /// Says as whom they act.
    pub(crate) fn impersonated(&mut self, user: &User) {
        self.0["impersonatedUser"] = user.to_value();
    }

    /// Says what was answered, and hands the event over.
    pub(crate) async fn finish(
        mut self,
        server: &Server,
        code: u16,
        reason: Option<Reason>,
        annotations: BTreeMap<String, String>,
    ) {
        let Some(log) = server.audit() else { return };
        let mut status = json!({"metadata": {}, "code": code});
        if code >= 400 {
            status["status"] = json!("Failure");
            if let Some(reason) = reason {
                status["reason"] = json!(reason.reason);
                status["message"] = json!(reason.message);
            }
        }
        self.0["responseStatus"] = status;
        let now = server.clock().now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        self.0["stageTimestamp"] = json!(now);
        if !annotations.is_empty() {
            self.0["annotations"] = json!(annotations);
        }
        let mut line = self.0.to_string().into_bytes();
        line.push(b'\n');
        // The writer lives as long as the log; where it is gone, its thread has panicked.
        let _ = log.sender.send(line).await;
    }
}

/// Why a request was refused, for the audit log.
#[derive(Clone, Debug)]
pub(crate) struct Reason {
    /// The machine's word for it.
    pub(crate) reason: String,
    /// The person's words.
    pub(crate) message: String,
}

fn verb(method: &str, target: &Target, watching: bool) -> String {
    match target {
        Target::Resource(path) => match (method, path.name.is_some()) {
            ("GET" | "HEAD", _) if path.watch || watching => "watch",
            ("GET" | "HEAD", true) => "get",
            ("GET" | "HEAD", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => return method.to_ascii_lowercase(),
        }
        .to_owned(),
        _ => method.to_ascii_lowercase(),
    }
}

fn object_reference(path: &ResourcePath) -> Value {
    let mut reference = json!({"resource": path.resource});
    for (key, value) in [
        ("namespace", path.namespace.as_deref()),
        ("name", path.name.as_deref()),
        ("apiGroup", Some(&*path.group).filter(|group| !group.is_empty())),
        ("apiVersion", Some(&*path.version)),
        ("subresource", path.subresource.as_deref()),
    ] {
        if let Some(value) = value {
            reference[key] = json!(value);
        }
    }
    reference
}

/// Returns a request's path and options, without what may be a credential.
fn uri(uri: &http::Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some((key, _))
                if SECRET_PARAMETERS.iter().any(|secret| key.eq_ignore_ascii_case(secret)) =>
            {
                format!("{key}=***")
            }
            _ => part.to_owned(),
        })
        .collect();
    format!("{}?{}", uri.path(), parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_aside_and_the_oldest_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("logs/audit.log");
        let mut file = File::open(path.clone(), 10).expect("a file");
        for number in 0..8 {
            file.write(format!("line {number}\n").as_bytes()).expect("a line");
        }
        let read = |suffix: &str| {
            fs::read_to_string(format!("{}{suffix}", path.display())).unwrap_or_default()
        };
        let found: Vec<String> =
            ["", ".1", ".2", ".3", ".4", ".5", ".6"].iter().map(|suffix| read(suffix)).collect();
        let line = |number: u32| format!("line {number}\n");
        assert_eq!(found, [line(7), line(6), line(5), line(4), line(3), line(2), String::new()]);
    }

    #[test]
    fn credentials_in_addresses_are_left_out() {
        let address: http::Uri =
            "/api/v1/pods?limit=5&Token=abc&access_token=x".parse().expect("an address");
        assert_eq!(uri(&address), "/api/v1/pods?limit=5&Token=***&access_token=***");
    }
}
