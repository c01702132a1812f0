//! `log`: what a container wrote.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use loopline_clock::Timestamp;
use loopline_schema::{Cause, FieldError, Resource};
use serde_json::{Value, json};

use super::connect::{container, node, pod};
use super::node::{Container, LogLine, LogOptions};
use crate::call::Call;
use crate::http::{Asked, Reply, reply};
use crate::request::Query;
use crate::status::{Result, Status};

/// Answers a request for a log.
pub(super) async fn answer(call: Call, asked: &Asked) -> Result<Reply> {
    let query = &asked.query;
    let pod = pod(&call).await?;
    let window = Window::parse(&call, query)?;
    let name = container(&pod, query.get("container"), &call)?;
    if pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty() {
        let mut empty = reply::raw(204, "text/plain", Vec::new());
        empty.headers_mut().remove(http::header::CONTENT_TYPE);
        return Ok(empty);
    }
    let node = node(&call.server, &pod).await?;
    let place = call.server.streams().take()?;
    let lines = node.logs(&Container { pod, name }, &window.options).await?;
    let shutdown = call.server.shutdown().clone();
    let state = (lines, window, place);
    let texts = futures_util::stream::unfold(state, |(mut lines, mut window, place)| async {
        let text = window.next(lines.next().await?)?;
        Some((text, (lines, window, place)))
    });
    let frames = texts.take_until(shutdown.cancelled_owned()).map(|text| Ok(Frame::data(text)));
    let mut reply = reply::raw(200, "text/plain", Vec::new());
    *reply.body_mut() = StreamBody::new(frames).boxed_unsync();
    Ok(reply)
}

/// What is shown of a log.
struct Window {
    options: LogOptions,
    timestamps: bool,
    /// How many bytes may still be sent.
    left: Option<usize>,
}

impl Window {
    /// Reads the options.
    ///
    /// # Errors
    /// 400 for what cannot be read, 422 for what makes no sense.
    fn parse(call: &Call, query: &Query) -> Result<Self> {
        let mut errors = Vec::new();
        let mut positive = |field: &str, least: i64, words: &str| -> Result<Option<u64>> {
            let Some(number) = query.number::<i64>(field)? else { return Ok(None) };
            if number < least {
                errors.push(FieldError::new(Cause::Invalid, field, json!(number), words));
            }
            Ok(Some(u64::try_from(number).unwrap_or(0)))
        };
        let tail_lines = positive("tailLines", 0, "must be greater than or equal to 0")?;
        let limit = positive("limitBytes", 1, "must be greater than 0")?;
        let seconds = positive("sinceSeconds", 1, "must be greater than 0")?;
        let time = query
            .get("sinceTime")
            .map(|text| {
                text.parse::<Timestamp>().map_err(|error| {
                    Status::bad_request(format!(
                        "invalid value {text:?} for query parameter \"sinceTime\": {error}"
                    ))
                })
            })
            .transpose()?;
        if time.is_some() && seconds.is_some() {
            errors.push(FieldError::new(
                Cause::Forbidden,
                "",
                Value::Null,
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        }
        if !errors.is_empty() {
            let options = Resource { kind: "PodLogOptions".into(), ..Resource::default() };
            return Err(Status::invalid(&options, call.name()?, &errors));
        }
        let ago = |seconds: u64| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let second = call.server.clock().now().as_second().saturating_sub(seconds);
            Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
        };
        Ok(Self {
            options: LogOptions {
                follow: query.flag("follow")?,
                previous: query.flag("previous")?,
                since: time.or_else(|| seconds.map(ago)),
                tail_lines,
            },
            timestamps: query.flag("timestamps")?,
            left: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        })
    }

    /// Returns the next piece of the answer, nothing at its end.
    fn next(&mut self, line: std::io::Result<LogLine>) -> Option<Bytes> {
        if self.left == Some(0) {
            return None;
        }
        let mut text = match line {
            Ok(line) if self.timestamps => {
                let time = line.time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string();
                let mut text = BytesMut::with_capacity(time.len() + line.text.len());
                text.put_slice(time.as_bytes());
                text.put_slice(&line.text);
                text.freeze()
            }
            Ok(line) => line.text,
            // The reply has begun; what is left is to say why it stops.
            Err(error) => {
                self.left = Some(0);
                return Some(Bytes::from(format!("the log cannot be read on: {error}\n")));
            }
        };
        if let Some(left) = &mut self.left {
            text.truncate(*left);
            *left -= text.len();
        }
        Some(text)
    }
}
