//! One answer: the file as nginx would serve it, bent by a lie.

use super::Running;
use super::http::{self, Head};
use super::lie::{self, Lie};
use jiff::Timestamp;
use std::io::{self, Write};
use std::path::{Component, Path};
use std::time::Duration;

/// What happens to the connection after an answer.
pub(super) enum Next {
    Request,
    Close,
}

/// A file with its validators.
struct File {
    bytes: Vec<u8>,
    etag: String,
    modified: String,
}

/// How the body leaves.
struct Sending<'a> {
    declared: u64,
    body: &'a [u8],
    close_after: Option<usize>,
    bytes_per_second: Option<u64>,
}

/// Answers one request. `note` takes the status before the body is sent; `pause` waits unless the server stops.
pub(super) fn answer(
    connection: &mut dyn Write,
    head: &Head,
    root: &Path,
    lie: Option<&Lie>,
    note: &dyn Fn(u16),
    pause: &dyn Fn(Duration) -> Running,
) -> io::Result<Next> {
    let mut simple = |status: u16, extra: &str| {
        note(status);
        simple(connection, head, status, extra)
    };
    let root = match lie {
        Some(Lie::Stale(other)) => other,
        _ => root,
    };
    match lie {
        Some(Lie::NotFound) => return simple(404, ""),
        Some(Lie::Http500) => return simple(500, ""),
        Some(Lie::Redirect(to)) => return simple(302, &format!("Location: {to}\r\n")),
        Some(Lie::RedirectLoop) => {
            return simple(302, &format!("Location: /{}\r\n", http::encode(&head.path)));
        }
        Some(Lie::InjectedHeader) => {
            return simple(
                302,
                &format!("Location: {}\r\n", lie::injected_location(&head.path)),
            );
        }
        Some(Lie::Hangs) => {
            while pause(Duration::from_secs(3600)) == Running::Yes {}
            return Ok(Next::Close);
        }
        _ => {}
    }
    let file = read(root, &head.path)?;
    if file.is_none() && lie != Some(&Lie::Endless) {
        return simple(404, "");
    }
    let Some(mut file) = file.filter(|_| lie != Some(&Lie::Endless)) else {
        note(200);
        return endless(connection);
    };
    match lie {
        Some(Lie::Tampered(at)) if !file.bytes.is_empty() => {
            let at = at % file.bytes.len();
            file.bytes[at] ^= 0x01;
        }
        Some(Lie::Truncated(length)) => file.bytes.truncate(*length),
        Some(Lie::Bomb { unpacked_bytes }) => file.bytes = lie::bomb(&head.path, *unpacked_bytes)?,
        _ => {}
    }
    send_file(connection, head, &file, lie, note, pause)
}

fn send_file(
    connection: &mut dyn Write,
    head: &Head,
    file: &File,
    lie: Option<&Lie>,
    note: &dyn Fn(u16),
    pause: &dyn Fn(Duration) -> Running,
) -> io::Result<Next> {
    let File {
        bytes,
        etag,
        modified,
    } = file;
    let validators = match lie {
        Some(Lie::NoValidators) => String::new(),
        _ => format!("Last-Modified: {modified}\r\nETag: {etag}\r\n"),
    };
    if !validators.is_empty() && head.is_satisfied_by(etag, modified) {
        note(304);
        write!(connection, "HTTP/1.1 304 Not Modified\r\n{validators}\r\n")?;
        return Ok(next(head));
    }
    let length = bytes.len() as u64;
    let unchanged = head
        .if_range
        .as_ref()
        .is_none_or(|known| known == etag || known == modified);
    let ignored = lie == Some(&Lie::IgnoresRange) || !unchanged;
    let wanted = head
        .range
        .as_deref()
        .filter(|_| !ignored)
        .and_then(|text| http::range(text, length));
    let (status, range) = match wanted {
        None => ("200 OK", 0..length),
        Some(range) if range.is_empty() => {
            note(416);
            let extra = format!("Content-Range: bytes */{length}\r\n");
            return simple(connection, head, 416, &extra);
        }
        Some(range) if lie == Some(&Lie::WrongContentRange) => {
            ("206 Partial Content", 0..range.end - range.start)
        }
        Some(range) => ("206 Partial Content", range),
    };
    let mut sending = Sending {
        declared: range.end - range.start,
        body: &bytes[range.start as usize..range.end as usize],
        close_after: None,
        bytes_per_second: None,
    };
    match lie {
        Some(Lie::WrongLength(declared)) => sending.declared = *declared,
        Some(Lie::ClosesAfter(count)) => sending.close_after = Some(*count),
        Some(Lie::Slow { bytes_per_second }) => sending.bytes_per_second = Some(*bytes_per_second),
        _ => {}
    }
    let content_range = match status {
        "200 OK" => String::new(),
        _ => format!(
            "Content-Range: bytes {}-{}/{length}\r\n",
            range.start,
            range.end - 1
        ),
    };
    note(if content_range.is_empty() { 200 } else { 206 });
    write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nAccept-Ranges: \
         bytes\r\n{validators}{content_range}\r\n",
        sending.declared
    )?;
    if head.method == "HEAD" {
        return Ok(next(head));
    }
    send_body(connection, head, &sending, pause)
}

fn send_body(
    connection: &mut dyn Write,
    head: &Head,
    sending: &Sending<'_>,
    pause: &dyn Fn(Duration) -> Running,
) -> io::Result<Next> {
    let body = &sending.body[..sending
        .close_after
        .map_or(sending.body.len(), |most| most.min(sending.body.len()))];
    match sending.bytes_per_second {
        None => connection.write_all(body)?,
        Some(rate) => {
            // Ten pieces a second, or a byte at a time where that is more than the rate.
            let piece = (rate / 10).max(1);
            let wait = Duration::from_micros(piece * 1_000_000 / rate.max(1));
            for part in body.chunks(piece as usize) {
                connection.write_all(part)?;
                if pause(wait) == Running::Stopping {
                    return Ok(Next::Close);
                }
            }
        }
    }
    match body.len() as u64 == sending.declared {
        true => Ok(next(head)),
        false => Ok(Next::Close),
    }
}

pub(super) fn simple(connection: &mut dyn Write, head: &Head, status: u16, extra: &str) -> io::Result<Next> {
    let reason = match status {
        302 => "Found",
        401 => "Unauthorized",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        _ => "Internal Server Error",
    };
    let page = format!("<html><head><title>{status} {reason}</title></head></html>\r\n");
    let length = page.len();
    let body = if head.method == "HEAD" { "" } else { page.as_str() };
    write!(
        connection,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n{extra}\r\n{body}"
    )?;
    Ok(next(head))
}

fn endless(connection: &mut dyn Write) -> io::Result<Next> {
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
    )?;
    let block = [b'a'; 64 * 1024];
    loop {
        // Ends when the client goes away or the server shuts the connection down.
        connection.write_all(&block)?;
    }
}

fn next(head: &Head) -> Next {
    if head.closes { Next::Close } else { Next::Request }
}

/// The file at a path below the root; nothing where there is none.
fn read(root: &Path, path: &str) -> io::Result<Option<File>> {
    let relative = Path::new(path);
    if relative
        .components()
        .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Ok(None);
    }
    let path = root.join(relative);
    let Ok(facts) = std::fs::metadata(&path) else {
        return Ok(None);
    };
    if !facts.is_file() {
        return Ok(None);
    }
    let modified = Timestamp::try_from(facts.modified()?).map_err(io::Error::other)?;
    let etag = format!("\"{:x}-{:x}\"", modified.as_second(), facts.len());
    let modified = modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Ok(Some(File {
        bytes: std::fs::read(&path)?,
        etag,
        modified,
    }))
}
