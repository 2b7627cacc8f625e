//! What somebody does to a server's SQLite database behind its back.

use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;

/// Runs statements on the database of the world in this folder.
pub async fn run(folder: &Path, sql: &str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.join("data/patchyard.db"))
        .busy_timeout(std::time::Duration::from_secs(10));
    let mut connection = options.connect().await.expect("the database opens");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .expect("the statements run");
    connection.close().await.expect("it closes");
}
