//! The smallest HTTP/1.1 client: what it costs is not the server's, so it costs little.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The token of the benchmark's client; servers that know no tokens do not mind it.
pub(super) const TOKEN: &str = "benchmark-token-that-opens-only-this";

/// A connection that is kept open.
pub(super) struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        self.send(method, path, body).await?;
        let (code, length) = self.head().await?;
        let mut answer = Vec::new();
        match length {
            Some(length) => {
                answer.resize(length, 0);
                self.stream.read_exact(&mut answer).await?;
            }
            None => {
                while let Some(mut chunk) = self.chunk().await? {
                    answer.append(&mut chunk);
                }
            }
        }
        Ok((code, answer))
    }

    /// Sends a request.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> anyhow::Result<()> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\nContent-Type: \
             application/json\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(self.stream.get_mut().write_all(&request).await?)
    }

    /// Reads the head of an answer: its code, and its length unless it comes in chunks.
    pub(super) async fn head(&mut self) -> anyhow::Result<(u16, Option<usize>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let code = line.split(' ').nth(1).context("a status line")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                bail!("the connection ended");
            }
            if line.trim().is_empty() {
                return Ok((code, length));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
    }

    /// Reads one chunk; nothing at the end.
    pub(super) async fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("the connection ended");
        }
        let length = usize::from_str_radix(line.trim(), 16)?;
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk).await?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }
}
