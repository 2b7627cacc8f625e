//! A line on the terminal while something takes longer than a second: what, and for how long already. It goes away when the
//! work ends. Where standard error is no terminal nothing is written at all.

use crate::text::{cut, shown};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Work that ends sooner gets no line.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the line is drawn anew.
const PACE: Duration = Duration::from_millis(250);
/// Carriage return, and erase to the end of the line (ECMA-48, 8.3.41).
const CLEARED: &str = "\r\x1b[K";

/// One line is enough: work within work stays silent.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Work that is going on.
pub struct Progress(Option<Line>);

struct Line {
    shared: Arc<Shared>,
    drawer: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    what: String,
    is_drawn: bool,
    is_over: bool,
}

impl Progress {
    /// Begins; `what` says what is done, such as `making the backup`.
    pub fn begin(what: &str) -> Self {
        let is_seen = io::stderr().is_terminal() && !IS_SHOWN.swap(true, Ordering::SeqCst);
        if !is_seen {
            return Self(None);
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                what: what.to_owned(),
                is_drawn: false,
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let drawing = Arc::clone(&shared);
        let drawer = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || drawing.draw())
            // Work goes on without a line where there is no thread for it.
            .ok();
        Self(Some(Line { shared, drawer }))
    }

    /// Says what is done by now.
    #[cfg(feature = "server")]
    pub fn note(&self, what: &str) {
        if let Some(line) = &self.0 {
            line.shared.lock().what = what.to_owned();
        }
    }

    /// Takes the line away while something else is printed.
    #[cfg(feature = "server")]
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.0 {
            None => print(),
            Some(line) => {
                let mut state = line.shared.lock();
                clear(&mut state);
                print()
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(line) = &mut self.0 {
            line.shared.lock().is_over = true;
            line.shared.changed.notify_all();
            if let Some(drawer) = line.drawer.take() {
                let _ = drawer.join();
            }
            IS_SHOWN.store(false, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while drawing a line")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a person is told how long it takes, by the clock on the wall"
    )]
    fn draw(&self) {
        let begun = Instant::now();
        let mut state = self.lock();
        while !state.is_over {
            let text = frame(&state.what, begun.elapsed(), columns());
            if !text.is_empty() {
                let _ = write!(io::stderr().lock(), "{CLEARED}{text}");
                state.is_drawn = true;
            }
            let pause = if text.is_empty() { PATIENCE } else { PACE };
            let waited = self.changed.wait_timeout(state, pause);
            state = waited.expect("nobody panics while drawing a line").0;
        }
        clear(&mut state);
    }
}

fn clear(state: &mut State) {
    if state.is_drawn {
        let _ = write!(io::stderr().lock(), "{CLEARED}");
        state.is_drawn = false;
    }
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    // A terminal that does not know its width says 0.
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 80 } else { columns.max(20) }
}

/// The line, one column short of the terminal's width so that it never wraps; nothing for work that has just begun.
fn frame(what: &str, elapsed: Duration, columns: usize) -> String {
    const WHEEL: [char; 4] = ['|', '/', '-', '\\'];
    if elapsed < PATIENCE {
        return String::new();
    }
    let turn = usize::try_from(elapsed.as_millis() / PACE.as_millis()).unwrap_or(0) % WHEEL.len();
    let time = crate::text::age(elapsed.as_secs().cast_signed());
    let room = columns.saturating_sub(time.len() + 6);
    let what = shown(what);
    format!("{} {} ({time})", WHEEL[turn], cut(&what, room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::width;

    #[test]
    fn work_of_less_than_a_second_shows_nothing() {
        assert_eq!(frame("syncing", Duration::from_millis(999), 80), "");
        assert_eq!(
            frame("syncing", Duration::from_millis(1000), 80),
            "| syncing (1 s)"
        );
        assert_eq!(
            frame("syncing", Duration::from_millis(200_250), 80),
            "/ syncing (3 min)"
        );
    }

    #[test]
    fn the_line_never_wraps_and_foreign_text_in_it_is_harmless() {
        for hostile in testkit::hostile::texts() {
            for columns in [20, 80] {
                let line = frame(&hostile.text, Duration::from_secs(5), columns);
                assert!(width(&line) < columns, "{line:?}");
                assert!(!line.chars().any(domain::text::is_steering), "{line:?}");
            }
        }
    }
}
