//! tshark: Lua in a program that reads packets.

use std::fs;
use std::path::Path;

use support::Scratch;

use crate::host::{self, expect_nothing_left};

/// A file of packets of these lengths, pcap(5): a header, and before each packet its time and its length, twice.
fn packets(lengths: &[u32]) -> Vec<u8> {
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0xffff, 1];
    let mut bytes: Vec<u8> = header.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    for length in lengths {
        bytes.extend([1, 0, *length, *length].iter().flat_map(|word: &u32| word.to_le_bytes()));
        bytes.extend(vec![0; *length as usize]);
    }
    bytes
}

#[test]
#[cfg_attr(not(feature = "lua52"), ignore = "Debian's tshark has Lua 5.2")]
fn tshark_runs_jobs_for_packets() {
    let program = Path::new("/usr/bin/tshark");
    if host::find(program).is_none() {
        return;
    }
    let folder = Scratch::new();
    let file = folder.path().join("packets.pcap");
    fs::write(&file, packets(&[60, 100, 1000])).expect("the folder is ours");
    let script = format!("lua_script:{}", host::file("tshark/jobs.lua").display());
    let session = host::program(program, &["-q", "-X", &script, "-r", &file.display().to_string()]).start();
    let outcome = session.end();
    assert!(outcome.code == Some(0) && outcome.stdout.contains("jobs 3 total 2320"), "{outcome:?}");
    expect_nothing_left(&session);
}
