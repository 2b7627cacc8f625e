//! LZ4 frames (lz4_Frame_format.md, version 1.6). The blocks inside are lz4_flex's work; its own frame reader takes
//! an input that is cut at a block for a complete one, which an index must never be.

use lz4_flex::block::decompress_into_with_dict;
use std::hash::Hasher;
use std::io::{self, BufRead, ErrorKind, Read};
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184d_2204;
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;

/// How far a match may reach back.
const HISTORY: usize = 1 << 16;

/// Reads frames until the input ends after one.
pub(super) struct Frames<R> {
    input: R,
    frame: Option<Frame>,
    packed: Vec<u8>,
    /// History, then what the current block unpacked to.
    window: Vec<u8>,
    /// Where in `window` the bytes begin that were not given yet.
    start: usize,
    /// Where they end.
    end: usize,
}

struct Frame {
    block_max: usize,
    blocks: Blocks,
    block_checksums: bool,
    content_size: Option<u64>,
    content: Option<XxHash32>,
    unpacked: u64,
}

#[derive(PartialEq)]
enum Blocks {
    Linked,
    Independent,
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            frame: None,
            packed: Vec::new(),
            window: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Unpacks blocks until there is something to give; false at the end of the input.
    fn refill(&mut self) -> io::Result<bool> {
        while self.start == self.end {
            match self.frame.take() {
                Some(frame) => self.frame = self.next_block(frame)?,
                None if self.input.fill_buf()?.is_empty() => return Ok(false),
                None => self.frame = self.next_frame()?,
            }
        }
        Ok(true)
    }

    /// Reads a frame's header; none for a skippable frame.
    fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        let magic = self.u32()?;
        if SKIPPABLE.contains(&magic) {
            let length = u64::from(self.u32()?);
            let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
            return if skipped == length {
                Ok(None)
            } else {
                Err(ErrorKind::UnexpectedEof.into())
            };
        }
        if magic != MAGIC {
            return Err(damaged("not an LZ4 frame"));
        }
        let mut header = [0; 15];
        self.input.read_exact(&mut header[..2])?;
        let [flags, descriptor] = [header[0], header[1]];
        if flags & 0xc2 != 0x40 || descriptor & 0x8f != 0 {
            return Err(damaged("an LZ4 frame of an unknown version"));
        }
        if flags & 0x01 != 0 {
            return Err(damaged("an LZ4 frame that needs a dictionary"));
        }
        let length = if flags & 0x08 != 0 { 10 } else { 2 };
        self.input.read_exact(&mut header[2..=length])?;
        let (described, checksum) = (&header[..length], header[length]);
        if (XxHash32::oneshot(0, described) >> 8) as u8 != checksum {
            return Err(damaged("an LZ4 frame header with a wrong checksum"));
        }
        let block_max = match descriptor >> 4 {
            size @ 4..=7 => 1 << (8 + 2 * size),
            _ => return Err(damaged("an LZ4 block size that does not exist")),
        };
        self.window.resize(HISTORY + block_max, 0);
        (self.start, self.end) = (0, 0);
        Ok(Some(Frame {
            block_max,
            blocks: if flags & 0x20 != 0 {
                Blocks::Independent
            } else {
                Blocks::Linked
            },
            block_checksums: flags & 0x10 != 0,
            content_size: described
                .get(2..10)
                .and_then(|size| size.try_into().ok())
                .map(u64::from_le_bytes),
            content: (flags & 0x04 != 0).then(|| XxHash32::with_seed(0)),
            unpacked: 0,
        }))
    }

    /// Unpacks a block behind the history; at the end mark checks what the frame promised, and gives no frame back.
    fn next_block(&mut self, mut frame: Frame) -> io::Result<Option<Frame>> {
        let size = self.u32()?;
        if size == 0 {
            self.finish_frame(&frame)?;
            return Ok(None);
        }
        let length = (size & 0x7fff_ffff) as usize;
        if length > frame.block_max {
            return Err(damaged("an LZ4 block larger than its frame allows"));
        }
        self.packed.resize(length, 0);
        self.input.read_exact(&mut self.packed)?;
        if frame.block_checksums && XxHash32::oneshot(0, &self.packed) != self.u32()? {
            return Err(damaged("an LZ4 block with a wrong checksum"));
        }
        let history = self.keep_history(&frame);
        let (before, output) = self.window.split_at_mut(history);
        let output = &mut output[..frame.block_max];
        let unpacked = if size >> 31 == 1 {
            output[..length].copy_from_slice(&self.packed);
            length
        } else {
            decompress_into_with_dict(&self.packed, output, before)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?
        };
        if let Some(content) = &mut frame.content {
            content.write(&output[..unpacked]);
        }
        frame.unpacked += unpacked as u64;
        (self.start, self.end) = (history, history + unpacked);
        Ok(Some(frame))
    }

    /// Moves the last 64 KiB that were given to the front of the window; gives their length.
    fn keep_history(&mut self, frame: &Frame) -> usize {
        if frame.blocks == Blocks::Independent {
            return 0;
        }
        let kept = self.end.min(HISTORY);
        self.window.copy_within(self.end - kept..self.end, 0);
        kept
    }

    fn finish_frame(&mut self, frame: &Frame) -> io::Result<()> {
        if let Some(content) = &frame.content
            && content.finish() as u32 != self.u32()?
        {
            return Err(damaged("an LZ4 frame with a wrong checksum"));
        }
        if frame.content_size.is_some_and(|size| size != frame.unpacked) {
            return Err(damaged("an LZ4 frame of another size than it says"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.refill()? {
            return Ok(0);
        }
        let count = buffer.len().min(self.end - self.start);
        buffer[..count].copy_from_slice(&self.window[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}
