//! The Debian version order against libapt's and dpkg's.

use domain::version::deb;
use std::cmp::Ordering;

#[test]
fn an_empty_debian_revision_is_older_than_zero_but_none_equals_it() {
    assert_eq!(deb::compare("1.0-", "1.0-0"), Ordering::Less);
    assert_eq!(deb::compare("1.0", "1.0-0"), Ordering::Equal);
    assert_eq!(deb::compare("1.16.2+ds-1+b3", "1.16.2+ds0-1"), Ordering::Greater);
}
