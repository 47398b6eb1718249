//! A request to a server that listens on a socket in the file system.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use support::until;

use crate::host::PATIENCE;

/// What the server answers to GET, without the head; waits until it listens. The connection ends with the answer.
pub(crate) fn get(socket: &Path, path: &str) -> String {
    let stream = until(PATIENCE, || UnixStream::connect(socket).ok());
    let mut stream = stream.unwrap_or_else(|| panic!("nobody listens on {}", socket.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
    let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{path}: {error}"));
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: no answer: {answer}"));
    body.trim_end().to_owned()
}
