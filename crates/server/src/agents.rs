//! What agents can do, without sockets: enrol, check in, hand over documents, renew. One function takes the bytes of an
//! envelope and gives the bytes of the answer.
