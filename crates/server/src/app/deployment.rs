//! Deploying approved updates: what it would take (`preview`), making the change (`create`), how far it is (`view`), and what
//! people decide about it later (`decide`, `back_out`); approvers' own signatures are in `approval`. What the server does of it by
//! itself is in `rollout`.

mod approval;
mod back_out;
mod create;
mod decide;
mod draft;
mod preview;
mod request;
mod shapes;
mod view;
mod waits;

pub use approval::{
    ApprovalPolicyRequest, ApprovalPolicyView, ApprovalView, Approver, SignatureRequest, approval, policy,
    set_policy, sign,
};
pub use back_out::{BackOutRequest, back_out};
pub use create::create;
pub use decide::{DecisionView, cancel, resume, retry, stop};
pub use preview::{HostPreviewView, PackageChangeView, PreviewView, preview};
pub use request::{DeployRequest, HostsWanted, NeedsWord, Reboot, RemovalWanted, StartWord};
pub use shapes::{
    ChangeUpdateView, ChangeView, DeploymentView, OrderStageView, SignaturesView, TookView, WaitingView,
};
pub use view::{Work, change, changes, deployment, deployments, output, work_list};

use super::refusal::Refusal;
use crate::reconcile::chain;
use crate::rollout::RolloutError;

/// A fault of the server's own, told to its log.
fn of_rollout(error: RolloutError) -> Refusal {
    match error {
        RolloutError::Store(error) => Refusal::Store(error),
        error => {
            tracing::error!(error = %chain(&error), "What is kept of a change cannot be read.");
            Refusal::Fault("what is kept of a change cannot be read")
        }
    }
}
