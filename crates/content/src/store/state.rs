//! Small named files that say where things stand: replaced as a whole, or not at all.

use super::{Store, StoreError, check_name, open_to_read};
use std::io::Read;

impl Store {
    /// Replaces the state file of this name in one step: a reader, or a power cut, sees the old or the new one.
    pub fn write_state(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        check_name(name)?;
        let path = self.folder.join("state").join(name);
        let written = self.temp_file().and_then(|mut temp| {
            temp.write(bytes)?;
            temp.give_name(&path)
        });
        written.map_err(|cause| StoreError::Write { path, cause })
    }

    /// The state file of this name; `None` where there is none. One longer than `limit_bytes` is an error.
    pub fn read_state(&self, name: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, StoreError> {
        check_name(name)?;
        let path = self.folder.join("state").join(name);
        let read = open_to_read(&path).and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let mut bytes = Vec::new();
            file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        });
        match read {
            Ok(Some(bytes)) if bytes.len() as u64 > limit_bytes => {
                Err(StoreError::TooLong { path, limit_bytes })
            }
            Ok(bytes) => Ok(bytes),
            Err(cause) => Err(StoreError::Read { path, cause }),
        }
    }
}
