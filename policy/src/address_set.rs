//! The ranges that a rule's names may resolve to although they are not public.

use ipnet::IpNet;

use crate::wire::{AddressSetRef, Image};

/// A distinct `addresses` list of a policy: sorted, without duplicates, host bits zero.
#[derive(Clone, Copy)]
pub struct AddressSet<'p> {
    image: &'p Image,
    at: AddressSetRef,
}

impl<'p> AddressSet<'p> {
    pub(crate) fn new(image: &'p Image, at: AddressSetRef) -> AddressSet<'p> {
        AddressSet { image, at }
    }

    /// Its ranges; a plain address is a range of one.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + use<'p> {
        self.image.nets(self.at)
    }
}

impl core::fmt::Debug for AddressSet<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.nets()).finish()
    }
}
