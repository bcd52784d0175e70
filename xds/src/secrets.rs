//! Secrets, which are made when a node asks for them.

use std::sync::Arc;

use crate::Resource;

/// Makes the secret of a name, or refuses to.
pub trait Secrets: Send + Sync {
    /// Gives the secret resource of a name; the same one until it is renewed. `None` refuses the name.
    fn secret(&self, name: &str) -> Option<Arc<Resource>>;

    /// Notes that a node which has just connected holds a secret of this name. The node does not ask for it:
    /// [`Self::renewed`] tells what becomes of it.
    fn readmit(&self, name: &str);

    /// Gives the secret of a name that a node holds, renewed if it is time. The call says nothing about the name's use.
    fn renewed(&self, name: &str) -> RenewedSecret;

    /// Orders names by their last use: higher is later, and zero is never.
    fn last_use(&self, name: &str) -> u64;
}

/// The present state of a secret that a node holds.
#[derive(Debug)]
pub enum RenewedSecret {
    /// The node must hold this one, which may be the one that it holds.
    Current(Arc<Resource>),
    /// There will be a new one, but others come before it: ask again soon.
    Later,
    /// The node must give it up.
    Gone,
}
