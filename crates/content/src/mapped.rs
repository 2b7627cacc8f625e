//! A file of the store, mapped into memory. The one place of this project with `unsafe`; docs/adr/0003-memory-mapping.md
//! says why it is sound enough.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// The bytes of an immutable file. Clones of an `Arc` around it may be read by many threads.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file that nobody changes any more.
    ///
    /// Crate-private: only the store knows which files these are.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "files of the store are immutable: made by rename, in an owner-only folder"
        )]
        // SAFETY: the caller passes files of the store only. They are complete before they get their name, are never
        // opened for writing afterwards, and lie in a folder that `Store::open` refuses unless it is ours alone.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
