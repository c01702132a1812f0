//! The socket through which other processes talk to the owner of a run.
//!
//! One request and one answer a connection, each a line of JSON. The socket is reached through
//! the folder's file descriptor, because socket addresses are short and paths are not.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fs_err as fs;
use loopline_workflow::run::JobKey;
use serde::{Deserialize, Serialize};

/// The longest request, in bytes.
const REQUEST_BYTES: u64 = 64 * 1024;
/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(5);
const SOCKET: &str = "control.sock";

/// What can be asked of the owner of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// End the run, or one job of it.
    Cancel {
        /// Which job; all where it is missing.
        job: Option<JobKey>,
        /// Who asks and why; shown in the run.
        reason: String,
        /// Without waiting for steps that clean up.
        force: bool,
    },
    /// Decide about a job that waits for consent.
    Approve {
        /// Which job.
        job: JobKey,
        /// Whether it may go on.
        approved: bool,
        /// Who decides.
        by: String,
    },
}

/// Why the owner could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No process owns the run.
    #[error("no process is running it")]
    NoOwner,
    /// The owner said no.
    #[error("{0}")]
    Refused(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Answer {
    error: Option<String>,
}

/// The owner's side; dropping it ends the serving.
pub struct Control {
    folder: PathBuf,
    ended: Arc<AtomicBool>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Waking the listener is best effort: the process is about to end.
        let path = self.folder.join(SOCKET);
        if let Ok(stream) = connect(&self.folder) {
            drop(stream);
        }
        let _gone = fs::remove_file(path);
    }
}

/// Serves requests to the run in `folder` on a thread, each answered by `answer`.
///
/// # Errors
/// Where the socket cannot be made.
pub fn serve(
    folder: &Path,
    answer: impl Fn(Request) -> Result<(), String> + Send + 'static,
) -> io::Result<Control> {
    let directory = fs::File::open(folder)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))?;
    let ended = Arc::new(AtomicBool::new(false));
    let control = Control { folder: folder.to_path_buf(), ended: Arc::clone(&ended) };
    std::thread::Builder::new().name("control".to_owned()).stack_size(128 * 1024).spawn(
        move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { return };
                match take(&stream) {
                    Ok(Some(request)) => {
                        let error = answer(request).err();
                        // A client that left does not want its answer.
                        let _sent = reply(&stream, &Answer { error });
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let _sent = reply(&stream, &Answer { error: Some(error.to_string()) });
                    }
                }
            }
        },
    )?;
    Ok(control)
}

/// Reads one request; somebody may hang up without one.
fn take(stream: &UnixStream) -> io::Result<Option<Request>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    if BufReader::new(stream).take(REQUEST_BYTES).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

fn reply(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn connect(folder: &Path) -> io::Result<UnixStream> {
    let directory = fs::File::open(folder)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
}

impl Request {
    /// Sends the request to the owner of the run in `folder` and waits for its answer.
    ///
    /// # Errors
    /// [`ControlError::NoOwner`] where nobody listens.
    pub fn send(&self, folder: &Path) -> Result<(), ControlError> {
        let mut stream = connect(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NoOwner,
            _ => ControlError::Io(error),
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(self).map_err(io::Error::from)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer)?;
        let answer: Answer = serde_json::from_str(&answer).map_err(io::Error::from)?;
        answer.error.map_or(Ok(()), |error| Err(ControlError::Refused(error)))
    }
}
