//! One event, one line: whatever texts of hosts stand in an event, nothing in it can end the line, steer the terminal that
//! shows it, reorder it or hide.

use domain::text::{escaped, escaped_json};
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// How a character is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people: `\u{1b}`.
    Plain,
    /// So that JSON stays JSON of the same meaning.
    Json,
}

/// Makes writers whose every write is one event, which ends with its line.
#[derive(Clone, Debug)]
pub struct Lines<M>(pub Form, pub M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0, self.1.make_writer())
    }
}

/// Writes one event.
#[derive(Debug)]
pub struct Line<W>(Form, W);

impl<W: Write> Write for Line<W> {
    /// The subscriber hands over an event as a whole (`tracing_subscriber::fmt::Layer`).
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.0 {
            Form::Plain => escaped(text),
            Form::Json => escaped_json(text),
        };
        self.1.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::text::is_steering;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are left of an event for each hostile text: as message, and as a field in both ways.
    fn logged(form: Form) -> Vec<(String, String)> {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = Lines(form, move || writer.clone());
        let plain = fmt::layer().with_ansi(false).without_time();
        let subscriber: Box<dyn tracing::Subscriber + Send + Sync> = match form {
            Form::Plain => Box::new(tracing_subscriber::registry().with(plain.with_writer(lines))),
            Form::Json => {
                let json = fmt::layer().json().flatten_event(true).with_writer(lines);
                Box::new(tracing_subscriber::registry().with(json))
            }
        };
        let mut logged = Vec::new();
        tracing::subscriber::with_default(subscriber, || {
            for hostile in testkit::hostile::texts() {
                let text = hostile.text;
                tracing::info!(name = text, shown = %text, quoted = ?text, "A host is called {text}.");
                let bytes = std::mem::take(&mut *kept.0.lock().expect("one thread"));
                logged.push((text, String::from_utf8(bytes).expect("a log is text")));
            }
        });
        logged
    }

    #[test]
    fn an_event_is_one_line_and_steers_nothing_whatever_a_host_is_called() {
        for form in [Form::Plain, Form::Json] {
            for (text, line) in logged(form) {
                let line = line.strip_suffix('\n').expect("a line has an end");
                assert!(!line.chars().any(is_steering), "{text:?} in {line:?}");
            }
        }
    }

    #[test]
    fn a_line_of_json_keeps_the_text_as_it_was() {
        for (text, line) in logged(Form::Json) {
            let event: serde_json::Value = serde_json::from_str(&line).expect("a line is JSON");
            assert_eq!(event["name"], text.as_str());
        }
    }
}
