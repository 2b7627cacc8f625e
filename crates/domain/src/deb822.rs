//! Control data in the deb822(5) format, scanned without copying.
