//! Errors as RFC 9457 problems with stable codes.
