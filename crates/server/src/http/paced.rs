//! A connection whose other end has to take what it is sent: who does not read may not hold a connection, its answer and
//! its place for ever. Only time that is spent waiting for the reader counts, so that slow work of ours costs nobody his turn.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a reader may take nothing at all.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The slowest that a reader may be for longer than that, in bytes per second.
pub const SLOWEST: u64 = 10 * 1024;

/// How long so many bytes may take at the slowest.
pub fn earned(bytes: usize) -> Duration {
    Duration::from_millis(bytes as u64 * 1000 / SLOWEST)
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] when its reader is too slow.
#[derive(Debug)]
pub struct Paced<S> {
    stream: S,
    /// How long it may still be waited: what is taken earns more, up to [`PATIENCE`].
    left: Duration,
    blocked: Option<Blocked>,
}

#[derive(Debug)]
struct Blocked {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    /// A stream with all patience.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            left: PATIENCE,
            blocked: None,
        }
    }

    /// The outcome of a write, unless it has been waited for too long.
    fn judge(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(taken)) => {
                let waited = self.blocked.take().map(|blocked| blocked.since.elapsed());
                let left = self.left.saturating_sub(waited.unwrap_or_default());
                self.left = (left + earned(*taken)).min(PATIENCE);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let left = self.left;
                let blocked = self.blocked.get_or_insert_with(|| {
                    let since = Instant::now();
                    let end = Box::pin(sleep_until(since + left));
                    Blocked { since, end }
                });
                if blocked.end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_let_go_when_the_patience_is_over() {
        let (ours, theirs) = duplex(64);
        let mut ours = Paced::new(ours);
        let began = Instant::now();
        let sent = ours.write_all(&[0; 100_000]).await;
        assert_eq!(sent.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_of_ten_kibibytes_a_second_gets_all_and_one_that_is_slower_does_not() {
        for (bytes_a_second, gets_all) in [(SLOWEST, true), (SLOWEST * 9 / 10, false)] {
            let (ours, mut theirs) = duplex(1024);
            let reading = tokio::spawn(async move {
                let mut piece = vec![0; usize::try_from(bytes_a_second / 10).expect("small")];
                while theirs.read_exact(&mut piece).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            let mut ours = Paced::new(ours);
            let sent = ours.write_all(&vec![0; 3 << 20]).await;
            assert_eq!(sent.is_ok(), gets_all, "{bytes_a_second} bytes a second");
            reading.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_nothing_to_send_may_be_silent() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Paced::new(ours);
        for _ in 0..3 {
            tokio::time::sleep(LONG).await;
            ours.write_all(b"an answer").await.expect("there is room");
            let mut answer = [0; 9];
            theirs.read_exact(&mut answer).await.expect("it came");
        }
    }
}
