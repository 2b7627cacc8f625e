//! The exit codes of every command, in one place: what scripts rely on, and what the help prints of it.

/// It was done.
pub const DONE: u8 = 0;
/// What was watched for is there, or will become a fault.
pub const FOUND: u8 = 3;
/// It cannot be said in full, or does not work.
pub const UNSURE: u8 = 4;

/// All of them; [docs/commands.md](../../../docs/commands.md) has the same words.
pub const ALL: &str = "\
Exit codes:
  0  done
  1  it failed; the message says why and what to do
  2  the command line was wrong
  3  found: scan --fail-on finds it missing; doctor sees a fault coming; deploy leaves hosts waiting
  4  not well: scan --fail-on is not sure of all; doctor sees a fault; deploy fails on a host";

/// Those of a scan.
pub const SCAN: &str = "\
Exit codes:
  0  assessed; nothing that --fail-on watches for
  1  the scan failed; the message says what to do
  2  the command line was wrong
  3  --fail-on security or any: such updates are missing
  4  --fail-on: no such update is known to be missing, but some packages were not assessed";

/// Those of a doctor.
#[cfg(feature = "server")]
pub const DOCTOR: &str = "\
Exit codes:
  0  all is well
  1  the server could not be asked; the message says what to do
  3  something will become a fault
  4  something does not work";

/// Those of a deployment, of one that is watched, and of one back.
#[cfg(feature = "server")]
pub const DEPLOY: &str = "\
Exit codes:
  0  verified on every host; with --no-wait, begun; with --preview, shown
  1  nothing was begun; the message says why and what to do
  3  a host still waits, was cancelled, or has it installed and not in effect
  4  it failed on a host";
