//! How apt names the files under `/var/lib/apt/lists`: the address without scheme and credentials, slashes as
//! underscores, everything doubtful as `%` and two hexadecimal digits (libapt `URItoFileName`).

/// Characters that apt quotes besides control characters, spaces, `%` and everything from DEL up.
const QUOTED: &[u8] = b"\\|{}[]<>\"^~_=!@#$&*";

/// The file name of what is published at `uri`.
pub fn file_name(uri: &str) -> String {
    let mut name = String::with_capacity(uri.len());
    for byte in without_scheme_and_credentials(uri).bytes() {
        match byte {
            b'/' => name.push('_'),
            byte if QUOTED.contains(&byte) || byte == b'%' || byte <= 0x20 || byte >= 0x7f => {
                name.push_str(&format!("%{byte:02x}"));
            }
            byte => name.push(char::from(byte)),
        }
    }
    name
}

fn without_scheme_and_credentials(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let Some(rest) = rest.strip_prefix("//") else {
        return rest.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}{path}", host.replace(['[', ']'], ""))
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_are_those_that_apt_gives_its_lists() {
        let seen = [
            (
                "http://archive.example/debian/dists/bookworm/InRelease",
                "archive.example_debian_dists_bookworm_InRelease",
            ),
            (
                "https://deb.example/node_20.x/dists/nodistro/InRelease",
                "deb.example_node%5f20.x_dists_nodistro_InRelease",
            ),
            (
                "https://user:pass@deb.example:8443/x/./Packages",
                "deb.example:8443_x_._Packages",
            ),
            (
                "file:/srv/local repo/dists/s/InRelease",
                "_srv_local%20repo_dists_s_InRelease",
            ),
            (
                "file:///srv/r~1/dists/s/InRelease",
                "_srv_r%7e1_dists_s_InRelease",
            ),
        ];
        for (uri, name) in seen {
            assert_eq!(file_name(uri), name);
        }
    }
}
