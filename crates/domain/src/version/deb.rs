//! Debian's version order (Debian Policy Manual 5.6.12, deb-version(7)), as libapt and dpkg apply it.
