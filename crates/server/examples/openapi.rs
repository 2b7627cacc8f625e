//! Prints the OpenAPI document of the API: `cargo run -q -p server --example openapi > docs/openapi.json`.

use std::io::Write;

fn main() -> anyhow::Result<()> {
    let document = server::http::openapi::document(server::http::admin::routes());
    writeln!(std::io::stdout(), "{}", document.to_pretty_json()?)?;
    Ok(())
}
