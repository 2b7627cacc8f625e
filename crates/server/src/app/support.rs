//! The support bundle, as people and programs get it: files of text, to be looked through before they are given away.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::health;
use super::shape::When;
use crate::Context;
use crate::operations::bundle::{self, BundleFile, Names};

/// What somebody who helps wants to see of the server.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SupportBundle)]
pub struct SupportBundleView {
    /// When it was made.
    pub made_at: When,
    /// Whether names and addresses have stand-ins.
    pub names: Naming,
    /// Its files, in the order of names.
    pub files: Vec<SupportFileView>,
}

/// A file of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SupportFile)]
pub struct SupportFileView {
    /// Its name: letters, digits, hyphens, a dot, and at most one slash.
    #[schema(pattern = "^([a-z]+/)?[A-Za-z-]+\\.[a-z]+$")]
    pub name: &'static str,
    /// Its text: printable ASCII and newlines.
    pub text: String,
    /// Whether its end was left out because it would have been too long.
    pub is_cut: bool,
}

/// Whether names and addresses stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// They have stand-ins.
    #[default]
    Hidden,
    /// They stay.
    Shown,
}

/// Puts a bundle together.
pub async fn show(ctx: &Context, naming: Naming) -> SupportBundleView {
    let metrics = health::exposition(ctx).await;
    let names = match naming {
        Naming::Hidden => Names::Hidden,
        Naming::Shown => Names::Shown,
    };
    let bundle = bundle::collect(ctx, names, metrics).await;
    let file = |file: BundleFile| SupportFileView {
        name: file.name,
        text: file.text,
        is_cut: file.is_cut,
    };
    SupportBundleView {
        made_at: When(bundle.made_at),
        names: naming,
        files: bundle.files.into_iter().map(file).collect(),
    }
}
