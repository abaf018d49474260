//! The head of an HTTP answer, which WebSocket servers and proxies begin with.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::model::tls::TlsFailure;

/// The longest head that is taken, interim ones before it included, in bytes.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 100;

/// Why there is no answer in HTTP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Closed before the head was complete.
    #[error("closed without an answer")]
    Closed,
    /// Something else than HTTP/1.
    #[error("the answer is not HTTP/1; is this the right port?")]
    NotHttp,
    /// More than the limit.
    #[error("the answer's head is longer than 16 KiB or has more than 100 headers")]
    TooLong,
    /// The TLS server ended the link: with TLS 1.3 it refuses a client certificate only now.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// The stream failed, in the system's words.
    #[error("{0}")]
    Stream(String),
}

impl From<io::Error> for AnswerError {
    fn from(error: io::Error) -> Self {
        if let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsFailure>()) {
            return Self::Tls(failure.clone());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Stream(error.to_string()),
        }
    }
}

/// Status and headers.
pub struct Head {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The values of all headers of this name, in any case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a header that is a list holds this word.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
    }
}

/// Reads to the end of the answer's head, over interim ones that came before it (RFC 9110, 15.2; 101 is final: nothing in HTTP
/// follows it). What follows it may have been read with it: it comes back too.
///
/// # Errors
/// [`AnswerError`].
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Head, BytesMut), AnswerError> {
    let mut input = BytesMut::new();
    let mut skipped = 0;
    loop {
        while let Some((length, head)) = parse(&input)? {
            input.advance(length);
            skipped += length;
            if !matches!(head.status, 100 | 102..=199) {
                return Ok((head, input));
            }
        }
        if skipped + input.len() >= MAX_HEAD {
            return Err(AnswerError::TooLong);
        }
        input.reserve(1024);
        if stream.read_buf(&mut input).await? == 0 {
            return Err(AnswerError::Closed);
        }
    }
}

fn parse(input: &[u8]) -> Result<Option<(usize, Head)>, AnswerError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let length = match answer.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(AnswerError::TooLong),
        Err(_) => return Err(AnswerError::NotHttp),
    };
    let headers = answer.headers.iter();
    let headers = headers.map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()));
    let status = answer.code.ok_or(AnswerError::NotHttp)?;
    Ok(Some((length, Head { status, headers: headers.collect() })))
}
