//! The generation of a tenant's plan: it counts decisions, so that a plan is carried out only in the world that it was made for.

use crate::value::values;
use crate::{Error, Scope, Tx, View};

/// How many decisions there were; 0 before the first.
///
/// # Errors
/// Of the database.
pub fn generation(view: &mut View, scope: &Scope) -> Result<u64, Error> {
    let number = view.find(
        "SELECT number FROM plan_generations WHERE tenant_id = $1",
        values![scope],
        |row| row.get(0),
    )?;
    Ok(number.unwrap_or(0))
}

/// Says that something was decided, in the transaction that decides it.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a tenant.
pub fn next_generation(tx: &mut Tx, scope: &Scope) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO plan_generations (tenant_id, number) VALUES ($1, 1)
         ON CONFLICT (tenant_id) DO UPDATE SET number = plan_generations.number + 1",
        values![scope],
    )?;
    Ok(())
}

/// Whether this is still the generation, until this transaction ends: nobody decides anything meanwhile. Call it first in
/// every transaction that carries out a plan.
///
/// # Errors
/// Of the database.
pub fn hold_generation(tx: &mut Tx, scope: &Scope, number: u64) -> Result<bool, Error> {
    let held = tx.execute(
        "UPDATE plan_generations SET number = number WHERE tenant_id = $1 AND number = $2",
        values![scope, number],
    )?;
    Ok(held == 1)
}
