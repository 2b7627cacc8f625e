//! What a host says about itself, how it tells its server, and how it carries out what was approved. Reading (`host`,
//! `survey`, `documents`) goes over a file tree: the running system, a chroot, a mounted image or a backup. Nothing from the
//! tree is run, nothing in it is changed, no network is used and root is not needed. Telling (`session`, `journal`,
//! `transport`) is carried out by two processes of one program: `executor` reads what only root may, `network` talks to the
//! server under a user of its own. Changing the host is the executor's: `order` decides, `packages` and `run` do, and they
//! alone run the host's own programs. What the answers mean for updates is decided in `domain`; what vendors publish is read
//! in `sources`.

pub mod apt_conf;
pub mod attribution;
mod config_dir;
pub mod documents;
pub mod dpkg_status;
pub mod effects;
pub mod executor;
mod facts;
pub mod host;
pub mod journal;
pub mod kept;
pub mod keys;
pub mod mode;
pub mod network;
pub mod order;
pub mod packages;
pub mod preferences;
pub mod prepare_image;
pub mod problem;
pub mod run;
pub mod service;
pub mod session;
pub mod shown;
pub mod sources_list;
pub mod status;
pub mod survey;
mod text;
pub mod transport;
pub mod tree;
pub mod trust;
pub mod updaters;
mod words;
