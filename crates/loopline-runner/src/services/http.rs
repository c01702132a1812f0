//! Requests and responses: bounded JSON bodies, file bodies, ranges.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use fs_err as fs;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Response, StatusCode, header};
use loopline_clock::Timestamp;
use serde_json::{Value, json};

/// How large a call may be, in bytes.
const MAX_CALL_BYTES: usize = 1024 * 1024;
/// How much of a file is in memory at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// What every handler returns.
pub(super) type Answer = Response<Content>;

/// The body of a response.
pub(super) enum Content {
    Memory(Full<Bytes>),
    File { file: fs::File, left: u64 },
}

impl Content {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Memory(Full::new(text.into()))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Memory(full) => Pin::new(full)
                .poll_frame(context)
                .map(|frame| frame.map(|result| result.map_err(|never| match never {}))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left } => {
                // The server has a thread of its own for one job, so a read may block it.
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE_BYTES);
                let mut piece = vec![0; wanted];
                Poll::Ready(Some(match file.read_exact(&mut piece) {
                    Ok(()) => {
                        *left -= wanted as u64;
                        Ok(Frame::data(piece.into()))
                    }
                    Err(error) => Err(error),
                }))
            }
        }
    }
}

/// Returns a JSON response.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut response = Response::new(Content::text(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// Returns a Twirp error.
pub(super) fn twirp(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &json!({ "code": code, "msg": message }))
}

/// Returns an empty response with the headers Azure's client reads.
pub(super) fn stored(now: Timestamp) -> Answer {
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut response = Response::new(Content::text(""));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    if let Ok(date) = header::HeaderValue::from_str(&date) {
        headers.insert(header::LAST_MODIFIED, date);
    }
    headers.insert(header::ETAG, header::HeaderValue::from_static("\"0x1\""));
    headers.insert("x-ms-version", header::HeaderValue::from_static("2024-11-04"));
    response
}

/// Reads a call's body.
pub(super) async fn read_json(body: Incoming) -> Option<Value> {
    serde_json::from_slice(&read_small(body).await?).ok()
}

/// Reads a body that is never large.
pub(super) async fn read_small(body: Incoming) -> Option<Bytes> {
    Limited::new(body, MAX_CALL_BYTES).collect().await.ok().map(|body| body.to_bytes())
}

/// Writes a body to a file; returns whether all of it came and it was no larger than `limit`.
pub(super) async fn save(mut body: Incoming, path: &Path, limit: u64) -> std::io::Result<bool> {
    use std::io::Write as _;
    let mut file = fs::File::create(path)?;
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(false) };
        if let Some(data) = frame.data_ref() {
            size += data.len() as u64;
            if size > limit {
                return Ok(false);
            }
            file.write_all(data)?;
        }
    }
    Ok(true)
}

/// Returns a file, or the part of it that `range` (a `Range` header) asks for.
pub(super) fn file(path: &Path, range: Option<&str>, mime_type: &str, head: bool) -> Answer {
    match open(path, range, mime_type, head) {
        Ok(answer) => answer,
        Err(error) => twirp(StatusCode::NOT_FOUND, "not_found", &error.to_string()),
    }
}

fn open(path: &Path, range: Option<&str>, mime_type: &str, head: bool) -> std::io::Result<Answer> {
    let mut file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    let part = range.map(|range| parse_range(range, size));
    let (start, end) = match part {
        None => (0, size),
        Some(Some(part)) => part,
        Some(None) => {
            let mut answer = Response::new(Content::text(""));
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(answer);
        }
    };
    file.seek(SeekFrom::Start(start))?;
    let content = if head { Content::text("") } else { Content::File { file, left: end - start } };
    let mut answer = Response::new(content);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, (end - start).into());
    headers.insert(header::ACCEPT_RANGES, header::HeaderValue::from_static("bytes"));
    if let Ok(mime_type) = header::HeaderValue::from_str(mime_type) {
        headers.insert(header::CONTENT_TYPE, mime_type);
    }
    if range.is_some() {
        let shown = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
        if let Ok(shown) = header::HeaderValue::from_str(&shown) {
            headers.insert(header::CONTENT_RANGE, shown);
        }
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(answer)
}

/// Returns the start and the end (exclusive) of the one range that is asked for.
fn parse_range(range: &str, size: u64) -> Option<(u64, u64)> {
    let (start, end) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    if start.is_empty() {
        let last: u64 = end.parse().ok()?;
        return (last > 0).then(|| (size.saturating_sub(last), size));
    }
    let start: u64 = start.parse().ok()?;
    let end = match end {
        "" => size,
        end => end.parse::<u64>().ok()?.saturating_add(1).min(size),
    };
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-3", Some((0, 4))),
            ("bytes=5-", Some((5, 10))),
            ("bytes=-3", Some((7, 10))),
            ("bytes=8-99", Some((8, 10))),
            ("bytes=10-", None),
            ("bytes=3-2", None),
            ("bytes=-0", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
    }
}
