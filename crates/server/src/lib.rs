//! The Patchyard server: agents enrol and check in, sources are synced, hosts are assessed, people and programs ask.
//! SQL is in `store`, wire shapes of agents are in `protocol`, rules are in `domain`.
