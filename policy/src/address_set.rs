//! The non-public address ranges that the hosts of a rule may resolve to.

use ipnet::IpNet;

use crate::wire::{AddressSetRef, Image};

/// A distinct `addresses` list of a policy: sorted, without duplicates, with zero host bits.
#[derive(Clone, Copy)]
pub struct AddressSet<'p> {
    image: &'p Image,
    at: AddressSetRef,
}

impl<'p> AddressSet<'p> {
    pub(crate) fn new(image: &'p Image, at: AddressSetRef) -> AddressSet<'p> {
        AddressSet { image, at }
    }

    /// The ranges of the list. A single address is a range of one.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + use<'p> {
        self.image.nets(self.at)
    }
}

impl core::fmt::Debug for AddressSet<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.nets()).finish()
    }
}
