//! Who may see what, as types: a query about a tenant compiles only with a [`Scope`], one across tenants only with
//! [`Whole`]. Who may have one is decided by whoever authorises a request, not here.

use domain::id::TenantId;

/// One tenant's rows and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope(TenantId);

impl Scope {
    /// The rows of this tenant. Called by authorisation, after it was decided that the caller may see them, and by the
    /// server's reconcilers for the tenant they work on.
    pub const fn of_tenant(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// The tenant.
    pub const fn tenant(&self) -> TenantId {
        self.0
    }

    /// The owner that rows of this tenant alone have.
    pub const fn owner(&self) -> Owner {
        Owner::Tenant(self.0)
    }
}

/// Rows of every tenant, and those of the server itself. For the server's own reconcilers and for what an infrastructure
/// administrator does; never for a request that concerns one tenant.
#[derive(Clone, Copy, Debug)]
pub struct Whole(());

impl Whole {
    /// Everything on this server.
    pub const fn server() -> Self {
        Self(())
    }
}

/// Whose a row is that may also be everybody's: sources, updates, users, roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The server: seen by every tenant, changed by the infrastructure alone.
    Shared,
    /// One tenant, and nobody else sees it.
    Tenant(TenantId),
}

impl Owner {
    /// The 16 bytes that stand in the `owner` column: the tenant's id, or zeros.
    pub(crate) const fn bytes(self) -> [u8; 16] {
        match self {
            Self::Shared => [0; 16],
            Self::Tenant(tenant) => tenant.0,
        }
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        match u128::from_be_bytes(bytes) {
            0 => Self::Shared,
            _ => Self::Tenant(TenantId(bytes)),
        }
    }
}
