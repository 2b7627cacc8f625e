//! What the package manager says, in a file that apt and dpkg write themselves: nothing that reads it can hold them up or end
//! them. Of much, the beginning and the end are kept.

use crate::packages::Trouble;
use protocol::limits::OUTPUT_BYTES;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

const NAME: &str = "output";
/// What is kept of the beginning.
const HEAD_BYTES: u64 = 64 << 10;
/// What is kept of the end.
const TAIL_BYTES: u64 = 512 << 10;
/// What is looked at for the last line.
const LINE_BYTES: u64 = 8 << 10;
/// The longest last line, in characters.
const LINE_CHARS: usize = 240;

/// The file, for writing at its end.
pub(super) fn open(folder: &Path) -> Result<File, Trouble> {
    let mut options = OpenOptions::new();
    let options = options.create(true).append(true).read(true).mode(0o600);
    let opened = options.open(folder.join(NAME));
    opened.map_err(|error| Trouble::io("open the file for what apt says", &error))
}

/// All that was said, as text within its limit; control characters but line ends are escapes.
pub fn output(folder: &Path) -> String {
    let Ok(file) = File::open(folder.join(NAME)) else {
        return String::new();
    };
    let size = file.metadata().map_or(0, |facts| facts.len());
    let text = if size <= HEAD_BYTES + TAIL_BYTES {
        part(&file, 0, size)
    } else {
        let left_out = size - HEAD_BYTES - TAIL_BYTES;
        let (head, tail) = (
            part(&file, 0, HEAD_BYTES),
            part(&file, size - TAIL_BYTES, TAIL_BYTES),
        );
        format!("{head}\n[{left_out} bytes left out]\n{tail}")
    };
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' => shown.push('\n'),
            other if domain::text::is_steering(other) => shown.extend(other.escape_unicode()),
            other => shown.push(other),
        }
        if shown.len() > OUTPUT_BYTES - 16 {
            shown.push('…');
            break;
        }
    }
    shown
}

/// What was said last, on one line.
pub fn last_line(folder: &Path) -> String {
    let Ok(file) = File::open(folder.join(NAME)) else {
        return String::new();
    };
    let size = file.metadata().map_or(0, |facts| facts.len());
    let text = part(&file, size.saturating_sub(LINE_BYTES), LINE_BYTES);
    let mut lines = text.split(['\n', '\r']).map(str::trim);
    let last = lines.rfind(|line| !line.is_empty()).unwrap_or_default();
    crate::shown::harmless(last, LINE_CHARS)
}

/// What was said since this place.
pub(super) fn since(file: &File, from: u64) -> String {
    let size = size(file);
    let start = from.max(size.saturating_sub(TAIL_BYTES));
    part(file, start, size.saturating_sub(start))
}

/// How much was said.
pub(super) fn size(file: &File) -> u64 {
    file.metadata().map_or(0, |facts| facts.len())
}

/// Gives back the room of what will not be kept. Where the file system cannot, the file stays as large as it is.
pub(super) fn thin_out(file: &File) {
    let size = size(file);
    let keep_from = size.saturating_sub(2 * TAIL_BYTES);
    if keep_from > HEAD_BYTES {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = fallocate(file, hole, HEAD_BYTES, keep_from - HEAD_BYTES);
    }
}

fn part(file: &File, from: u64, bytes: u64) -> String {
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or_default()];
    let mut filled = 0;
    while let Ok(count) = file.read_at(&mut buffer[filled..], from + filled as u64) {
        if count == 0 {
            break;
        }
        filled += count;
    }
    String::from_utf8_lossy(&buffer[..filled]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn of_much_output_the_beginning_and_the_end_are_kept_and_the_room_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = open(folder.path()).expect("the folder is ours");
        writeln!(file, "the first line").expect("there is room");
        for number in 0..60_000 {
            writeln!(
                file,
                "line {number} of what a script says without end ............"
            )
            .expect("there is room");
        }
        write!(file, "Setting up \u{1b}[2Jvictim\r\nthe last line \n\n").expect("there is room");
        let before = file.metadata().expect("it is open").len();
        thin_out(&file);
        let kept = output(folder.path());
        assert!(kept.len() <= OUTPUT_BYTES, "{}", kept.len());
        assert!(kept.starts_with("the first line\n"), "the beginning");
        assert!(kept.contains("bytes left out]\n"));
        assert!(
            kept.ends_with("Setting up \\u{1b}[2Jvictim\n\nthe last line \n\n"),
            "the end"
        );
        assert!(!kept.contains('\0'), "no hole is shown");
        assert_eq!(last_line(folder.path()), "the last line");
        assert_eq!(file.metadata().expect("it is open").len(), before);
    }
}
