//! Secrets, which are made when a node requests them.

use std::sync::Arc;

use crate::Resource;

/// Makes the secret of a name, or refuses the name.
pub trait Secrets: Send + Sync {
    /// Returns the secret resource of a name, unchanged until it is renewed. `None` refuses the name.
    fn secret(&self, name: &str) -> Option<Arc<Resource>>;

    /// Records that a node holds a secret of this name since before it connected. The node does not request the
    /// secret again; [`Self::renewed`] returns its current state.
    fn readmit(&self, name: &str);

    /// Returns the secret of a name that a node holds, and renews it if it is due. This does not count as a use of
    /// the name.
    fn renewed(&self, name: &str) -> RenewedSecret;

    /// A number that orders names by their last use: higher is later, and zero means never used.
    fn last_use(&self, name: &str) -> u64;
}

/// The current state of a secret that a node holds.
#[derive(Debug)]
pub enum RenewedSecret {
    /// The node must hold this secret, which may equal the one that it holds.
    Current(Arc<Resource>),
    /// The secret is due for renewal, and others come first. The caller should ask again soon.
    Later,
    /// The node must drop the secret.
    Gone,
}
