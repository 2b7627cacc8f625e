//! Looking after certificates: what ends soon is made anew, a given one is read again, a change of roots that was cut short is
//! completed, and what a person has to see to is said in the log.

use super::{Alarm, Ending};
use crate::context::Context;
use crate::start::{listener_names, told_to_stop};
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often it is looked.
const EVERY: SignedDuration = SignedDuration::from_hours(6);

/// Looks after the certificates at once and every six hours, until told to stop.
pub fn spawn(context: &Context, background: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
    let (context, mut stop) = (context.clone(), stop.clone());
    background.spawn(async move {
        loop {
            look(&context).await;
            tokio::select! {
                () = context.clock.wait(EVERY) => {}
                () = told_to_stop(&mut stop) => return,
            }
        }
    });
}

/// Renews what ends soon, and warns of what does not renew itself.
async fn look(context: &Context) {
    if let Err(refusal) = crate::app::authority::settle(context).await {
        tracing::error!(
            error = &refusal as &dyn std::error::Error,
            "The folder of keys could not be brought to what is wanted."
        );
    }
    if let Some(files) = &context.settings.file.certificate {
        match context.authority.reload_given(files) {
            Ok(true) => tracing::info!("The listener's given certificate is another one now."),
            Ok(false) => {}
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "The listener's given certificate could not be read again: the one from before is shown on."
            ),
        }
    }
    let now = context.clock.now();
    let names = listener_names(&context.settings);
    match context.authority.renew(&names, now, &*context.chance) {
        Ok(renewed) if renewed.issuing || renewed.listener => {
            tracing::info!(
                issuing = renewed.issuing,
                listener = renewed.listener,
                "Certificates that end soon were renewed."
            );
        }
        Ok(_nothing) => {}
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "Certificates that end soon could not be renewed."
        ),
    }
    for alarm in context.authority.alarms(now) {
        tracing::warn!(what = ?alarm.what, until = %alarm.until, "{}", alarm.sentence());
    }
}

impl Alarm {
    /// What ends and what to do about it, for people.
    pub fn sentence(&self) -> String {
        let (what, step) = match self.what {
            Ending::Root => (
                "The root authority",
                "Prepare the next one with `patchyard authority prepare`, so that every agent knows it ahead of time.",
            ),
            Ending::Issuing => (
                "The issuing authority",
                "Put root.sealed back into the folder of keys: it renews itself then.",
            ),
            Ending::Answers => (
                "The key that signs answers to agents",
                "Put root.sealed back into the folder of keys and restart the server.",
            ),
            Ending::Orders => (
                "The key that signs orders",
                "Put root.sealed back into the folder of keys and restart the server.",
            ),
            Ending::Listener => (
                "The listener's certificate",
                "It renews itself; look for errors of the folder of keys in the log.",
            ),
            Ending::Given => (
                "The listener's given certificate",
                "Put a new one in its place: it is taken within six hours, or at a restart.",
            ),
        };
        let verb = if self.is_over { "ended" } else { "ends" };
        format!("{what} {verb} at {}. {step}", self.until)
    }
}
