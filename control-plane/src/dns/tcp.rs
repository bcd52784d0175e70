//! Questions and answers over TCP: each has its length before it (RFC 7766, section 8).

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::message::Question;
use super::{Answers, LONGEST_QUESTION};
use crate::envoy::capabilities::UpstreamTlsStrategy;

/// The maximum number of connections. Envoy has one for each of its threads, and further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 64;
/// The time after which a connection without a question is closed. Envoy opens another one.
const IDLE: Duration = Duration::from_secs(30);
/// The time within which a client must accept an answer.
const SEND: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, for example because the process has no file descriptor left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Answers questions over TCP.
pub(super) async fn serve<S>(listener: TcpListener, answers: Arc<Answers<S>>) -> io::Result<()>
where
    S: Fn() -> BTreeSet<UpstreamTlsStrategy> + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the resolver could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            answer_all(stream, answers).await;
            drop(place);
        });
    }
}

/// Answers the questions of a connection, each as soon as its answer is known.
async fn answer_all<S>(stream: TcpStream, answers: Arc<Answers<S>>)
where
    S: Fn() -> BTreeSet<UpstreamTlsStrategy> + Send + Sync + 'static,
{
    let (mut questions, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    while let Ok(Ok(Some(question))) = timeout(IDLE, next(&mut questions)).await {
        // The connection stops reading while too many questions wait.
        let Ok(permit) = Arc::clone(&answers.permits).acquire_owned().await else { return };
        let (answers, writer) = (Arc::clone(&answers), Arc::clone(&writer));
        tokio::spawn(async move {
            let answer = question.answered(&answers.answer(&question).await);
            let mut writer = writer.lock().await;
            if !matches!(timeout(SEND, send(&mut writer, &answer)).await, Ok(Ok(()))) {
                writer.shutdown().await.ok();
            }
            drop(permit);
        });
    }
}

/// Reads a question. Returns `None` for bytes that are not a question, which end the connection.
async fn next(from: &mut OwnedReadHalf) -> io::Result<Option<Question>> {
    let length = usize::from(from.read_u16().await?);
    let mut buffer = [0; LONGEST_QUESTION];
    let Some(bytes) = buffer.get_mut(..length) else { return Ok(None) };
    from.read_exact(bytes).await?;
    Ok(Question::parse(bytes))
}

async fn send(to: &mut OwnedWriteHalf, answer: &[u8]) -> io::Result<()> {
    let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
    to.write_all(&[&length.to_be_bytes(), answer].concat()).await
}
