//! An answer that is too long for memory: handed over piece by piece.

use super::port::Answer;
use super::{ApiError, Client};
use std::io;
use ureq::http::{Request, header};

impl Client {
    /// Reads a resource piece by piece.
    ///
    /// # Errors
    /// [`ApiError`]; what cannot be taken counts as a connection that broke.
    pub fn download(
        &self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ApiError> {
        let request = Request::get(format!("{}{path}", self.target.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.target.token))
            .body(String::new())
            .map_err(|error| self.foreign(path, &error.to_string()))?;
        let answer = self.port.stream(request, take);
        let answer = answer.map_err(|cause| ApiError::Unreachable {
            url: self.target.url.clone(),
            cause,
        })?;
        match answer {
            Answer { status: 200, .. } => Ok(()),
            refused => self.read(path, refused).map(drop),
        }
    }
}
