//! How the network process asks the executor: it leaves an ask, rings on its standard output, and waits for one line on its
//! standard input. The files are what counts; the lines only say when to look.

use crate::executor::asks::{self, Ask};
use crate::executor::{DONE, RING};
use crate::service::Places;
use std::io::{BufRead, BufReader, Stdin, Write};

/// The bell to the executor that started this process.
#[derive(Debug)]
pub struct Bell {
    answers: BufReader<Stdin>,
    executor: Option<rustix::process::Pid>,
}

impl Bell {
    /// The bell of a process that an executor started.
    pub fn of_this_process() -> Self {
        Self {
            answers: BufReader::new(std::io::stdin()),
            executor: rustix::process::getppid(),
        }
    }

    /// Asks to read the host if it changed, and waits until that is done.
    pub(super) fn ring(&mut self, places: &Places) -> std::io::Result<()> {
        asks::leave(&places.asks(), &Ask::Collect {})?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{RING}")?;
        out.flush()?;
        let mut line = String::new();
        loop {
            line.clear();
            match self.answers.read_line(&mut line)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ if line.trim_end() == DONE => return Ok(()),
                _ => {}
            }
        }
    }

    /// Whether the executor that started this process still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        rustix::process::getppid() == self.executor
    }
}
